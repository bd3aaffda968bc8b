"""Whoever asks CloudWatch sees every minute that has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from local.monitoring.recorder import Recorder

SERVICE = "monitoring"


def register(recorder: Recorder) -> None:
    from ministack import app

    app.SERVICE_HANDLERS[SERVICE] = after_flush(app.SERVICE_HANDLERS[SERVICE], recorder)


def after_flush(handler: Callable[..., Awaitable[Any]], recorder: Recorder) -> Callable[..., Awaitable[Any]]:
    async def handle(*arguments: Any, **named: Any) -> Any:
        recorder.flush()
        return await handler(*arguments, **named)

    return handle
