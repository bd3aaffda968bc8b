"""What Application Auto Scaling remembers: scalable targets, their policies and what scaling did."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.settings import ACCOUNT, REGION

TargetKey = tuple[str, str]
"""Resource id and scalable dimension."""


@dataclass
class Policy:
    name: str
    configuration: dict[str, Any]
    arn: str
    created: float
    scaled_out_at: float | None = None
    scaled_out_from: int | None = None
    scaled_in_at: float | None = None


@dataclass(frozen=True)
class UnderWay:
    """A scaling activity that the endpoint is carrying out, and how many instances there were before."""

    activity: dict[str, Any]
    policy: Policy
    before: int
    desired: int


@dataclass
class Target:
    resource_id: str
    dimension: str
    minimum: int
    maximum: int
    arn: str
    role_arn: str
    created: float
    suspended: dict[str, bool]
    policies: dict[str, Policy] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    """Newest first, as DescribeScalingActivities lists them."""
    under_way: UnderWay | None = None

    @property
    def endpoint_name(self) -> str:
        return self.resource_id.split("/")[1]

    @property
    def variant_name(self) -> str:
        return self.resource_id.split("/")[3]

    def begin(self, policy: Policy, before: int, desired: int, reason: str, *, now: float) -> None:
        """Note a scaling activity that has been asked for."""
        alarm = "AlarmHigh" if desired > before else "AlarmLow"
        activity: dict[str, Any] = {
            "ActivityId": str(uuid.uuid4()),
            "ServiceNamespace": "sagemaker",
            "ResourceId": self.resource_id,
            "ScalableDimension": self.dimension,
            "Description": f"Setting desired instance count to {desired}.",
            "Cause": f"monitor alarm TargetTracking-{self.resource_id}-{alarm} in state ALARM triggered policy "
            f"{policy.name}: {reason}",
            "StartTime": now,
            "StatusCode": "InProgress",
            "StatusMessage": f"Setting desired instance count to {desired}.",
        }
        self.activities.insert(0, activity)
        self.under_way = UnderWay(activity, policy, before, desired)


class Targets:
    """All targets of the account; every access holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._targets: dict[TargetKey, Target] = {}

    def get(self, resource_id: str, dimension: str) -> Target | None:
        with self.lock:
            return self._targets.get((resource_id, dimension))

    def put(self, target: Target) -> None:
        with self.lock:
            self._targets[target.resource_id, target.dimension] = target

    def remove(self, resource_id: str, dimension: str) -> Target | None:
        """Without its target a policy is gone, and so are its alarms."""
        from local.autoscaling import alarms

        with self.lock:
            target = self._targets.pop((resource_id, dimension), None)
        if target is not None:
            for policy in target.policies.values():
                alarms.forget(target, policy)
        return target

    def __iter__(self) -> Iterator[Target]:
        with self.lock:
            return iter(list(self._targets.values()))

    def of_endpoint(self, endpoint_name: str) -> list[Target]:
        return [target for target in self if target.endpoint_name == endpoint_name]

    def forget_endpoint(self, endpoint_name: str) -> None:
        """A deleted endpoint takes its targets along (SageMaker guide, "Delete an endpoint")."""
        for target in self.of_endpoint(endpoint_name):
            self.remove(target.resource_id, target.dimension)


TARGETS = Targets()


def endpoint_has_target(endpoint_name: str) -> bool:
    return bool(TARGETS.of_endpoint(endpoint_name))


def new_target_arn() -> str:
    return f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/{uuid.uuid4().hex[:31]}"


def new_policy_arn(target: Target, name: str) -> str:
    return (
        f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{uuid.uuid4()}:"
        f"resource/sagemaker/{target.resource_id}:policyName/{name}"
    )
