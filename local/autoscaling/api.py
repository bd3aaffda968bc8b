"""Application Auto Scaling for SageMaker variants: the actions, validated as AWS validates them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from local.autoscaling.targets import TARGETS, Policy, Target, new_policy_arn, new_target_arn
from local.settings import ACCOUNT

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
POLICY_LIMIT = 50
DEFAULT_COOLDOWN_SECONDS = 300
SERVICE_ROLE = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
BURSTABLE_PREFIXES = ("ml.t2.", "ml.t3.")


class AutoScalingError(Exception):
    """An error answer of the service."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.http_status = code, message, http_status


def call(action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one action; raises AutoScalingError."""
    handler = ACTIONS.get(action)
    if handler is None:
        raise AutoScalingError("InvalidAction", f"the laptop's Application Auto Scaling has no action {action}")
    validate(action, request)
    return handler(request)


def validate(action: str, request: Mapping[str, Any]) -> None:
    from local.autoscaling.validation import problems

    found = problems(action, request)
    if found:
        count = len(found)
        plural = "" if count == 1 else "s"
        raise AutoScalingError("ValidationException", f"{count} validation error{plural} detected: {'; '.join(found)}")
    if request.get("ServiceNamespace") != NAMESPACE:
        raise AutoScalingError(
            "ValidationException", f"the laptop scales SageMaker alone, not {request.get('ServiceNamespace')!r}"
        )


def register_scalable_target(request: Mapping[str, Any]) -> dict[str, Any]:
    resource_id, dimension = request["ResourceId"], request["ScalableDimension"]
    _require_variant(resource_id, dimension)
    with TARGETS.lock:
        target = TARGETS.get(resource_id, dimension)
        if target is None:
            target = _new_target(request)
        else:
            target.minimum = request.get("MinCapacity", target.minimum)
            target.maximum = request.get("MaxCapacity", target.maximum)
        if target.minimum > target.maximum:
            raise AutoScalingError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
        target.suspended.update(request.get("SuspendedState", {}))
        TARGETS.put(target)
    return {"ScalableTargetARN": target.arn}


def _new_target(request: Mapping[str, Any]) -> Target:
    if "MinCapacity" not in request or "MaxCapacity" not in request:
        raise AutoScalingError(
            "ValidationException", "Both MinCapacity and MaxCapacity must be specified for a new scalable target"
        )
    return Target(
        resource_id=request["ResourceId"],
        dimension=request["ScalableDimension"],
        minimum=request["MinCapacity"],
        maximum=request["MaxCapacity"],
        arn=new_target_arn(),
        role_arn=request.get("RoleARN", SERVICE_ROLE),
        created=time.time(),
        suspended={
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
    )


def _require_variant(resource_id: str, dimension: str) -> None:
    """SageMaker's own validation of a target: the variant exists and its instance type can scale."""
    parts = resource_id.split("/")
    if len(parts) != 4 or parts[0] != "endpoint" or parts[2] != "variant" or dimension != DIMENSION:
        raise AutoScalingError(
            "ValidationException",
            "Unsupported service namespace, resource type or scalable dimension: "
            f"{NAMESPACE}, {resource_id}, {dimension}",
        )
    variant = _described_variant(parts[1], parts[3])
    if variant is None:
        raise AutoScalingError(
            "ValidationException", f"ResourceId not found: SageMaker endpoint variant {resource_id} does not exist"
        )
    instance_type = variant.get("InstanceType", "")
    if instance_type.startswith(BURSTABLE_PREFIXES):
        raise AutoScalingError(
            "ValidationException",
            f"The instance type {instance_type} of the variant {parts[3]} is a burstable performance instance; "
            "automatic scaling does not support it",
        )


def _described_variant(endpoint_name: str, variant_name: str) -> dict[str, Any] | None:
    """The configured production variant, or None when endpoint or variant is missing."""
    from local.autoscaling import endpoints

    return endpoints.configured_variant(endpoint_name, variant_name)


def deregister_scalable_target(request: Mapping[str, Any]) -> dict[str, Any]:
    if TARGETS.remove(request["ResourceId"], request["ScalableDimension"]) is None:
        raise _no_target(request)
    return {}


def _no_target(request: Mapping[str, Any]) -> AutoScalingError:
    return AutoScalingError(
        "ObjectNotFoundException",
        f"No scalable target found for service namespace: {NAMESPACE}, resource ID: {request['ResourceId']}, "
        f"scalable dimension: {request['ScalableDimension']}",
    )


def describe_scalable_targets(request: Mapping[str, Any]) -> dict[str, Any]:
    wanted = request.get("ResourceIds")
    return {
        "ScalableTargets": [
            {
                "ServiceNamespace": NAMESPACE,
                "ResourceId": target.resource_id,
                "ScalableDimension": target.dimension,
                "MinCapacity": target.minimum,
                "MaxCapacity": target.maximum,
                "RoleARN": target.role_arn,
                "CreationTime": target.created,
                "SuspendedState": dict(target.suspended),
                "ScalableTargetARN": target.arn,
            }
            for target in TARGETS
            if not wanted or target.resource_id in wanted
        ]
    }


def put_scaling_policy(request: Mapping[str, Any]) -> dict[str, Any]:
    from local.autoscaling import alarms

    with TARGETS.lock:
        target = TARGETS.get(request["ResourceId"], request["ScalableDimension"])
        if target is None:
            raise _no_target(request)
        name = request["PolicyName"]
        configuration = _tracking_configuration(request)
        known = target.policies.get(name)
        if known is None and len(target.policies) >= POLICY_LIMIT:
            raise AutoScalingError("LimitExceededException", f"a target has at most {POLICY_LIMIT} policies")
        policy = known or Policy(name, {}, new_policy_arn(target, name), time.time())
        policy.configuration = configuration
        target.policies[name] = policy
    alarms.put(target, policy)
    return {"PolicyARN": policy.arn, "Alarms": _alarms(target, policy)}


def _tracking_configuration(request: Mapping[str, Any]) -> dict[str, Any]:
    if request.get("PolicyType", "StepScaling") != "TargetTrackingScaling":
        raise AutoScalingError("ValidationException", "the laptop carries out TargetTrackingScaling policies alone")
    configuration = request.get("TargetTrackingScalingPolicyConfiguration")
    if not configuration:
        raise AutoScalingError(
            "ValidationException", "TargetTrackingScaling policies require a TargetTrackingScalingPolicyConfiguration"
        )
    metrics = [m for m in ("PredefinedMetricSpecification", "CustomizedMetricSpecification") if m in configuration]
    if len(metrics) != 1:
        raise AutoScalingError(
            "ValidationException", "Exactly one of a predefined and a customized metric specification must be given"
        )
    return dict(configuration)


def _alarms(target: Target, policy: Policy) -> list[dict[str, str]]:
    from local.autoscaling import alarms

    return [{"AlarmName": name, "AlarmARN": alarms.arn_of(name)} for name in alarms.names_of(target, policy)]


def describe_scaling_policies(request: Mapping[str, Any]) -> dict[str, Any]:
    names = request.get("PolicyNames")
    resource_id = request.get("ResourceId")
    return {
        "ScalingPolicies": [
            {
                "PolicyARN": policy.arn,
                "PolicyName": policy.name,
                "ServiceNamespace": NAMESPACE,
                "ResourceId": target.resource_id,
                "ScalableDimension": target.dimension,
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": policy.configuration,
                "Alarms": _alarms(target, policy),
                "CreationTime": policy.created,
            }
            for target in TARGETS
            if resource_id in (None, target.resource_id)
            for policy in target.policies.values()
            if not names or policy.name in names
        ]
    }


def delete_scaling_policy(request: Mapping[str, Any]) -> dict[str, Any]:
    from local.autoscaling import alarms

    target = TARGETS.get(request["ResourceId"], request["ScalableDimension"])
    policy = target.policies.pop(request["PolicyName"], None) if target else None
    if target is None or policy is None:
        raise AutoScalingError(
            "ObjectNotFoundException", f"No scaling policy found for policy name: {request['PolicyName']}"
        )
    alarms.forget(target, policy)
    return {}


def describe_scaling_activities(request: Mapping[str, Any]) -> dict[str, Any]:
    resource_id = request.get("ResourceId")
    found = [a for target in TARGETS if resource_id in (None, target.resource_id) for a in target.activities]
    return {"ScalingActivities": found[: request.get("MaxResults", 50)]}


ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "RegisterScalableTarget": register_scalable_target,
    "DeregisterScalableTarget": deregister_scalable_target,
    "DescribeScalableTargets": describe_scalable_targets,
    "PutScalingPolicy": put_scaling_policy,
    "DescribeScalingPolicies": describe_scaling_policies,
    "DeleteScalingPolicy": delete_scaling_policy,
    "DescribeScalingActivities": describe_scaling_activities,
    "ListTagsForResource": lambda _: {"Tags": {}},
    "TagResource": lambda _: {},
    "UntagResource": lambda _: {},
}
