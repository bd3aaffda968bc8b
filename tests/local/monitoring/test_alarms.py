import json
import time
from typing import Any

import pytest

from local.clock import Clock
from local.cloud import LaptopCloud
from local.monitoring.evaluation import datapoints, wanted_state

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
        # The examples of CloudWatch's guide: a range of five for three periods, of which three or two must breach.
        ([0, None, 1, None, 1], {}, "OK"),
        ([0, 1, 1, None, 1], {}, "ALARM"),
        ([None, None, 1, None, None], {}, "ALARM"),
        ([None, None, 1, None, None], {"TreatMissingData": "notBreaching"}, "OK"),
        ([None, None, 1, None, None], {"TreatMissingData": "ignore", "StateValue": "OK"}, "OK"),
        ([None, None, None, None, 1], {}, "OK"),
        ([0, None, 1, None, 1], {"DatapointsToAlarm": 2}, "ALARM"),
        ([0, None, 1, None, None], {"DatapointsToAlarm": 2}, "OK"),
        ([0, None, 1, None, None], {"DatapointsToAlarm": 2, "TreatMissingData": "breaching"}, "ALARM"),
        ([None, None, None, 1, None], {"DatapointsToAlarm": 2}, "ALARM"),
    ],
)
def test_an_alarms_state_follows_its_data_and_its_treatment_of_gaps(
    values: list[float | None], changes: dict[str, Any], state: str
) -> None:
    assert wanted_state({**ALARM, **changes}, values)[0] == state


def store(name: str, moment: float, value: float, endpoint: str = "risk") -> None:
    from ministack.services import cloudwatch

    dimensions = {"EndpointName": endpoint}
    cloudwatch._store_datum("AWS/SageMaker", name, dimensions, moment, "Count", value, None, None, None)


def test_an_alarm_counts_its_own_dimensions_and_keeps_whole_minutes_apart() -> None:
    minute = 2_000_040.0  # a whole minute since the epoch
    for endpoint, moment, value in (
        ("risk", minute - 60, 2.0),
        ("risk", minute - 0.1, 3.0),
        ("risk", minute - 60.1, 1.0),
        ("risk", minute, 99.0),
        ("performance", minute - 10, 50.0),
    ):
        store("Whole", moment, value, endpoint)
    alarm = {**ALARM, "MetricName": "Whole"}

    for seconds_into_the_next in (0, 30, 59):
        found = datapoints(alarm, now=minute + seconds_into_the_next, clock=Clock())
        assert found == [None, None, None, 1.0, 5.0]
    assert datapoints(alarm, now=minute + 60, clock=Clock()) == [None, None, 1.0, 5.0, 99.0]


def test_a_longer_period_slides_by_minutes() -> None:
    minute = 3_000_000.0
    store("Sliding", minute + 30, 1.0)
    alarm = {**ALARM, "MetricName": "Sliding", "Period": 300, "EvaluationPeriods": 1}

    values = [datapoints(alarm, now=minute + 60 * number, clock=Clock())[-1] for number in range(8)]

    assert values == [None, 1.0, 1.0, 1.0, 1.0, 1.0, None, None]


def test_a_minute_of_an_alarm_passes_at_the_clocks_pace() -> None:
    now = 1_800_000_000.5
    for moment in (now - 1, now - 7, now - 8):
        store("Fast", moment, 1.0)
    alarm = {**ALARM, "MetricName": "Fast"}

    assert datapoints(alarm, now=now, clock=Clock(0.1)) == [None, None, None, 2.0, 1.0]


def test_a_percentile_is_of_every_value_of_its_period() -> None:
    minute = 2_400_000.0
    for value in range(1, 102):
        store("Latency", minute - 30, float(value))
    alarm = {**ALARM, "MetricName": "Latency", "ExtendedStatistic": "p99", "Statistic": None}

    assert datapoints(alarm, now=minute, clock=Clock())[-1] == 100.0


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
    deadline = time.monotonic() + 20
    while "ALARM" not in states_of(cloudwatch, "errors-a") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "ALARM" in states_of(cloudwatch, "errors-a")
    assert "ALARM" not in states_of(cloudwatch, "errors-b")


def states_of(cloudwatch: Any, alarm: str) -> list[str]:
    """Every state that the alarm has entered."""
    items = cloudwatch.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    return [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in items]
