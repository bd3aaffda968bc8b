"""Rules, their targets' permissions, and schedules, through a laptop cloud whose minute takes 0.6 s."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from local.autoscaling.events import scaled_to_max
from local.autoscaling.targets import Policy, Target, UnderWay
from local.clock import Clock
from local.cloud import LaptopCloud
from local.events import at_the_pace_of
from local.sagemaker.state_events import events_of, shouted
from local.sagemaker.store import Change, Scope
from tests.local.watching import MakeEar, Metrics, patiently


def rule_on(laptop: LaptopCloud, name: str, target: dict[str, Any], **rule: str) -> str:
    events = laptop.client("events")
    arn = events.put_rule(Name=name, **rule)["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "one", **target}])
    return str(arn)


def say(laptop: LaptopCloud, source: str) -> None:
    entry = {"Source": source, "DetailType": "said", "Detail": json.dumps({"word": "yes"})}
    assert laptop.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def failures_of(metrics: Metrics, rule: str) -> tuple[float | None, float | None]:
    return (
        metrics.total("AWS/Events", "Invocations", RuleName=rule),
        metrics.total("AWS/Events", "FailedInvocations", RuleName=rule),
    )


def test_a_function_hears_of_an_event_only_where_its_policy_lets_the_rule_in(
    laptop: LaptopCloud, make_function: Callable[[str, str], str], metrics: Metrics
) -> None:
    name = make_function("hearing", "def handler(event, context): return event")
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    rule = rule_on(laptop, "to-function", {"Arn": function}, EventPattern='{"source": ["test.function"]}')

    say(laptop, "test.function")
    patiently(lambda: failures_of(metrics, "to-function") == (1, 1))
    assert failures_of(metrics, "to-function") == (1, 1)
    assert metrics.total("AWS/Lambda", "Invocations", FunctionName=name) is None

    laptop.client("lambda").add_permission(
        FunctionName=name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    say(laptop, "test.function")
    patiently(lambda: metrics.total("AWS/Lambda", "Invocations", FunctionName=name) == 1)
    assert metrics.total("AWS/Lambda", "Invocations", FunctionName=name) == 1
    assert failures_of(metrics, "to-function") == (2, 1)


def test_what_cannot_be_delivered_waits_in_the_targets_queue(
    laptop: LaptopCloud, make_function: Callable[[str, str], str], make_ear: MakeEar, metrics: Metrics
) -> None:
    name, ear = make_function("deaf", "def handler(event, context): return event"), make_ear("undelivered")
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    target = {"Arn": function, "DeadLetterConfig": {"Arn": ear.arn}}
    rule_on(laptop, "to-the-deaf", target, EventPattern='{"source": ["test.deaf"]}')

    say(laptop, "test.deaf")

    patiently(ear.heard)
    assert [event["detail"] for event in ear.heard()] == [{"word": "yes"}]
    assert patiently(lambda: metrics.total("AWS/Events", "InvocationsSentToDlq", RuleName="to-the-deaf") == 1)


def test_a_topic_hears_of_an_event_in_the_words_of_its_transformer_where_its_policy_lets_the_rule_in(
    laptop: LaptopCloud, make_ear: MakeEar, metrics: Metrics
) -> None:
    sns, ear = laptop.client("sns"), make_ear("event-pages")
    topic = sns.create_topic(Name="event-topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=ear.arn, Attributes={"RawMessageDelivery": "true"})
    transformer = {"InputPathsMap": {"word": "$.detail.word"}, "InputTemplate": '{"heard": "<word>"}'}
    target = {"Arn": topic, "InputTransformer": transformer}
    rule_on(laptop, "to-topic", target, EventPattern='{"source": ["test.topic"]}')

    def open_to(principal: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sns:Publish",
            "Resource": topic,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)

    open_to("cloudwatch.amazonaws.com")
    say(laptop, "test.topic")
    open_to("events.amazonaws.com")
    say(laptop, "test.topic")

    patiently(ear.heard)
    assert ear.heard() == [{"heard": "yes"}]
    patiently(lambda: failures_of(metrics, "to-topic") == (2, 1))
    assert failures_of(metrics, "to-topic") == (2, 1)


def test_a_rate_passes_at_the_clocks_pace(laptop: LaptopCloud, make_ear: MakeEar) -> None:
    ear = make_ear("ticks")
    rule_on(laptop, "every-minute", {"Arn": ear.arn}, ScheduleExpression="rate(1 minute)")

    patiently(lambda: len(ear.heard()) >= 2)
    laptop.client("events").remove_targets(Rule="every-minute", Ids=["one"])
    assert [event["detail-type"] for event in ear.heard()[:2]] == ["Scheduled Event"] * 2


def test_only_rates_are_waits() -> None:
    def parse(expression: str) -> int | None:
        return 300 if expression == "rate(5 minutes)" else None

    parsed = at_the_pace_of(Clock(0.1), parse)

    assert parsed("rate(5 minutes)") == 30
    assert parsed("cron(0 3 1 * ? *)") is None


ENDPOINT_ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/risk"


def endpoint_change(status: str) -> Change:
    body = {
        "EndpointName": "risk",
        "EndpointArn": ENDPOINT_ARN,
        "EndpointConfigName": "one",
        "EndpointStatus": status,
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Change("Endpoint", "risk", status, Scope("000000000000", "us-east-1"), body)


@pytest.mark.parametrize(
    ("status", "before", "types"),
    [
        ("Creating", None, ["SageMaker Endpoint State Change"]),
        ("InService", "Creating", ["SageMaker Endpoint State Change"]),
        ("Updating", "InService", ["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"]),
        ("RollingBack", "Updating", ["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"]),
        ("InService", "Updating", ["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"]),
    ],
)
def test_an_endpoint_tells_of_its_states_and_of_its_deployments(
    status: str, before: str | None, types: list[str]
) -> None:
    change = endpoint_change(status)
    events = list(events_of(change, change.body, before=before))

    assert [event.detail_type for event in events] == types
    assert {event.resource for event in events} == {ENDPOINT_ARN}
    assert events[0].detail["CreationTime"] == 1_767_225_600_000


@pytest.mark.parametrize(
    ("status", "told"),
    [("InService", "IN_SERVICE"), ("RollingBack", "ROLLING_BACK"), ("UpdateRollbackFailed", "UPDATE_ROLLBACK_FAILED")],
)
def test_an_endpoints_status_is_told_in_upper_case(status: str, told: str) -> None:
    assert shouted(status) == told
    assert (
        next(events_of(endpoint_change(status), endpoint_change(status).body, before=None)).detail["EndpointStatus"]
        == told
    )


def test_a_packages_approval_is_an_event_and_other_changes_are_none(laptop: LaptopCloud, make_ear: MakeEar) -> None:
    ear, sagemaker = make_ear("packages"), laptop.client("sagemaker")
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Model Package State Change"]}
    rule_on(laptop, "packages", {"Arn": ear.arn}, EventPattern=json.dumps(pattern))
    sagemaker.create_model_package_group(ModelPackageGroupName="told")
    arn = sagemaker.create_model_package(ModelPackageGroupName="told")["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"note": "nothing new"})
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    patiently(lambda: len(ear.heard()) >= 2)
    told = [(event["resources"], event["detail"]["ModelApprovalStatus"]) for event in ear.heard()]
    assert told == [([arn], "PendingManualApproval"), ([arn], "Approved")]


@pytest.mark.parametrize(("before", "desired", "told"), [(1, 3, True), (1, 2, False), (3, 2, False)])
def test_scaling_tells_of_its_maximum_and_of_nothing_else(before: int, desired: int, *, told: bool) -> None:
    target = Target(
        resource_id="endpoint/risk/variant/live",
        dimension="sagemaker:variant:DesiredInstanceCount",
        minimum=1,
        maximum=3,
        arn="arn",
        role_arn="role",
        created=0.0,
        suspended={},
    )
    activity = {"StartTime": 1_767_225_600.0, "EndTime": 1_767_225_660.0}
    done = UnderWay(activity, Policy("p", {}, "arn", 0.0), before, desired)

    detail = scaled_to_max(target, done)

    assert (detail is not None) == told
    if detail is not None:
        assert detail == {
            "startTime": "2026-01-01T00:00:00Z",
            "endTime": "2026-01-01T00:01:00Z",
            "newDesiredCapacity": 3,
            "oldDesiredCapacity": 1,
            "minCapacity": 1,
            "maxCapacity": 3,
            "resourceId": "endpoint/risk/variant/live",
            "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "serviceNamespace": "sagemaker",
            "statusCode": "Successful",
            "scaledToMax": True,
            "direction": "scale-out",
        }
