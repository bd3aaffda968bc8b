"""The one way into the laptop's SageMaker: `call` for the API, `invoke` for the runtime, `on_change` for who waits.

Calls block (some ask S3 through the cloud's own front door), so they belong in a worker thread, never in the event loop.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from local.sagemaker.errors import SageMakerError
from local.sagemaker.service import Service
from local.sagemaker.settings import Settings
from local.sagemaker.store import Change, Listener, Record, Scope
from local.sagemaker.validation import check_request, operation_names, shape_response

__all__ = ["Change", "call", "configure", "invoke", "on_change", "service", "shutdown", "wait_for_job"]

Action = Callable[[Service, Scope, dict[str, Any]], dict[str, Any]]
RUNNING = ("InProgress", "Stopping", "Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting", "Pending")
KINDS = {
    "training": "TrainingJob",
    "processing": "ProcessingJob",
    "tuning": "HyperParameterTuningJob",
    "endpoint": "Endpoint",
}
FIRST_SIGNS_OF_WORK = ("CreateModelPackageGroup", "CreateProcessingJob", "CreateTrainingJob", "CreateModel")
"""A deployment makes the package groups; while it goes on, the slow imports of the first job are done beside it."""

_lock = threading.Lock()
_service: Service | None = None
_listeners: list[Listener] = []


def configure(settings: Settings) -> Service:
    """Make this process's SageMaker; without it the first call does so from the server's environment."""
    global _service  # noqa: PLW0603 - one laptop cloud per process, as MiniStack itself
    with _lock:
        if _service is not None:
            raise RuntimeError("the laptop's SageMaker is configured already; call shutdown() first")
        _service = _make(settings)
        return _service


def service() -> Service:
    global _service  # noqa: PLW0603
    with _lock:
        if _service is None:
            _service = _make(Settings.from_environment(os.environ))
        return _service


def _make(settings: Settings) -> Service:
    made = Service(settings)
    for listener in _listeners:
        made.store.subscribe(listener)
    return made


def shutdown() -> None:
    """End every container and forget everything."""
    global _service
    with _lock:
        ending, _service = _service, None
    if ending is not None:
        ending.close()


@functools.cache
def actions() -> Mapping[str, Action]:
    from local.sagemaker import endpoint_configs, endpoints, models, packages, processing, tags, training, tuning

    tables = (training, processing, tuning, models, endpoint_configs, endpoints, packages, tags)
    return {name: action for module in tables for name, action in module.ACTIONS.items()}


def call(action: str, request: Mapping[str, Any], *, account: str, region: str) -> dict[str, Any]:
    """Do what SageMaker's API action does and return its answer in JSON 1.1; raises SageMakerError."""
    if action not in operation_names():
        raise SageMakerError("UnknownOperationException", f"SageMaker has no action {action!r}.")
    check_request(action, request)
    handler = actions().get(action)
    if handler is None:
        raise SageMakerError(
            "UnknownOperationException", f"The laptop cloud's SageMaker does not provide the action {action}."
        )
    here = service()
    if action in FIRST_SIGNS_OF_WORK:
        here.containers.warm_up()
    return shape_response(action, handler(here, Scope(account, region), dict(request)))


def invoke(
    endpoint_name: str, headers: Mapping[str, str], body: bytes, *, account: str, region: str
) -> tuple[int, dict[str, str], bytes]:
    """InvokeEndpoint; header names in lower case. Raises InvocationError."""
    from local.sagemaker import runtime

    return runtime.invoke(service(), Scope(account, region), endpoint_name, headers, body)


def on_change(listener: Listener) -> Callable[[], None]:
    """Call `listener` with a Change after every change of any resource; returns what ends the subscription."""
    _listeners.append(listener)
    end = service().store.subscribe(listener) if _service is not None else None

    def unsubscribe() -> None:
        _listeners.remove(listener)
        if end is not None:
            end()

    return unsubscribe


def wait_for_job(
    kind: str, name: str, *, account: str, region: str, timeout_seconds: float | None = None
) -> dict[str, Any]:
    """Block until a training, processing or tuning job (or endpoint) is no longer busy; returns its Describe answer.

    TimeoutError when it still is after the timeout; SageMakerError when there is no such job.
    """
    kind = KINDS.get(kind, kind)
    here, scope = service(), Scope(account, region)

    def found() -> Record | None:
        return here.store.find(kind, scope, name)

    def is_settled() -> bool:
        record = found()
        return record is None or record.body.get(f"{kind}Status") not in RUNNING

    if not here.store.wait(is_settled, timeout_seconds=timeout_seconds):
        raise TimeoutError(f"{kind} {name} is still busy after {timeout_seconds} s")
    return call(f"Describe{kind}", {f"{kind}Name": name}, account=account, region=region)
