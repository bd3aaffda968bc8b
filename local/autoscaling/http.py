"""Application Auto Scaling's JSON protocol."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from local.autoscaling.api import AutoScalingError, call

CONTENT_TYPE = "application/x-amz-json-1.1"


async def handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
) -> tuple[int, dict[str, str], bytes]:
    """The handler that MiniStack dispatches to; the work runs off the event loop, as it asks SageMaker."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    try:
        request: dict[str, Any] = json.loads(body or b"{}")
        answer = await asyncio.to_thread(call, action, request)
    except AutoScalingError as error:
        refused = {"__type": error.code, "Message": error.message, "message": error.message}
        return (
            error.http_status,
            {"Content-Type": CONTENT_TYPE, "x-amzn-errortype": error.code},
            json.dumps(refused).encode(),
        )
    except ValueError:
        refused = {"__type": "SerializationException"}
        return 400, {"Content-Type": CONTENT_TYPE}, json.dumps(refused).encode()
    return 200, {"Content-Type": CONTENT_TYPE}, json.dumps(answer).encode()
