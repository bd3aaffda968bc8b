"""Application Auto Scaling: what it accepts, and when it scales. SageMaker is a small stand-in that remembers a size."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.autoscaling import api, endpoints, tracking
from local.autoscaling.endpoints import VariantSize
from local.autoscaling.targets import TARGETS, endpoint_has_target
from local.autoscaling.tracking import Decision, Sizes, Tracker, decide
from local.clock import Clock

RESOURCE = "endpoint/risk/variant/live"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 100.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleOutCooldown": 60,
    "ScaleInCooldown": 300,
}
POLICY = {
    **TARGET,
    "PolicyName": "keep-up",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}


class Variant:
    """One endpoint's one variant."""

    def __init__(self) -> None:
        self.size = VariantSize(1, 1, "InService")
        self.instance_type = "ml.m5.large"

    def configured(self, endpoint: str, variant: str) -> dict[str, Any] | None:
        return {"InstanceType": self.instance_type} if (endpoint, variant) == ("risk", "live") else None

    def set_size(self, endpoint: str, variant: str, count: int) -> None:
        self.size = VariantSize(count, count, "InService")


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
    stand_in = Variant()
    monkeypatch.setattr(endpoints, "configured_variant", stand_in.configured)
    monkeypatch.setattr(endpoints, "variant_size", lambda *_: stand_in.size)
    monkeypatch.setattr(endpoints, "set_size", stand_in.set_size)
    yield stand_in
    TARGETS.forget_endpoint("risk")


def register(**changes: Any) -> dict[str, Any]:
    return api.call("RegisterScalableTarget", {**TARGET, "MinCapacity": 1, "MaxCapacity": 3, **changes})


def refusal(action: str, request: dict[str, Any]) -> str:
    with pytest.raises(api.AutoScalingError) as refused:
        api.call(action, request)
    return f"{refused.value.code}: {refused.value.message}"


def test_a_target_is_registered_changed_described_and_deregistered(variant: Variant) -> None:
    arn = register()["ScalableTargetARN"]
    assert register(MaxCapacity=5)["ScalableTargetARN"] == arn
    (described,) = api.call("DescribeScalableTargets", {"ServiceNamespace": "sagemaker"})["ScalableTargets"]
    assert (described["MinCapacity"], described["MaxCapacity"], described["ResourceId"]) == (1, 5, RESOURCE)
    assert endpoint_has_target("risk")
    api.call("DeregisterScalableTarget", TARGET)
    assert not endpoint_has_target("risk")
    assert refusal("DeregisterScalableTarget", TARGET).startswith("ObjectNotFoundException")


def test_a_variant_must_exist_and_must_not_be_burstable(variant: Variant) -> None:
    missing = {**TARGET, "ResourceId": "endpoint/risk/variant/other", "MinCapacity": 1, "MaxCapacity": 3}
    assert "does not exist" in refusal("RegisterScalableTarget", missing)
    variant.instance_type = "ml.t2.medium"
    assert "burstable" in refusal("RegisterScalableTarget", {**TARGET, "MinCapacity": 1, "MaxCapacity": 3})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ScalableDimension": "sagemaker:variant:Weight"}, "enum value set"),
        ({"ServiceNamespace": "lambda"}, "enum value set: ["),
        ({"MinCapacity": "1"}, "must be of type integer"),
        ({"Surprise": 1}, "Member is unknown"),
        ({"MinCapacity": 4}, "Maximum capacity cannot be less than minimum capacity"),
    ],
)
def test_a_wrong_target_is_refused_in_words(variant: Variant, changes: dict[str, Any], said: str) -> None:
    answer = refusal("RegisterScalableTarget", {**TARGET, "MinCapacity": 1, "MaxCapacity": 3, **changes})
    assert answer.startswith("ValidationException")
    assert said in answer or "scales SageMaker alone" in answer


