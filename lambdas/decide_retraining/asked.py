"""What asks for a training: a drift alarm's change of state, a schedule's event, or a person's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from insights.schema import KINDS
from lambdas.decide_retraining.decision import Asked
from lambdas.training_terms import TRIGGERS

ALARM_EVENT: Final = "CloudWatch Alarm State Change"
LONGEST_REASON: Final = 500


class InvalidRequest(ValueError):
    """An event that is none of these; the message names the field and the remedy."""


def asked_by(event: Mapping[str, Any], *, alarms: Mapping[str, str], models: tuple[str, ...]) -> Asked:
    """`alarms` are the drift alarms' names by kind, `models` what the deployment trains."""
    if event.get("detail-type") == ALARM_EVENT:
        return _by_alarm(event["detail"], {name: kind for kind, name in alarms.items()})
    for field in event:
        if field not in ("trigger", "models", "reason", "requested_by"):
            raise InvalidRequest(f"field {field}: no such field; known are trigger, models, reason, requested_by")
    trigger = event.get("trigger", "request")
    if trigger not in TRIGGERS:
        raise InvalidRequest(f"field trigger has the value {trigger!r}; it must be one of {', '.join(TRIGGERS)}")
    kinds = event.get("models", list(models))
    if not isinstance(kinds, list) or not kinds or not all(kind in KINDS for kind in kinds):
        raise InvalidRequest(f"field models has the value {kinds!r}; list one or both of {', '.join(KINDS)}")
    return Asked(
        trigger=trigger,
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        reason=str(event.get("reason") or "no reason given")[:LONGEST_REASON],
        requested_by=str(event.get("requested_by") or "not given"),
    )


def by_drift(alarm_name: str, kind: str, reason: str) -> Asked:
    return Asked(trigger="drift", kinds=(kind,), reason=reason[:LONGEST_REASON], requested_by=f"alarm {alarm_name}")


def _by_alarm(detail: Mapping[str, Any], kinds: Mapping[str, str]) -> Asked:
    name = detail["alarmName"]
    if name not in kinds:
        raise InvalidRequest(f"{name} is no drift alarm; known are {', '.join(kinds)}")
    return by_drift(name, kinds[name], str(detail["state"].get("reason") or "the model's inputs have drifted"))
