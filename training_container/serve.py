"""serve: the inference server, bare ASGI on uvicorn: GET /ping and POST /invocations, one model, one thread a prediction."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uvicorn

from insights.features import warm_up
from training_container.invocations import InvalidRequest, parse_rows
from training_container.predictor import Predictor
from training_container.rehearsal import rehearse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAXIMUM_BODY_BYTES = 6 * 1024 * 1024  # InvokeEndpoint's own limit
MAXIMUM_IN_FLIGHT = 64  # beyond it waiting costs the caller more than asking again
RETRY_AFTER_SECONDS = 1
DRAIN_SECONDS = 20  # SageMaker kills 30 s after SIGTERM

logger = logging.getLogger("iops.serve")


def serve(model: Path, *, host: str, port: int, model_version: str) -> None:
    """Load, check the golden rows, and answer until SIGTERM, which lets running requests end."""
    predictor = Predictor.load(model)
    warm_up()
    mismatch = predictor.golden_mismatch(model)
    if mismatch:
        logger.error("/ping stays red: %s", mismatch)
    else:
        digest = os.environ.get("GOLDEN_SHA256", "")
        rehearse(predictor.answers, model, most_at_once=MAXIMUM_IN_FLIGHT, golden_sha256=digest)
    application = Application(predictor, model_version=model_version, mismatch=mismatch)
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    uvicorn.Server(config).run()


class Application:
    """The ASGI application; `mismatch` says why /ping is red, empty when it is green."""

    def __init__(self, predictor: Predictor, *, model_version: str, mismatch: str = "") -> None:
        self._predictor = predictor
        self._model_version = model_version
        self._mismatch = mismatch
        self._in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        route = (scope["method"], scope["path"])
        if route == ("GET", "/ping"):
            await answer(send, 503 if self._mismatch else 200, {"error": self._mismatch} if self._mismatch else None)
        elif route == ("POST", "/invocations"):
            await self._invocations(scope, receive, send)
        else:
            await answer(send, 404, {"error": f"{route[0]} {route[1]}: give GET /ping or POST /invocations"})

    async def _invocations(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._mismatch:  # no caller meets a wrong model
            await answer(send, 503, {"error": f"the model is not served: {self._mismatch}"})
            return
        if self._in_flight >= MAXIMUM_IN_FLIGHT:
            headers = [(b"retry-after", str(RETRY_AFTER_SECONDS).encode())]
            await answer(send, 503, {"error": f"{self._in_flight} requests are being answered; try again"}, headers)
            return
        self._in_flight += 1
        try:
            status, body = await self._predicted(content_type(scope), receive)
        finally:
            self._in_flight -= 1
        await answer(send, status, body)

    async def _predicted(self, kind: str, receive: Receive) -> tuple[int, dict[str, Any]]:
        try:
            body = await read_body(receive)
            answers = await asyncio.to_thread(self._answers, kind, body)
        except InvalidRequest as refused:
            return refused.status, {"error": str(refused)}
        except Exception as bug:  # whatever the model does wrong is not the caller's fault
            logger.exception("a prediction failed")
            return 500, {"error": f"the model failed: {type(bug).__name__}"}
        return 200, {"predictions": answers, "model_version": self._model_version}

    def _answers(self, kind: str, body: bytes) -> list[dict[str, Any]]:
        rows: npt.NDArray[np.float32] = parse_rows(kind, body)
        return self._predictor.answers(rows)


def content_type(scope: Message) -> str:
    """Without its parameters, in lower case; empty when there is none."""
    values = [value for name, value in scope["headers"] if name == b"content-type"]
    return values[0].decode("latin-1").partition(";")[0].strip().lower() if values else ""


async def read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("the caller left before the body was complete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAXIMUM_BODY_BYTES:
            raise InvalidRequest(f"the body exceeds {MAXIMUM_BODY_BYTES} bytes; send fewer rows a request", status=413)
        more = message.get("more_body", False)
    return b"".join(parts)


async def answer(
    send: Send, status: int, body: dict[str, Any] | None, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    text = b"" if body is None else json.dumps(body, allow_nan=False).encode()
    standard = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*standard, *(headers or [])]})
    await send({"type": "http.response.body", "body": text})
