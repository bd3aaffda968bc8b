"""What SageMaker tells EventBridge: every new state of an endpoint, a model package or a job.

Source: SageMaker guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge". Endpoints' states are in upper
case there, and moments are milliseconds since the epoch.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from local.sagemaker.store import Change

logger = logging.getLogger("iops.sagemaker")

SOURCE = "aws.sagemaker"
DETAIL_TYPES = {
    "Endpoint": "SageMaker Endpoint State Change",
    "ModelPackage": "SageMaker Model Package State Change",
    "TrainingJob": "SageMaker Training Job State Change",
    "ProcessingJob": "SageMaker Processing Job State Change",
    "HyperParameterTuningJob": "SageMaker HyperParameter Tuning Job State Change",
}
DEPLOYMENT = "SageMaker Endpoint Deployment State Change"
DEPLOYING = ("Updating", "RollingBack")


class Event(NamedTuple):
    detail_type: str
    detail: dict[str, Any]
    resource: str


class Notifier:
    """Listens to the store; one thread delivers in order, so that no change waits for what an event starts."""

    def __init__(
        self,
        put: Callable[[Event], None],
        *,
        described: Callable[[Change], Mapping[str, Any]] = lambda change: change.body,
    ) -> None:
        self._put, self._described = put, described
        self._known: dict[tuple[str, str], str] = {}
        self._waiting: queue.SimpleQueue[Event] = queue.SimpleQueue()
        threading.Thread(target=self._deliver, daemon=True, name="sagemaker-events").start()

    def __call__(self, change: Change) -> None:
        if change.kind not in DETAIL_TYPES:
            return
        state = f"{change.status} {change.body.get('ModelApprovalStatus', '')}".strip()
        before = self._known.get((change.kind, change.name))
        if state == before:
            return
        self._known[change.kind, change.name] = state
        for event in events_of(change, self._described(change), before=before):
            self._waiting.put(event)

    def _deliver(self) -> None:
        while True:
            event = self._waiting.get()
            try:
                self._put(event)
            except Exception:
                logger.exception("an event of %s was not delivered", event.resource)


def events_of(change: Change, described: Mapping[str, Any], *, before: str | None) -> Iterator[Event]:
    """The events of a new state; a deployment has one more as it begins, as it rolls back and as it ends."""
    detail = {**plain(described), "Tags": {}}
    resource = str(described[f"{change.kind}Arn"])
    if change.kind == "Endpoint":
        detail["EndpointStatus"] = shouted(change.status)
    yield Event(DETAIL_TYPES[change.kind], detail, resource)
    if change.kind == "Endpoint" and (change.status in DEPLOYING or before in DEPLOYING):
        yield Event(DEPLOYMENT, detail, resource)


def shouted(status: str) -> str:
    """InService -> IN_SERVICE"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
