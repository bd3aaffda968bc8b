"""AWS/States: executions by how they began and ended, and the time they took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from local.monitoring.recorder import Recorder

NAMESPACE = "AWS/States"
COUNTED = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def register(recorder: Recorder) -> None:
    from ministack.services import stepfunctions

    stepfunctions._emit_execution_status_event = counted(stepfunctions._emit_execution_status_event, recorder)


def counted(emit: Callable[[dict[str, Any]], None], recorder: Recorder) -> Callable[[dict[str, Any]], None]:
    """_emit_execution_status_event, which is called once for each status that an execution enters."""

    def emitted(execution: dict[str, Any]) -> None:
        metrics = metrics_of(execution)
        if metrics:
            recorder.count(NAMESPACE, {"StateMachineArn": execution["stateMachineArn"]}, *metrics)
        emit(execution)

    return emitted


def metrics_of(execution: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Step Functions developer guide, "Monitoring metrics using CloudWatch": the time runs from start to close."""
    name = COUNTED.get(execution["status"])
    if name is None:
        return []
    metrics: list[tuple[str, float, str]] = [(name, 1, "Count")]
    if execution.get("stopDate"):
        milliseconds = (_moment(execution["stopDate"]) - _moment(execution["startDate"])) * 1000
        metrics.append(("ExecutionTime", round(milliseconds), "Milliseconds"))
    return metrics


def _moment(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
