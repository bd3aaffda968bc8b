"""Lambda functions: throttled, killed or out of time in the middle, with an answer of another shape, delivered twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from local.faults.book import Book, Fault, What
from local.lambda_workers import DIED, remembered

SHORT_SECONDS: Final = 1
IN_ITS_WORKER: Final[tuple[What, ...]] = ("times_out", "crashes", "garbage", "twice")
GARBAGE: Final = {"unexpected": "answer"}
Invoke = Callable[..., dict[str, Any]]


@dataclass
class Doomed:
    """An invocation that does not end well, by what it still does."""

    worker: Any
    fault: Fault
    calls: int = 0


DOOMED: dict[str, Doomed] = {}
"""By the function's name, which a caller's session ARN ends in."""


def register(book: Book) -> None:
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    lambda_runtime.Worker.invoke = with_faults(book, lambda_runtime.Worker.invoke)
    lambda_svc._execute_function_warm = throttling(book, lambda_svc._execute_function_warm)


def name_of(config: dict[str, Any]) -> str:
    """The folder in lambdas/, from lambdas.<name>.handler.handler."""
    parts = str(config.get("Handler", "")).split(".")
    return parts[1] if len(parts) > 2 else ""


def throttling(book: Book, execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def executed(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        from ministack.services import lambda_svc

        fault = book.take("function", name_of(func.get("config") or func), whats=["throttled"])
        if fault is None:
            return execute(func, event, request_id)
        answer: dict[str, Any] = lambda_svc._throttle_response(
            reason_code="ConcurrentInvocationLimitExceeded", msg="Rate Exceeded."
        )
        return answer

    return executed


def with_faults(book: Book, invoke: Invoke) -> Invoke:
    def invoked(worker: Any, event: Any, request_id: str, **options: Any) -> dict[str, Any]:
        fault = book.take("function", name_of(worker.config), whats=IN_ITS_WORKER)
        if fault is None:
            return invoke(worker, event, request_id, **options)
        if fault.what == "twice":
            invoke(worker, event, request_id, **options)
            return invoke(worker, event, request_id, **options)
        if fault.what == "garbage":
            return {**invoke(worker, event, request_id, **options), "result": GARBAGE}
        return _doomed(worker, fault, lambda: invoke(worker, event, request_id, **options))

    return invoked


def _doomed(worker: Any, fault: Fault, invoke: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """In the middle, if it calls AWS often enough; else with everything done and nothing answered."""
    config = worker.config
    if fault.what == "times_out":
        worker.config = {**config, "Timeout": SHORT_SECONDS}
    DOOMED[worker.func_name] = Doomed(worker, fault)
    try:
        ended = invoke()
    finally:
        DOOMED.pop(worker.func_name, None)
        worker.config = config
    if ended.get("status") == "error":
        return ended
    if fault.what == "times_out":
        return {"status": "error", "error": f"Task timed out after {SHORT_SECONDS}.00 seconds"}
    _kill(worker)
    worker._proc.wait()  # else the next invocation is given to it
    return remembered({"status": "error", "error": DIED})


async def met_by(caller: str) -> None:
    """After a call was done: the end of the doomed function that made it, before it learns the answer."""
    doomed = DOOMED.get(caller.partition(" ")[0].rpartition("/")[2])
    if doomed is None:
        return
    doomed.calls += 1
    if doomed.calls < max(1, doomed.fault.skip):
        return
    if doomed.fault.what == "times_out":
        await asyncio.sleep(SHORT_SECONDS + 0.5)
    else:
        _kill(doomed.worker)


def _kill(worker: Any) -> None:
    process = worker._proc
    if process is not None and process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
