"""SageMaker's two protocols behind MiniStack's front door: JSON 1.1 for the control plane, REST for the runtime."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from local.sagemaker import api
from local.sagemaker.errors import InvocationError, SageMakerError

Response = tuple[int, dict[str, str], bytes]

logger = logging.getLogger("iops.sagemaker")
INVOCATIONS = re.compile(r"^/endpoints/(?P<name>[^/]+)/invocations$")
_threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="sagemaker-request")
"""Of its own: an invocation may take a minute, and the loop's default pool has a handful of threads for all services."""


async def handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
) -> Response:
    """MiniStack's handler signature; nothing blocks its event loop."""
    from ministack.core.responses import get_account_id, get_region

    account, region = get_account_id(), get_region()
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        _threads, lambda: context.run(respond, method, path, headers, body, account=account, region=region)
    )


def respond(method: str, path: str, headers: Mapping[str, str], body: bytes, *, account: str, region: str) -> Response:
    """Answer one request; blocks for as long as the model answers."""
    lowered = {name.lower(): value for name, value in headers.items()}
    if path.startswith("/endpoints/"):
        return _invocation(method, path, lowered, body, account=account, region=region)
    action = lowered.get("x-amz-target", "").rpartition(".")[2]
    try:
        request = json.loads(body or b"{}")
        if not isinstance(request, dict):
            raise SageMakerError("SerializationException", "the request body is not a JSON object")
        return 200, _json_headers(), json.dumps(api.call(action, request, account=account, region=region)).encode()
    except ValueError as error:
        return _error(SageMakerError("SerializationException", f"the request body is not JSON: {error}"))
    except SageMakerError as error:
        return _error(error)
    except Exception:
        logger.exception("SageMaker.%s failed", action)
        return _error(SageMakerError("InternalFailure", "see the laptop cloud's log", 500))


def _json_headers() -> dict[str, str]:
    return {"Content-Type": "application/x-amz-json-1.1"}


def _error(error: SageMakerError) -> Response:
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return error.http_status, {**_json_headers(), "x-amzn-errortype": error.code}, body


def _invocation(
    method: str, path: str, headers: Mapping[str, str], body: bytes, *, account: str, region: str
) -> Response:
    match = INVOCATIONS.match(path)
    if match is None or method != "POST":
        return _invocation_error(
            InvocationError("ValidationError", 400, f"{method} {path} is not provided by the laptop cloud's SageMaker.")
        )
    try:
        return api.invoke(unquote(match["name"]), headers, body, account=account, region=region)
    except InvocationError as error:
        return _invocation_error(error)
    except Exception:
        logger.exception("InvokeEndpoint failed")
        return _invocation_error(InvocationError("InternalFailure", 500, "see the laptop cloud's log"))


def _invocation_error(error: InvocationError) -> Response:
    body: Any = json.dumps(error.body).encode()
    return error.http_status, {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}, body
