import time
from typing import Any

import pytest

from local.alarms import datapoints, wanted_state
from local.cloud import LaptopCloud

ALARM: dict[str, Any] = {
    "AlarmName": "errors",
    "Namespace": "AWS/SageMaker",
    "MetricName": "Invocation5XXErrors",
    "Dimensions": [{"Name": "EndpointName", "Value": "risk"}],
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "StateValue": "INSUFFICIENT_DATA",
}


@pytest.mark.parametrize(
    ("values", "changes", "state"),
    [
        ([1, 1, 1], {}, "ALARM"),
        ([0, 1, 1], {}, "OK"),
        ([0, 1, 1], {"DatapointsToAlarm": 2}, "ALARM"),
        ([None, None, None], {}, "INSUFFICIENT_DATA"),
        ([None, None, None], {"TreatMissingData": "notBreaching"}, "OK"),
        ([None, None, None], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None, None, None], {"TreatMissingData": "ignore", "StateValue": "OK"}, "OK"),
        ([None, 1, 1], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None, 1, 1], {"TreatMissingData": "notBreaching"}, "OK"),
        ([2, 2, 2], {"ComparisonOperator": "LessThanThreshold"}, "OK"),
    ],
)
def test_an_alarms_state_follows_its_data_and_its_treatment_of_gaps(
    values: list[float | None], changes: dict[str, Any], state: str
) -> None:
    assert wanted_state({**ALARM, **changes}, values)[0] == state


def test_an_alarm_counts_its_own_dimensions_and_keeps_periods_apart() -> None:
    from ministack.services import cloudwatch

    now = 2_000_000.0
    for endpoint, seconds_ago, value in (("risk", 30, 2.0), ("risk", 100, 1.0), ("performance", 10, 50.0)):
        dimensions = {"EndpointName": endpoint}
        cloudwatch._store_datum(
            "AWS/SageMaker", "Invocation5XXErrors", dimensions, now - seconds_ago, "Count", value, None, None, None
        )
    assert datapoints(ALARM, now=now) == [None, 1.0, 2.0]


def test_one_endpoints_errors_do_not_alarm_for_the_other(laptop: LaptopCloud) -> None:
    cloudwatch = laptop.client("cloudwatch")
    for endpoint in ("a", "b"):
        cloudwatch.put_metric_alarm(
            AlarmName=f"errors-{endpoint}",
            Namespace="Test",
            MetricName="Errors",
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )
    cloudwatch.put_metric_data(
        Namespace="Test",
        MetricData=[{"MetricName": "Errors", "Dimensions": [{"Name": "EndpointName", "Value": "a"}], "Value": 3}],
    )
    time.sleep(0.1)
    found = cloudwatch.describe_alarms(AlarmNamePrefix="errors-")["MetricAlarms"]
    assert {alarm["AlarmName"]: alarm["StateValue"] for alarm in found} == {"errors-a": "ALARM", "errors-b": "OK"}
