"""CloudWatch metric alarms, evaluated as CloudWatch does, in the minutes of the laptop's clock.

MiniStack 1.5.33 evaluates an alarm over every series of the metric's name, whatever the alarm's dimensions, lumps the
evaluation periods together, knows no missing data, and looks only when somebody puts a metric. Roll-back alarms of
one endpoint must not answer for the other's errors, so its evaluation is replaced.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from local.clock import MINUTE_SECONDS, Clock

logger = logging.getLogger("iops.alarms")

LOOK_EVERY_SECONDS = 15.0
DEFAULT_PERIOD_SECONDS = 60
SPARE_PERIODS = 2
"""CloudWatch looks at more periods than it evaluates (its example: five for three), so that data which is late or
missing does not decide."""


def register(clock: Clock) -> None:
    from ministack.services import cloudwatch

    cloudwatch._evaluate_alarm = functools.partial(evaluate, clock=clock)
    threading.Thread(target=_watch, args=(clock,), daemon=True, name="alarms").start()


def _watch(clock: Clock) -> None:
    """A period ends, and data goes missing, without a new data point too."""
    from ministack.services import cloudwatch

    while True:
        time.sleep(clock.real(LOOK_EVERY_SECONDS))
        try:
            for alarm in list(cloudwatch._alarms.values()):
                evaluate(alarm, clock=clock)
        except Exception:
            logger.exception("alarms could not be evaluated")


def evaluate(alarm: dict[str, Any], *, clock: Clock) -> None:
    """Move the alarm to the state that its data asks for, with history and actions by MiniStack."""
    from ministack.services import cloudwatch

    if not alarm.get("MetricName"):
        return
    state, reason = wanted_state(alarm, datapoints(alarm, now=time.time(), clock=clock))
    before = alarm["StateValue"]
    if state == before:
        return
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def datapoints(alarm: Mapping[str, Any], *, now: float, clock: Clock) -> list[float | None]:
    """One value per period of the evaluation range, oldest first; None where there is no data.

    The range ends with the last whole minute, whose periods lie back to back before it (CloudWatch user guide,
    "Evaluating an alarm"); what a period that still runs has so far is no value.
    """
    from ministack.services import cloudwatch

    dimensions = {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    period_seconds = float(alarm.get("Period") or DEFAULT_PERIOD_SECONDS)
    end, length = clock.last_edge(now, min(period_seconds, MINUTE_SECONDS)), clock.real(period_seconds)
    inside: list[list[Any]] = [[] for _ in range(evaluation_periods(alarm) + SPARE_PERIODS)]
    for point in list(cloudwatch._metrics.get(key) or []):
        age = math.ceil((end - point["Timestamp"]) / length)
        if 0 < age <= len(inside):
            inside[-age].append(point)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    return [_value(points, statistic) for points in inside]


def _value(points: Sequence[Any], statistic: str) -> float | None:
    from ministack.services import cloudwatch

    stats = cloudwatch._calc_stats(points)
    return cloudwatch._stat_value(stats, statistic, points) if stats else None


def evaluation_periods(alarm: Mapping[str, Any]) -> int:
    return int(alarm.get("EvaluationPeriods") or 1)


def wanted_state(alarm: Mapping[str, Any], values: Sequence[float | None]) -> tuple[str, str]:
    """State and reason for the values of an evaluation range, oldest first (CloudWatch user guide, "Evaluating an
    alarm" and "Configuring how CloudWatch alarms treat missing data")."""
    treatment = alarm.get("TreatMissingData") or "missing"
    periods = evaluation_periods(alarm)
    needed = int(alarm.get("DatapointsToAlarm") or periods)
    known = [value for value in values if value is not None]
    if not known:
        return _without_data(alarm, treatment)
    known = known[-periods:]
    breaching = sum(breaches(value, alarm) for value in known)
    if treatment == "breaching":
        breaching += periods - len(known)
    reason = f"{breaching} of {needed} datapoints {known} were {alarm['ComparisonOperator']} {alarm['Threshold']}"
    if breaching >= needed:
        return "ALARM", f"Threshold Crossed: {reason}"
    if len(known) < periods and breaching == len(known):
        if treatment == "ignore":
            return alarm["StateValue"], alarm.get("StateReason", "")
        if treatment == "missing" and _age_of_oldest(values) >= needed:
            return "ALARM", f"Threshold Crossed: {reason}, and no others were received since"
    return "OK", f"Threshold Crossed: {reason}"


def _age_of_oldest(values: Sequence[float | None]) -> int:
    """In periods; the newest has the age 1."""
    return len(values) - next(index for index, value in enumerate(values) if value is not None)


def _without_data(alarm: Mapping[str, Any], treatment: str) -> tuple[str, str]:
    if treatment == "breaching":
        return "ALARM", "Threshold Crossed: no datapoints were received and missing data is breaching"
    if treatment == "notBreaching":
        return "OK", "Threshold Crossed: no datapoints were received and missing data is not breaching"
    if treatment == "ignore":
        return alarm["StateValue"], alarm.get("StateReason", "")
    return "INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received"


def breaches(value: float, alarm: Mapping[str, Any]) -> bool:
    threshold = float(alarm["Threshold"])
    comparisons = {
        "GreaterThanOrEqualToThreshold": value >= threshold,
        "GreaterThanThreshold": value > threshold,
        "LessThanThreshold": value < threshold,
        "LessThanOrEqualToThreshold": value <= threshold,
    }
    return comparisons.get(alarm["ComparisonOperator"], False)
