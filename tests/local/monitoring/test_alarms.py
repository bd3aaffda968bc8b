import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from local.clock import Clock
from local.cloud import LaptopCloud
from local.monitoring.evaluation import datapoints, wanted_state
from tests.local.watching import MakeEar, patiently

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


def alarm_of(name: str, **changes: Any) -> dict[str, Any]:
    """A metric alarm on Test/<name> without dimensions, over one minute."""
    return {
        "AlarmName": name,
        "Namespace": "Test",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **changes,
    }


def put(cloudwatch: Any, values: dict[str, float]) -> None:
    """All in one minute."""
    moment = datetime.now(UTC)
    data = [{"MetricName": name, "Value": value, "Timestamp": moment} for name, value in values.items()]
    cloudwatch.put_metric_data(Namespace="Test", MetricData=data)


def state_of(cloudwatch: Any, name: str) -> str:
    answer = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (alarm,) = answer["MetricAlarms"] + answer["CompositeAlarms"]
    return str(alarm["StateValue"])


def stat_of(name: str) -> dict[str, Any]:
    return {"Metric": {"Namespace": "Test", "MetricName": name}, "Period": 60, "Stat": "Sum"}


def test_an_expression_rings_and_recovers_and_tells_its_topic_and_the_bus(
    laptop: LaptopCloud, make_ear: MakeEar
) -> None:
    cloudwatch, sns, events = (laptop.client(name) for name in ("cloudwatch", "sns", "events"))
    bus, paged = make_ear("alarm-events"), make_ear("alarm-pages")
    topic = sns.create_topic(Name="alarm-topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=paged.arn, Attributes={"RawMessageDelivery": "true"})
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["error-share"]}}
    events.put_rule(Name="alarm-rule", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="alarm-rule", Targets=[{"Id": "ear", "Arn": bus.arn}])
    metrics = [
        {"Id": "share", "Expression": "IF(calls > 0, 100 * FILL(errors, 0) / calls, 0)", "ReturnData": True},
        {"Id": "errors", "MetricStat": stat_of("share-errors"), "ReturnData": False},
        {"Id": "calls", "MetricStat": stat_of("share-calls"), "ReturnData": False},
    ]
    alarm = {key: value for key, value in alarm_of("error-share").items() if key in KEPT_BY_EXPRESSIONS}
    cloudwatch.put_metric_alarm(**alarm, Metrics=metrics, AlarmActions=[topic], OKActions=[topic])

    put(cloudwatch, {"share-calls": 8, "share-errors": 2})
    patiently(lambda: len(bus.heard()) >= 3 and len(paged.heard()) >= 3)

    changes = [(event["detail"]["previousState"]["value"], event["detail"]["state"]["value"]) for event in bus.heard()]
    assert changes == [("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK")]
    event = bus.heard()[1]
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:error-share"]
    assert event["detail"]["configuration"]["metrics"][0]["expression"].startswith("IF(calls > 0")
    assert event["detail"]["configuration"]["metrics"][1]["metricStat"]["metric"] == {
        "namespace": "Test",
        "name": "share-errors",
        "dimensions": {},
    }
    assert [message["NewStateValue"] for message in paged.heard()] == ["OK", "ALARM", "OK"]
    described = cloudwatch.describe_alarms(AlarmNames=["error-share"])["MetricAlarms"][0]
    assert [query["Id"] for query in described["Metrics"]] == ["share", "errors", "calls"]
    assert "MetricName" not in described


KEPT_BY_EXPRESSIONS = ("AlarmName", "EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData")


def test_a_wrong_expression_is_refused_and_no_alarm_is_made(laptop: LaptopCloud) -> None:
    cloudwatch = laptop.client("cloudwatch")
    alarm = {key: value for key, value in alarm_of("wrong").items() if key in KEPT_BY_EXPRESSIONS}

    with pytest.raises(cloudwatch.exceptions.ClientError, match="no element of Metrics has the Id calls"):
        cloudwatch.put_metric_alarm(**alarm, Metrics=[{"Id": "share", "Expression": "1 / calls", "Period": 60}])

    assert cloudwatch.describe_alarms(AlarmNames=["wrong"])["MetricAlarms"] == []


def test_a_topic_that_does_not_let_cloudwatch_publish_stays_silent_and_the_history_says_so(laptop: LaptopCloud) -> None:
    cloudwatch, sns = laptop.client("cloudwatch"), laptop.client("sns")
    topic = sns.create_topic(Name="closed-topic")["TopicArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    cloudwatch.put_metric_alarm(**alarm_of("unheard", AlarmActions=[topic]))

    cloudwatch.set_alarm_state(AlarmName="unheard", StateValue="ALARM", StateReason="tried")

    items = cloudwatch.describe_alarm_history(AlarmName="unheard", HistoryItemType="Action")["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in items] == [
        f"Failed to execute action {topic}. CloudWatch Alarms is not authorized to publish"
    ]


def test_a_composite_alarm_acts_after_its_wait_and_not_while_its_suppressor_rings(
    laptop: LaptopCloud, make_ear: MakeEar
) -> None:
    cloudwatch, sns = laptop.client("cloudwatch"), laptop.client("sns")
    paged = make_ear("composite-pages")
    topic = sns.create_topic(Name="composite-topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=paged.arn, Attributes={"RawMessageDelivery": "true"})
    for name in ("part-a", "part-b", "hush"):  # ignored gaps: only SetAlarmState moves them
        cloudwatch.put_metric_alarm(**alarm_of(name, TreatMissingData="ignore"))
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="calm")
    composite = {"AlarmName": "whole", "AlarmRule": 'ALARM("part-a") OR ALARM("part-b")', "AlarmActions": [topic]}
    periods = {"ActionsSuppressorWaitPeriod": 60, "ActionsSuppressorExtensionPeriod": 60}
    cloudwatch.put_composite_alarm(**composite, ActionsSuppressor="hush", **periods)

    cloudwatch.set_alarm_state(AlarmName="part-a", StateValue="ALARM", StateReason="tried")
    assert state_of(cloudwatch, "whole") == "ALARM"
    patiently(paged.heard)
    assert [message["NewStateValue"] for message in paged.heard()] == ["ALARM"]

    cloudwatch.set_alarm_state(AlarmName="hush", StateValue="ALARM", StateReason="a deployment")
    cloudwatch.set_alarm_state(AlarmName="part-a", StateValue="OK", StateReason="tried")
    cloudwatch.set_alarm_state(AlarmName="part-b", StateValue="ALARM", StateReason="tried")
    described = cloudwatch.describe_alarms(AlarmNames=["whole"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    assert (described["StateValue"], described["ActionsSuppressedBy"]) == ("ALARM", "Alarm")
    cloudwatch.set_alarm_state(AlarmName="hush", StateValue="OK", StateReason="over")
    patiently(lambda: len(paged.heard()) == 2)
    assert [message["NewStateValue"] for message in paged.heard()] == ["ALARM", "ALARM"]


def test_a_suppressor_comes_with_both_periods(laptop: LaptopCloud) -> None:
    cloudwatch = laptop.client("cloudwatch")

    with pytest.raises(
        cloudwatch.exceptions.ClientError,
        match="ActionsSuppressorWaitPeriod, ActionsSuppressorExtensionPeriod must be given",
    ):
        cloudwatch.put_composite_alarm(AlarmName="half", AlarmRule="FALSE", ActionsSuppressor="hush")
