"""API Gateway hides why a function failed: its caller gets the API's own 5XX answer, where MiniStack tells the error.

A function that is throttled, or answers anything but a proxy's response, has failed too (Lambda developer guide, "Handling
Lambda errors with an API Gateway API"); MiniStack passes Lambda's own 429 on, and a 200 around whatever came.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger("iops.gateway")


class FunctionFailed(RuntimeError):
    """The function behind a method was throttled, raised, ran out of time, answered no response or could not be started."""


def register() -> None:
    from ministack.services import apigateway_v1

    apigateway_v1._lambda_proxy_response = raising(apigateway_v1._lambda_proxy_response)
    apigateway_v1._invoke_lambda_proxy_v1 = hiding(apigateway_v1._invoke_lambda_proxy_v1, apigateway_v1._gw_error)


def raising(shape: Callable[..., tuple[Any, str | None]]) -> Callable[..., tuple[Any, str | None]]:
    def shaped(result: Any) -> tuple[Any, str | None]:
        if result.get("throttle"):
            raise FunctionFailed("it was throttled")
        response, error = shape(result)
        if error is not None:
            raise FunctionFailed(error)
        if not is_response(result.get("body")):
            raise FunctionFailed("its answer is no response of a proxy integration")
        return response, error

    return shaped


def is_response(answer: Any) -> bool:
    """Whether the gateway can make an HTTP answer of what a function returned."""
    if isinstance(answer, str | bytes):
        try:
            answer = json.loads(answer)
        except ValueError:
            return False
    return isinstance(answer, dict) and "statusCode" in answer


def hiding(
    invoke: Callable[..., Awaitable[Any]], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Awaitable[Any]]:
    """The answer of the gateway response DEFAULT_5XX (API Gateway guide, "Gateway response types")."""

    async def invoked(*arguments: Any, **named: Any) -> Any:
        try:
            return await invoke(*arguments, **named)
        except FunctionFailed as failed:
            logger.warning("a function behind the API failed: %s", failed)
            return gateway_error("DEFAULT_5XX", "Internal server error")

    return invoked
