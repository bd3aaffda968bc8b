"""API Gateway hides why a function failed: its caller gets the API's own 5XX answer, where MiniStack tells the error."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger("iops.gateway")


class FunctionFailed(RuntimeError):
    """The function behind a method raised, ran out of time or could not be started."""


def register() -> None:
    from ministack.services import apigateway_v1

    apigateway_v1._lambda_proxy_response = raising(apigateway_v1._lambda_proxy_response)
    apigateway_v1._invoke_lambda_proxy_v1 = hiding(apigateway_v1._invoke_lambda_proxy_v1, apigateway_v1._gw_error)


def raising(shape: Callable[..., tuple[Any, str | None]]) -> Callable[..., tuple[Any, str | None]]:
    def shaped(result: Any) -> tuple[Any, str | None]:
        response, error = shape(result)
        if error is not None:
            raise FunctionFailed(error)
        return response, error

    return shaped


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
