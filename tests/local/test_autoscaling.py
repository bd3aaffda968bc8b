"""Application Auto Scaling: what it accepts, and when it scales. SageMaker is a small stand-in that remembers a size."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.autoscaling import api, endpoints, tracking
from local.autoscaling.endpoints import VariantSize
from local.autoscaling.targets import TARGETS, endpoint_has_target
from local.autoscaling.tracking import Decision, Sizes, Tracker, decide

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


def decided(current: int, datapoints: list[float], **changes: Any) -> Decision:
    settings: dict[str, Any] = {
        "sizes": Sizes(current, 1, 3),
        "target_value": 100.0,
        "seconds_since_out": 1e9,
        "seconds_since_in": 1e9,
        "out_cooldown": 60,
        "in_cooldown": 300,
    }
    return decide(datapoints=datapoints, **{**settings, **changes})


@pytest.mark.parametrize(
    ("current", "datapoints", "desired"),
    [
        (1, [150, 150, 150], 2),  # 1 x 150/100, rounded up
        (1, [150, 150], 1),  # three data points are needed
        (1, [150, 90, 150], 1),  # all three above the target
        (2, [400, 400, 400], 3),  # never above the maximum
        (3, [50] * 15, 2),  # 3 x 50/100, rounded up
        (3, [50] * 14, 3),  # fifteen data points are needed to scale in
        (2, [95] * 15, 2),  # between 90 and 100 % nothing happens
        (3, [0] * 15, 1),  # an idle endpoint goes to the minimum
        (5, [100] * 3, 3),  # a size outside the limits is brought inside
    ],
)
def test_the_size_follows_the_metric(current: int, datapoints: list[float], desired: int) -> None:
    assert decided(current, datapoints).desired == desired


def test_cooldowns_hold_scaling_back() -> None:
    busy, idle = [300.0] * 3, [0.0] * 15
    assert decided(1, busy, seconds_since_out=30).desired == 1
    assert decided(1, busy, seconds_since_out=61).desired == 3
    assert decided(3, idle, seconds_since_in=200).desired == 3
    assert decided(3, idle, seconds_since_out=200).desired == 3
    assert decided(3, idle, scale_in_allowed=False).desired == 3
    assert decided(1, busy, seconds_since_in=1).desired == 3  # scaling in never blocks scaling out


def test_the_tracker_scales_out_notes_it_and_waits_for_its_cooldown(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    api.call("PutScalingPolicy", POLICY)
    monkeypatch.setattr(tracking, "read_metric", lambda *_, **__: [250.0, 250.0, 250.0])
    now = time.time()
    tracker = Tracker(now=lambda: now)
    (target,) = TARGETS.of_endpoint("risk")
    tracker.look_at(target)
    assert variant.size.desired == 3
    (activity,) = api.call("DescribeScalingActivities", {"ServiceNamespace": "sagemaker"})["ScalingActivities"]
    assert activity["Description"] == "Setting desired instance count to 3."
    assert "keep-up" in activity["Cause"]
    variant.size = VariantSize(1, 1, "InService")
    tracker.look_at(target)
    assert variant.size.desired == 1  # 60 s have not passed


def test_an_endpoint_that_is_being_updated_is_left_alone(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    api.call("PutScalingPolicy", POLICY)
    monkeypatch.setattr(tracking, "read_metric", lambda *_, **__: [250.0, 250.0, 250.0])
    variant.size = VariantSize(1, 1, "Updating")
    Tracker().look_at(TARGETS.of_endpoint("risk")[0])
    assert variant.size == VariantSize(1, 1, "Updating")


def test_a_metric_is_read_by_its_dimensions_and_gaps_are_idleness() -> None:
    from ministack.services import cloudwatch

    end = 1_000_020.0
    for moment, name, value in ((999_850, "risk", 5.0), (999_960, "risk", 7.0), (999_960, "performance", 99.0)):
        dimensions = {"EndpointName": name, "VariantName": "live"}
        cloudwatch._store_datum("Test", "Invocations", dimensions, moment, "None", value, None, None, None)
    values = tracking.read_metric(
        "Test",
        "Invocations",
        "Sum",
        {"EndpointName": "risk", "VariantName": "live"},
        end=end,
        period_seconds=60,
        count=15,
    )
    assert values == [5.0, 0.0, 7.0]
