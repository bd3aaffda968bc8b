"""CloudWatch metric alarms, evaluated as CloudWatch does.

MiniStack 1.5.33 evaluates an alarm over every series of the metric's name, whatever the alarm's dimensions, lumps the
evaluation periods together, knows no missing data, and looks only when somebody puts a metric. Roll-back alarms of
one endpoint must not answer for the other's errors, so its evaluation is replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

logger = logging.getLogger("iops.alarms")

LOOK_EVERY_SECONDS = 5.0
DEFAULT_PERIOD_SECONDS = 60


def register() -> None:
    from ministack.services import cloudwatch

    cloudwatch._evaluate_alarm = evaluate
    threading.Thread(target=_watch, daemon=True, name="alarms").start()


def _watch() -> None:
    """Data can also go missing, so alarms are looked at without a new data point too."""
    from ministack.services import cloudwatch

    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        try:
            for alarm in list(cloudwatch._alarms.values()):
                evaluate(alarm)
        except Exception:
            logger.exception("alarms could not be evaluated")


def evaluate(alarm: dict[str, Any]) -> None:
    """Move the alarm to the state that its data asks for, with history and actions by MiniStack."""
    from ministack.services import cloudwatch

    if not alarm.get("MetricName"):
        return
    values = datapoints(alarm, now=time.time())
    state, reason = wanted_state(alarm, values)
    before = alarm["StateValue"]
    if state == before:
        return
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def datapoints(alarm: Mapping[str, Any], *, now: float) -> list[float | None]:
    """One value per evaluation period, oldest first; None where there is no data."""
    from ministack.services import cloudwatch

    dimensions = {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    points = list(cloudwatch._metrics.get(key) or [])
    period = float(alarm.get("Period") or DEFAULT_PERIOD_SECONDS)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    values: list[float | None] = []
    for index in range(int(alarm.get("EvaluationPeriods") or 1), 0, -1):
        start = now - index * period
        inside = [point for point in points if start < point["Timestamp"] <= start + period]
        stats = cloudwatch._calc_stats(inside)
        values.append(cloudwatch._stat_value(stats, statistic, inside) if stats else None)
    return values


def wanted_state(alarm: Mapping[str, Any], values: Sequence[float | None]) -> tuple[str, str]:
    """State and reason (CloudWatch user guide, "Evaluating an alarm" and "Configuring how alarms treat missing
    data")."""
    treatment = alarm.get("TreatMissingData") or "missing"
    needed = int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods") or 1)
    known = [value for value in values if value is not None]
    if not known:
        return _without_data(alarm, treatment)
    breaching = sum(breaches(value, alarm) for value in known)
    if treatment == "breaching":
        breaching += len(values) - len(known)
    threshold, operator = alarm["Threshold"], alarm["ComparisonOperator"]
    if breaching >= needed:
        return "ALARM", f"Threshold Crossed: {breaching} datapoints {known} were {operator} {threshold}"
    return "OK", f"Threshold Crossed: {breaching} of {needed} datapoints {known} were {operator} {threshold}"


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
