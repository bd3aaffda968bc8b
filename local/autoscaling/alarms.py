"""The two CloudWatch alarms of a target tracking policy, as they show in CloudWatch; the tracker itself decides."""

from __future__ import annotations

import time
from typing import Any

from local.autoscaling.targets import Policy, Target
from local.autoscaling.tracking import HIGH_DATAPOINTS, LOW_DATAPOINTS, LOW_FRACTION, metric_of
from local.settings import ACCOUNT, REGION


def names_of(target: Target, policy: Policy) -> tuple[str, str]:
    base = f"TargetTracking-{target.resource_id}"
    return f"{base}-AlarmHigh-{policy.name}", f"{base}-AlarmLow-{policy.name}"


def put(target: Target, policy: Policy) -> None:
    from ministack.services import cloudwatch

    high, low = names_of(target, policy)
    value = float(policy.configuration["TargetValue"])
    for name, comparison, threshold, count in (
        (high, "GreaterThanThreshold", value, HIGH_DATAPOINTS),
        (low, "LessThanThreshold", value * LOW_FRACTION, LOW_DATAPOINTS),
    ):
        condition = {"ComparisonOperator": comparison, "Threshold": threshold, "EvaluationPeriods": count}
        cloudwatch.cloudformation_put_metric_alarm(alarm_of(name, target, policy) | condition)


def alarm_of(name: str, target: Target, policy: Policy) -> dict[str, Any]:
    from ministack.services import cloudwatch

    known = cloudwatch._alarms.get(name) or {}
    return {
        "AlarmName": name,
        "AlarmArn": arn_of(name),
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
        "ActionsEnabled": True,
        "AlarmActions": [policy.arn],
        "OKActions": [],
        "InsufficientDataActions": [],
        "TreatMissingData": "missing",
        "StateValue": known.get("StateValue", "INSUFFICIENT_DATA"),
        "StateReason": known.get("StateReason", "Unchecked: Initial alarm creation"),
        "StateUpdatedTimestamp": known.get("StateUpdatedTimestamp", int(time.time())),
        "AlarmConfigurationUpdatedTimestamp": int(time.time()),
        **metric_of(target, policy.configuration),
    }


def arn_of(name: str) -> str:
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


def forget(target: Target, policy: Policy) -> None:
    from ministack.services import cloudwatch

    for name in names_of(target, policy):
        cloudwatch.cloudformation_delete_metric_alarm(name)
