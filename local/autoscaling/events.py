"""The event of a target that has been scaled to its maximum (Application Auto Scaling user guide, "Monitor Application
Auto Scaling events using Amazon EventBridge"): the one that the service sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local.autoscaling.targets import Target, UnderWay

SOURCE = "aws.application-autoscaling"
DETAIL_TYPE = "Application Auto Scaling Scaling Activity State Change"


def scaled_to_max(target: Target, done: UnderWay) -> dict[str, Any] | None:
    """The event's detail for a successful activity; None where it did not reach the maximum from below."""
    if not done.before < done.desired == target.maximum:
        return None
    return {
        "startTime": _text(done.activity["StartTime"]),
        "endTime": _text(done.activity["EndTime"]),
        "newDesiredCapacity": done.desired,
        "oldDesiredCapacity": done.before,
        "minCapacity": target.minimum,
        "maxCapacity": target.maximum,
        "resourceId": target.resource_id,
        "scalableDimension": target.dimension,
        "serviceNamespace": "sagemaker",
        "statusCode": "Successful",
        "scaledToMax": True,
        "direction": "scale-out",
    }


def announce(target: Target, done: UnderWay) -> None:
    from local.events import put_event

    detail = scaled_to_max(target, done)
    if detail is not None:
        put_event(SOURCE, DETAIL_TYPE, detail)


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
