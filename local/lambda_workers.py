"""Makes MiniStack's Lambda workers behave as AWS's Python runtime does where it matters here.

Five behaviours of MiniStack 1.5.33 are changed, each by replacing the function that has it:
- a worker imports whatever the server's environment has installed; AWS's runtime has the standard library and the SDK
  alone;
- an error reaches the caller as Runtime.HandlerError; AWS gives the exception's class and stack trace, by which
  workflows catch;
- a worker in the middle of an invocation outlives a killed server;
- each worker is an interpreter that imports the SDK; here they are forked (local.lambda_processes);
- an answer waits for the log: 50 ms for the first line of a function that writes none, 5 ms after the last line of one
  that does. Here the worker marks its log's end.
"""

from __future__ import annotations

import contextvars
import importlib.util
import logging
import queue
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from local import lambda_processes
from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize
from local.settings import ACCOUNT, REGION, REPOSITORY

logger = logging.getLogger("iops.lambda")

SDK_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What AWS's Python runtimes bring (docs: Lambda runtimes, "Runtime-included SDK versions")."""

PREAMBLE = """
import os as _os, sys as _sys, threading as _threading, time as _time
_elsewhere = ({sdk!r}, {repository!r})
_sys.path[:] = [p for p in _sys.path if "-packages" not in p and p not in _elsewhere] + [{sdk!r}]
for _name in [name for name in _sys.modules if name.partition(".")[0] == "local"]:
    del _sys.modules[_name]
_sys.dont_write_bytecode = True
_parent = _os.getppid()
def _watch():
    while _os.getppid() == _parent:
        _time.sleep(0.5)
    _os._exit(1)
_threading.Thread(target=_watch, daemon=True).start()
def _logged(call, *arguments):
    try:
        return call(*arguments)
    finally:
        _sys.stderr.write({end!r} + "\\n")
        _sys.stderr.flush()
"""

END_OF_LOG = "\x1e-- end of this invocation's log --\x1e"
LONGEST_WAIT_FOR_LOG_SECONDS = 0.25
"""MiniStack's own limit; reached when a worker died before it could write the mark."""

CALL = "result = handler_fn(event, context)"
LOGGED_CALL = "result = _logged(handler_fn, event, context)"

ERROR_REPLY = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
TYPED_ERROR_REPLY = (
    '{"status": "error", "error": str(e), "trace": traceback.format_exc(), "type": type(e).__name__, '
    '"stack": traceback.format_tb(e.__traceback__)[2:]}'
)

DIED = "Worker process died"
"""MiniStack's words for what AWS calls Runtime.ExitError."""

_failure: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("lambda_failure", default=None)


def register(sdk_dir: Path | None = None) -> None:
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if ERROR_REPLY not in script or CALL not in script:
        raise RuntimeError("MiniStack's Lambda worker changed: local/lambda_workers.py no longer fits it")
    directory = sdk_dir or Path(lambda_svc.STATE_DIR) / "lambda-runtime"
    link_sdk(directory)
    script = script.replace(ERROR_REPLY, TYPED_ERROR_REPLY).replace(CALL, LOGGED_CALL)
    lambda_runtime._PYTHON_WORKER_SCRIPT = worker_preamble(directory) + script
    lambda_processes.register(sdk=directory, log=Path(lambda_svc.STATE_DIR) / "lambda-zygote.log")
    lambda_runtime.Worker._drain_stderr_bounded = _until_the_mark(lambda_runtime.Worker._drain_stderr_bounded)
    lambda_runtime.Worker.invoke = _remembering_failures(lambda_runtime.Worker.invoke)
    lambda_svc._execute_function_warm = _with_error_type(lambda_svc._execute_function_warm)


def worker_preamble(sdk: Path) -> str:
    """What a worker does first."""
    return PREAMBLE.format(sdk=str(sdk), repository=str(REPOSITORY), end=END_OF_LOG)


def link_sdk(directory: Path, packages: Iterable[str] = SDK_PACKAGES) -> None:
    """A folder that holds the runtime's SDK packages alone, as links to the installed ones."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        link = directory / source.name
        if not link.is_symlink():
            link.symlink_to(source)


def _until_the_mark(drain: Callable[..., str]) -> Callable[..., str]:
    def draining(worker: Any, **waits: float) -> str:
        is_marked = worker.config.get("Runtime", "").startswith("python")
        return log_of_invocation(worker) if is_marked else drain(worker, **waits)

    return draining


def log_of_invocation(worker: Any) -> str:
    """The lines that the worker wrote until its mark, which it writes before it answers."""
    lines: list[str] = []
    deadline = time.monotonic() + LONGEST_WAIT_FOR_LOG_SECONDS
    while True:
        try:
            line = worker._stderr_queue.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return "\n".join(lines)
        if line.endswith(END_OF_LOG):
            return "\n".join([*lines, *filter(None, [line.removesuffix(END_OF_LOG)])])
        lines.append(line)


def _remembering_failures(invoke: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def remembering(*arguments: Any, **options: Any) -> dict[str, Any]:
        return remembered(invoke(*arguments, **options))

    return remembering


def remembered(result: dict[str, Any]) -> dict[str, Any]:
    """What a worker said of its invocation, for the error that the caller gets."""
    _failure.set(result if result.get("status") == "error" else None)
    return result


def ask_for_logging(config: Mapping[str, Any]) -> None:
    """Whether the function's role may write its log. MiniStack writes it in any case; AWS drops it, and so says the
    log."""
    group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
    stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{config.get('Version', '$LATEST')}"
    checks = [Check("logs:CreateLogStream", stream), Check("logs:PutLogEvents", stream)]
    if (config.get("TracingConfig") or {}).get("Mode") == "Active":
        checks += [Check("xray:PutTraceSegments", "*"), Check("xray:PutTelemetryRecords", "*")]
    for check in checks:
        try:
            authorize(config["Role"], [check], session_name="Lambda")
        except (AccessDenied, RoleNotAssumable, KeyError) as refused:
            logger.warning("in AWS, the log or trace of %s would be lost: %s", config.get("FunctionName"), refused)


def _with_error_type(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The error payload of AWS's Python runtime: errorMessage, errorType, requestId, stackTrace."""

    def typed(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        _failure.set(None)
        ask_for_logging(func.get("config") or func)
        answer = execute(func, event, request_id)
        failure = _failure.get()
        if answer.get("error") and failure and failure.get("error") == DIED:
            message = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
            answer["body"] = {"errorMessage": message, "errorType": "Runtime.ExitError"}
        if answer.get("error") and failure and failure.get("type"):
            answer["body"] = {
                "errorMessage": failure["error"],
                "errorType": failure["type"],
                "requestId": request_id,
                "stackTrace": failure.get("stack", []),
            }
        return answer

    return typed