def test_a_policy_needs_a_target_and_one_metric(variant: Variant) -> None:
    assert refusal("PutScalingPolicy", POLICY).startswith("ObjectNotFoundException")
    register()
    both = {**TRACKING, "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n", "Statistic": "Sum"}}
    assert "Exactly one" in refusal("PutScalingPolicy", {**POLICY, "TargetTrackingScalingPolicyConfiguration": both})
    answer = api.call("PutScalingPolicy", POLICY)
    assert [alarm["AlarmName"].split("-")[-3] for alarm in answer["Alarms"]] == ["AlarmHigh", "AlarmLow"]
    (described,) = api.call("DescribeScalingPolicies", {"ServiceNamespace": "sagemaker"})["ScalingPolicies"]
    assert described["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    api.call("DeleteScalingPolicy", {**TARGET, "PolicyName": "keep-up"})
    assert "No scaling policy found" in refusal("DeleteScalingPolicy", {**TARGET, "PolicyName": "keep-up"})


def decided(current: int, values: list[float | None], *, before_out: int | None = None, **changes: Any) -> Decision:
    return decide(sizes=Sizes(current, 1, 3, before_out), target_value=100.0, values=values, **changes)


@pytest.mark.parametrize(
    ("current", "values", "desired"),
    [
        (1, [150, 150, 150], 2),  # 1 x 150/100, rounded up
        (1, [150, 150], 1),  # three data points are needed
        (1, [150, 90, 150], 1),  # all three above the target
        (1, [150, 150, 150, None], 2),  # a minute that has not been written yet is waited for, not taken for zero
        (1, [150, 150, 90, None], 1),
        (2, [400, 400, 400], 3),  # never above the maximum
        (3, [50] * 15, 2),
        (3, [50] * 14, 3),  # fifteen data points are needed to scale in
        (3, [None] * 14 + [0, 0, 0], 3),
        (2, [95] * 15, 2),  # between 90 and 100 % nothing happens
        (2, [85] * 15, 2),  # 2 x 85/100, rounded up
        (3, [0] * 15, 2),  # one at a time
        (2, [0] * 15, 1),
        (1, [0] * 15, 1),
        (3, [0] * 15 + [None, None], 2),
        (3, [], 3),
        (5, [100] * 3, 3),  # a size outside the limits is brought inside
    ],
)
def test_the_size_follows_the_metric(current: int, values: list[float | None], desired: int) -> None:
    assert decided(current, values).desired == desired


def test_what_a_scale_out_added_counts_while_its_cooldown_lasts() -> None:
    assert decided(2, [150.0] * 3, before_out=1).desired == 2
    assert decided(2, [250.0] * 3, before_out=1).desired == 3  # the first step would have been to three
    assert decided(2, [150.0] * 3).desired == 3


def test_the_scale_in_cooldown_holds_scaling_in_alone_back() -> None:
    busy, idle = [300.0] * 3, [0.0] * 15
    assert decided(3, idle, is_in_scale_in_cooldown=True).desired == 3
    assert decided(3, idle, scale_in_allowed=False).desired == 3
    assert decided(1, busy, is_in_scale_in_cooldown=True).desired == 3


class Hands:
    """A tracker whose time and data a test moves by hand; a minute takes 6 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        register()
        api.call("PutScalingPolicy", POLICY)
        self.now, self.values = 1_000_000.0, [0.0]
        monkeypatch.setattr(tracking, "datapoints", lambda *_, **__: self.values)
        self.tracker = Tracker(Clock(0.1), now=lambda: self.now)
        (self.target,) = TARGETS.of_endpoint("risk")

    def look(self, values: list[float], *, seconds_later: float = 0.0) -> None:
        self.values, self.now = values, self.now + seconds_later
        self.tracker.settle(self.target)
        self.tracker.look_at(self.target)

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.call("DescribeScalingActivities", {"ServiceNamespace": "sagemaker"})[
            "ScalingActivities"
        ]
        return found


def test_the_tracker_scales_out_notes_it_and_its_cooldown_begins_at_the_end(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(monkeypatch)
    hands.look([150.0] * 3)
    assert variant.size.desired == 2
    (activity,) = hands.activities()
    assert (activity["Description"], activity["StatusCode"]) == ("Setting desired instance count to 2.", "InProgress")
    assert "AlarmHigh" in activity["Cause"]
    assert "keep-up" in activity["Cause"]
    variant.size = VariantSize(1, 2, "Updating")
    hands.look([300.0] * 3, seconds_later=60)
    variant.size = VariantSize(2, 2, "InService")
    hands.look([150.0] * 3, seconds_later=1)  # the activity ends here
    assert hands.activities()[0]["StatusCode"] == "Successful"
    hands.look([150.0] * 3, seconds_later=5.9)
    assert variant.size.desired == 2
    hands.look([150.0] * 3, seconds_later=0.2)  # 61 s of the clock
    assert variant.size.desired == 3


def test_the_tracker_scales_in_by_one_and_waits_for_its_cooldown(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant.size = VariantSize(3, 3, "InService")
    hands = Hands(monkeypatch)
    hands.look([0.0] * 15)
    assert variant.size.desired == 2
    hands.look([0.0] * 15, seconds_later=6)
    hands.look([0.0] * 15, seconds_later=29)
    assert variant.size.desired == 2
    hands.look([0.0] * 15, seconds_later=2)
    assert variant.size.desired == 1
    hands.look([0.0] * 15, seconds_later=60)
    assert variant.size.desired == 1
    assert ["AlarmLow" in activity["Cause"] for activity in hands.activities()] == [True, True]


def test_an_activity_that_the_endpoint_did_not_carry_out_has_failed(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(monkeypatch)
    hands.look([150.0] * 3)
    variant.size = VariantSize(1, 1, "InService")
    hands.look([0.0], seconds_later=1)
    assert hands.activities()[0]["StatusCode"] == "Failed"


def test_an_endpoint_that_is_being_updated_is_left_alone(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    variant.size = VariantSize(1, 1, "Updating")
    hands.look([250.0] * 3)
    assert variant.size == VariantSize(1, 1, "Updating")


def test_the_metric_is_that_of_the_variant() -> None:
    register_target = {"EndpointName": "risk", "VariantName": "live"}
    target = api._new_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 3})
    metric = tracking.metric_of(target, TRACKING)
    assert {entry["Name"]: entry["Value"] for entry in metric["Dimensions"]} == register_target
    assert (metric["MetricName"], metric["Statistic"], metric["Period"]) == ("InvocationsPerInstance", "Sum", 60)


def test_a_policys_two_alarms_are_in_cloudwatch_as_long_as_the_policy(variant: Variant) -> None:
    from ministack.services import cloudwatch

    register()
    names = [alarm["AlarmName"] for alarm in api.call("PutScalingPolicy", POLICY)["Alarms"]]

    high, low = (cloudwatch._alarms[name] for name in names)
    assert (high["Threshold"], high["EvaluationPeriods"], high["ComparisonOperator"]) == (
        100.0,
        3,
        "GreaterThanThreshold",
    )
    assert (low["Threshold"], low["EvaluationPeriods"], low["ComparisonOperator"]) == (90.0, 15, "LessThanThreshold")
    assert high["MetricName"] == low["MetricName"] == "InvocationsPerInstance"

    api.call("DeleteScalingPolicy", {**TARGET, "PolicyName": "keep-up"})
    assert not any(name in cloudwatch._alarms for name in names)

    api.call("PutScalingPolicy", POLICY)
    api.call("DeregisterScalableTarget", TARGET)
    assert not any(name in cloudwatch._alarms for name in names)
