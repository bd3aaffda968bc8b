"""Tells of every change of an alarm's state: an event always, actions unless they are off, suppressed or not allowed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.clock import Clock
from local.monitoring import state_changes
from local.monitoring.suppression import Hold, Rule, hold_at_change, hold_later
from local.settings import ACCOUNT

logger = logging.getLogger("iops.alarms")

ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
PUBLISHER = "cloudwatch.amazonaws.com"
SUPPRESSED = ("ActionsSuppressedBy", "ActionsSuppressedReason")


class Announcer:
    """Stands in the place of MiniStack's _dispatch_alarm_actions, which every change of state goes through."""

    def __init__(self, clock: Clock, *, now: Callable[[], float] = time.time) -> None:
        self._clock, self._now = clock, now
        self._lock = threading.RLock()
        self._told: dict[str, dict[str, str]] = {}
        self._held: dict[str, tuple[Hold, str]] = {}
        """Composite alarms whose actions wait, with the state that they came from."""
        self._suppressors: dict[str, Mapping[str, Any]] = {}

    def suppress(self, name: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set a composite alarm's suppressor, none by no members; gives the one before. Another suppressor ends an
        active wait or extension (user guide, "Suppressing composite alarm actions", tip)."""
        with self._lock:
            before = self._suppressors.pop(name, {})
            self._suppressors[name] = members
            if before.get("ActionsSuppressor") != members.get("ActionsSuppressor"):
                self._held.pop(name, None)
            return before

    def announce(self, alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
        name, moment = alarm["AlarmName"], self._now()
        with self._lock:
            alarm.update(self._suppressors.get(name, {}))
            hold = self._hold_at_change(alarm)
            self._keep(alarm, hold, old_state)
            state = state_changes.state_document(alarm, moment=moment)
            previous, self._told[name] = self._previous(name, old_state, state), state
        put_event(alarm, state_changes.event_detail(alarm, state=state, previous=previous))
        if hold is None:
            act(alarm, old_state=old_state, moment=moment)

    def look(self) -> None:
        """Act for every alarm whose hold has ended."""
        from ministack.services import cloudwatch

        for name in list(self._held):
            with self._lock:
                hold, old_state = self._held.pop(name, (None, ""))
                alarm = cloudwatch._composite_alarms.get(name)
                rule = Rule.of(alarm) if alarm else None
                if hold is None or alarm is None or rule is None:
                    continue
                now_held = hold_later(hold, rule, suppressor_rings=rings(rule), now=self._aws_now())
                self._keep(alarm, now_held, old_state)
            if now_held is None:
                act(alarm, old_state=old_state, moment=self._now())

    def _previous(self, name: str, old_state: str, state: Mapping[str, str]) -> dict[str, str]:
        """What was told last, unless that was of an alarm of the same name that is gone."""
        told = self._told.get(name)
        if told is not None and told["value"] == old_state:
            return told
        initial = "Unchecked: Initial alarm creation"
        return {"value": old_state, "reason": initial, "timestamp": state["timestamp"]}

    def _hold_at_change(self, alarm: Mapping[str, Any]) -> Hold | None:
        rule = Rule.of(alarm)
        return hold_at_change(rule, suppressor_rings=rings(rule), now=self._aws_now()) if rule else None

    def _keep(self, alarm: dict[str, Any], hold: Hold | None, old_state: str) -> None:
        for member in SUPPRESSED:
            alarm.pop(member, None)
        self._held.pop(alarm["AlarmName"], None)
        if hold is not None:
            self._held[alarm["AlarmName"]] = hold, old_state
            alarm.update(zip(SUPPRESSED, (hold.by, f"Actions suppressed by {hold.by}"), strict=True))

    def _aws_now(self) -> float:
        return self._clock.aws(self._now())


def rings(rule: Rule) -> bool:
    from ministack.services import cloudwatch

    alarm = cloudwatch._alarms.get(rule.suppressor) or cloudwatch._composite_alarms.get(rule.suppressor)
    return bool(alarm and alarm["StateValue"] == "ALARM")


def put_event(alarm: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
    from local.events import put_event

    put_event(state_changes.SOURCE, state_changes.DETAIL_TYPE, detail, resources=[alarm["AlarmArn"]])


def act(alarm: Mapping[str, Any], *, old_state: str, moment: float) -> None:
    """Publish to the topics of the new state, as CloudWatch: the topic's policy must allow it."""
    from ministack.services import sns

    if not alarm.get("ActionsEnabled", True):
        return
    topics = [arn for arn in alarm.get(ACTIONS[alarm["StateValue"]]) or [] if ":sns:" in arn]
    message = json.dumps(state_changes.notification(alarm, old_state=old_state, moment=moment))
    subject = f'{alarm["StateValue"]}: "{alarm["AlarmName"]}" in {state_changes.REGION_NAME}'[:100]
    for topic in topics:
        if not sns.topic_policy_allows(topic, PUBLISHER, alarm["AlarmArn"], ACCOUNT):
            logger.warning(
                "the action of %s is lost: the policy of %s lets %s not publish", alarm["AlarmName"], topic, PUBLISHER
            )
            note_action(alarm, f"Failed to execute action {topic}. CloudWatch Alarms is not authorized to publish")
            continue
        sns.publish_internal(topic, message, subject)
        note_action(alarm, f"Successfully executed action {topic}")


def note_action(alarm: Mapping[str, Any], summary: str) -> None:
    """The alarm's history shows its actions beside its states."""
    from ministack.services import cloudwatch

    cloudwatch._history_entries().append(
        {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
            "Timestamp": cloudwatch._ts_iso(time.time()),
            "HistoryItemType": "Action",
            "HistorySummary": summary,
            "HistoryData": json.dumps({"version": "1.0", "stateValue": alarm["StateValue"]}),
        }
    )
