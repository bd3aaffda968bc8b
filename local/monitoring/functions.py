"""AWS/Lambda for every invocation, whoever makes it, and the metrics that functions write into their logs.

MiniStack 1.5.33 counts the Invoke action alone, so that a function behind an API or a stream has no metrics, and
leaves the embedded metric format where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from local.monitoring import emf
from local.monitoring.recorder import Recorder

NAMESPACE = "AWS/Lambda"
STREAMS = ("aws:dynamodb", "aws:kinesis")


def register(recorder: Recorder) -> None:
    from ministack.services import lambda_svc

    lambda_svc._emit_lambda_metrics = lambda *_arguments, **_named: None
    lambda_svc._execute_function_dispatch = counted(lambda_svc._execute_function_dispatch, recorder)
    lambda_svc._acquire_execution_slot = counting_throttles(lambda_svc._acquire_execution_slot, recorder)
    lambda_svc._emit_lambda_logs = reading_metrics(lambda_svc._emit_lambda_logs, recorder)


def counted(dispatch: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """_execute_function_dispatch, through which every invocation goes that was not throttled."""

    def dispatched(func: Any, config: Mapping[str, Any], event: Any, *rest: Any) -> Any:
        dimensions = {"FunctionName": str(config.get("FunctionName", ""))}
        if (age := iterator_age_ms(event, now=time.time())) is not None:
            recorder.count(NAMESPACE, dimensions, ("IteratorAge", age, "Milliseconds"))
        started = time.monotonic()
        result = None
        try:
            result = dispatch(func, config, event, *rest)
            return result
        finally:
            has_failed = not isinstance(result, dict) or bool(result.get("error"))
            recorder.count(
                NAMESPACE,
                dimensions,
                ("Invocations", 1, "Count"),
                ("Errors", float(has_failed), "Count"),
                ("Throttles", 0, "Count"),
                ("Duration", round((time.monotonic() - started) * 1000, 1), "Milliseconds"),
            )

    return dispatched


def iterator_age_ms(event: Any, *, now: float) -> float | None:
    """How old the last record of a stream's batch is (Lambda guide, "Types of metrics"); None for other events."""
    records = event.get("Records") if isinstance(event, dict) else None
    last = records[-1] if isinstance(records, list) and records else None
    if not isinstance(last, dict) or last.get("eventSource") not in STREAMS:
        return None
    source = last.get("dynamodb") or last.get("kinesis") or {}
    created = source.get("ApproximateCreationDateTime") or source.get("approximateArrivalTimestamp")
    return max(0.0, round((now - float(created)) * 1000)) if created else None


def counting_throttles(acquire: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """_acquire_execution_slot: a throttled request is neither an invocation nor an error."""

    def acquired(func: Any, config: Mapping[str, Any]) -> Any:
        slot, limit = acquire(func, config)
        if slot is None:
            dimensions = {"FunctionName": str(config.get("FunctionName", ""))}
            recorder.count(NAMESPACE, dimensions, ("Throttles", 1, "Count"))
        return slot, limit

    return acquired


def reading_metrics(emit: Callable[..., None], recorder: Recorder) -> Callable[..., None]:
    """_emit_lambda_logs."""

    def emitted(func: Any, request_id: str, log_text: str, *rest: Any, **named: Any) -> None:
        emit(func, request_id, log_text, *rest, **named)
        for line in log_text.splitlines() if emf.MARK in log_text else ():
            for datum in emf.metrics_of(line):
                for value in datum.values:
                    recorder.count(
                        datum.namespace, datum.dimensions, (datum.name, value, datum.unit), moment=datum.moment
                    )

    return emitted
