"""When a metric alarm is in which state, by CloudWatch's rules and in the minutes of the laptop's clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from local.clock import MINUTE_SECONDS, Clock
from local.monitoring import metric_math

DEFAULT_PERIOD_SECONDS = 60
SPARE_PERIODS = 2
"""CloudWatch looks at more periods than it evaluates (its example: five for three), so that data which is late or
missing does not decide."""


def values_of(alarm: Mapping[str, Any], *, now: float, clock: Clock) -> list[float | None]:
    """One value per period of the evaluation range, oldest first, of the alarm's metric or of its expression."""
    queries = alarm.get("Metrics")
    if not queries:
        return datapoints(alarm, now=now, clock=clock)
    period_seconds = metric_math.period_of(queries)
    shared = {"Period": period_seconds, "EvaluationPeriods": evaluation_periods(alarm)}
    measured = {
        query["Id"]: datapoints({**metric_of(query["MetricStat"]), **shared}, now=now, clock=clock)
        for query in queries
        if query.get("MetricStat")
    }
    return metric_math.returned(queries, measured, period_seconds=period_seconds)


def metric_of(stat: Mapping[str, Any]) -> dict[str, Any]:
    """A MetricStat in the members of an alarm of one metric."""
    metric = stat["Metric"]
    return {
        "Namespace": metric["Namespace"],
        "MetricName": metric["MetricName"],
        "Dimensions": metric.get("Dimensions") or [],
        "Statistic": stat["Stat"],
        "Unit": stat.get("Unit"),
    }


def datapoints(alarm: Mapping[str, Any], *, now: float, clock: Clock) -> list[float | None]:
    """One value per period of the evaluation range, oldest first; None where there is no data.

    The range ends with the last whole minute, whose periods lie back to back before it (CloudWatch user guide,
    "Evaluating an alarm"); what a period that still runs has so far is no value. An alarm with a unit sees that unit alone.
    """
    from ministack.services import cloudwatch

    dimensions = {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    period_seconds = float(alarm.get("Period") or DEFAULT_PERIOD_SECONDS)
    end, length = clock.last_edge(now, min(period_seconds, MINUTE_SECONDS)), clock.real(period_seconds)
    inside: list[list[Any]] = [[] for _ in range(evaluation_periods(alarm) + SPARE_PERIODS)]
    for point in list(cloudwatch._metrics.get(key) or []):
        if alarm.get("Unit") and point["Unit"] != alarm["Unit"]:
            continue
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
