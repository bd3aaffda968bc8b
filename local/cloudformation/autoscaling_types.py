"""AWS::ApplicationAutoScaling::ScalableTarget and ScalingPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.cloudformation.acting import autoscaling

Created = tuple[str, dict[str, Any]]
Properties = Mapping[str, Any]

REPLACING: dict[str, tuple[str, ...]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ("ResourceId", "ScalableDimension", "ServiceNamespace"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        "PolicyName",
        "ResourceId",
        "ScalableDimension",
        "ServiceNamespace",
        "ScalingTargetId",
    ),
}
TARGET_MEMBERS = ("ServiceNamespace", "ResourceId", "ScalableDimension")
CAPACITIES = ("MinCapacity", "MaxCapacity")


def target_id(props: Properties) -> str:
    """What Ref gives: <resource>|<dimension>|<namespace>."""
    return f"{props['ResourceId']}|{props['ScalableDimension']}|{props['ServiceNamespace']}"


def put_target(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    members = (*TARGET_MEMBERS, "RoleARN", "SuspendedState")
    request = {member: props[member] for member in members if member in props}
    request.update({member: int(props[member]) for member in CAPACITIES if member in props})
    autoscaling("RegisterScalableTarget", request)
    autoscaling("DescribeScalableTargets", {"ServiceNamespace": props["ServiceNamespace"]})
    return target_id(props), {"Id": target_id(props)}


def update_target(physical_id: str, old: Properties, new: dict[str, Any], stack_name: str) -> Created:
    return put_target(physical_id, new, stack_name)


def delete_target(physical_id: str, props: Properties) -> None:
    resource_id, dimension, namespace = physical_id.split("|")
    _ignoring_missing(
        "DeregisterScalableTarget",
        {"ServiceNamespace": namespace, "ResourceId": resource_id, "ScalableDimension": dimension},
    )


def policy_target(props: Properties) -> dict[str, str]:
    """Which target a policy names: by the target's Ref, or by its three members."""
    if target := props.get("ScalingTargetId"):
        resource_id, dimension, namespace = str(target).split("|")
        return {"ServiceNamespace": namespace, "ResourceId": resource_id, "ScalableDimension": dimension}
    return {member: props[member] for member in TARGET_MEMBERS}


def put_policy(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    tracking = dict(props.get("TargetTrackingScalingPolicyConfiguration", {}))
    if "TargetValue" in tracking:
        tracking["TargetValue"] = float(tracking["TargetValue"])
    for cooldown in ("ScaleInCooldown", "ScaleOutCooldown"):
        if cooldown in tracking:
            tracking[cooldown] = int(tracking[cooldown])
    request = {
        **policy_target(props),
        "PolicyName": props["PolicyName"],
        "PolicyType": props.get("PolicyType", "StepScaling"),
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    answer = autoscaling("PutScalingPolicy", request)
    autoscaling("DescribeScalingPolicies", {"ServiceNamespace": request["ServiceNamespace"]})
    return answer["PolicyARN"], {"Arn": answer["PolicyARN"], "PolicyName": props["PolicyName"]}


def update_policy(physical_id: str, old: Properties, new: dict[str, Any], stack_name: str) -> Created:
    return put_policy(physical_id, new, stack_name)


def delete_policy(physical_id: str, props: Properties) -> None:
    _ignoring_missing("DeleteScalingPolicy", {**policy_target(props), "PolicyName": props["PolicyName"]})


def _ignoring_missing(action: str, request: Properties) -> None:
    from local.autoscaling.api import AutoScalingError

    try:
        autoscaling(action, request)
    except AutoScalingError as error:
        if error.code != "ObjectNotFoundException":
            raise


HANDLERS: dict[str, dict[str, Any]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "create": put_target,
        "update": update_target,
        "delete": delete_target,
    },
    "AWS::ApplicationAutoScaling::ScalingPolicy": {
        "create": put_policy,
        "update": update_policy,
        "delete": delete_policy,
    },
}
