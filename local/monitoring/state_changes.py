"""What an alarm that changed its state tells the world: the event on the default bus, and the message to a topic."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local.settings import ACCOUNT

REGION_NAME = "US East (N. Virginia)"
DETAIL_TYPE = "CloudWatch Alarm State Change"
SOURCE = "aws.cloudwatch"
COPIED = (
    "AlarmName",
    "AlarmDescription",
    "AlarmArn",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
)
TRIGGER = ("Period", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold", "TreatMissingData")


def stamp(moment: float) -> str:
    """2019-10-02T17:04:40.989+0000"""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def state_document(alarm: Mapping[str, Any], *, moment: float) -> dict[str, str]:
    """An alarm's state as events carry it."""
    document = {"value": alarm["StateValue"], "reason": alarm["StateReason"], "timestamp": stamp(moment)}
    members = {
        "reasonData": "StateReasonData",
        "actionsSuppressedBy": "ActionsSuppressedBy",
        "actionsSuppressedReason": "ActionsSuppressedReason",
    }
    return document | {name: alarm[member] for name, member in members.items() if alarm.get(member)}


def event_detail(alarm: Mapping[str, Any], *, state: Mapping[str, str], previous: Mapping[str, str]) -> dict[str, Any]:
    """CloudWatch user guide, "Alarm events and EventBridge"."""
    configuration = _composite_configuration(alarm) if "AlarmRule" in alarm else {"metrics": _metrics(alarm)}
    if alarm.get("AlarmDescription"):
        configuration["description"] = alarm["AlarmDescription"]
    return {
        "alarmName": alarm["AlarmName"],
        "state": dict(state),
        "previousState": dict(previous),
        "configuration": configuration,
    }


def _composite_configuration(alarm: Mapping[str, Any]) -> dict[str, Any]:
    members = ("AlarmRule", "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
    return {name[0].lower() + name[1:]: alarm[name] for name in members if name in alarm}


def _metrics(alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    if queries := alarm.get("Metrics"):
        return [_query(query) for query in queries]
    stat = {
        "Metric": {name: alarm.get(name) for name in ("Namespace", "MetricName", "Dimensions")},
        "Period": alarm.get("Period"),
        "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
    }
    return [{"id": "m1", "metricStat": _stat(stat), "returnData": True}]


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
    if query.get("MetricStat"):
        found["metricStat"] = _stat(query["MetricStat"])
    for name in ("Expression", "Label"):
        if query.get(name):
            found[name.lower()] = query[name]
    return found


def _stat(stat: Mapping[str, Any]) -> dict[str, Any]:
    metric = stat["Metric"]
    return {
        "metric": {
            "namespace": metric["Namespace"],
            "name": metric["MetricName"],
            "dimensions": {entry["Name"]: entry["Value"] for entry in metric.get("Dimensions") or []},
        },
        "period": stat["Period"],
        "stat": stat["Stat"],
    }


def notification(alarm: Mapping[str, Any], *, old_state: str, moment: float) -> dict[str, Any]:
    """The message that a topic gets: one of a metric alarm has a Trigger, one of a composite alarm its rule."""
    message = {
        **{name: alarm.get(name) for name in COPIED},
        "AWSAccountId": ACCOUNT,
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": alarm["StateReason"],
        "StateChangeTime": stamp(moment),
        "Region": REGION_NAME,
        "OldStateValue": old_state,
    }
    if "AlarmRule" in alarm:
        return {**message, "AlarmRule": alarm["AlarmRule"]}
    trigger = {name: alarm.get(name) for name in TRIGGER}
    if queries := alarm.get("Metrics"):
        return {**message, "Trigger": {**trigger, "Metrics": queries}}
    dimensions = [{"name": entry["Name"], "value": entry["Value"]} for entry in alarm.get("Dimensions") or []]
    metric = {name: alarm.get(name) for name in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Unit")}
    return {**message, "Trigger": {**metric, "Dimensions": dimensions, **trigger}}
