"""AWS/ApiGateway of REST APIs: calls, errors and latencies, by API, by stage, and by method where the stage says so."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.monitoring.recorder import Recorder

NAMESPACE = "AWS/ApiGateway"


@dataclass
class Call:
    """What the two inner functions tell about the call under way."""

    resource: str = ""
    integration_seconds: float | None = None


_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("api_call", default=None)


def register(recorder: Recorder) -> None:
    from ministack.services import apigateway_v1

    apigateway_v1._handle_execute_in_scope = counted(apigateway_v1._handle_execute_in_scope, recorder)
    apigateway_v1._execute_in_scope = noting_resource(apigateway_v1._execute_in_scope)
    apigateway_v1._invoke_lambda_proxy_v1 = timing_integration(apigateway_v1._invoke_lambda_proxy_v1)


def counted(handle: Callable[..., Awaitable[Any]], recorder: Recorder) -> Callable[..., Awaitable[Any]]:
    """_handle_execute_in_scope; a call that names no stage of an API reaches none and counts for none."""

    async def handled(api_id: str, stage_name: str, method: str, *rest: Any) -> Any:
        from ministack.services import apigateway_v1

        call = Call()
        token = _call.set(call)
        started = time.monotonic()
        try:
            answer = await handle(api_id, stage_name, method, *rest)
        finally:
            _call.reset(token)
        seconds = time.monotonic() - started
        api = apigateway_v1._rest_apis.get(api_id)
        stage = apigateway_v1._stages_v1.get(api_id, {}).get(stage_name)
        if api and stage:
            metrics = metrics_of(answer[0], seconds=seconds, integration_seconds=call.integration_seconds)
            for dimensions in dimensions_of(api["name"], stage, method=method, resource=call.resource):
                recorder.count(NAMESPACE, dimensions, *metrics)
        return answer

    return handled


def metrics_of(status: int, *, seconds: float, integration_seconds: float | None) -> list[tuple[str, float, str]]:
    """API Gateway developer guide, "Amazon API Gateway dimensions and metrics": the error metrics average to a rate."""
    metrics: list[tuple[str, float, str]] = [
        ("Count", 1, "Count"),
        ("4XXError", float(400 <= status < 500), "Count"),
        ("5XXError", float(status >= 500), "Count"),
        ("Latency", round(seconds * 1000), "Milliseconds"),
    ]
    if integration_seconds is not None:
        metrics.append(("IntegrationLatency", round(integration_seconds * 1000), "Milliseconds"))
    return metrics


def dimensions_of(api: str, stage: Mapping[str, Any], *, method: str, resource: str) -> Iterator[dict[str, str]]:
    name = stage["stageName"]
    yield {"ApiName": api}
    yield {"ApiName": api, "Stage": name}
    settings = (stage.get("methodSettings") or {}).get("*/*") or {}
    if resource and str(settings.get("metricsEnabled", "")).lower() == "true":
        yield {"ApiName": api, "Method": method, "Resource": resource, "Stage": name}


def noting_resource(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """_execute_in_scope."""

    async def executed(request: dict[str, Any], *rest: Any) -> Any:
        try:
            return await execute(request, *rest)
        finally:
            if call := _call.get():
                call.resource = request["resource_path"]

    return executed


def timing_integration(invoke: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """_invoke_lambda_proxy_v1."""

    async def invoked(*arguments: Any, **named: Any) -> Any:
        started = time.monotonic()
        try:
            return await invoke(*arguments, **named)
        finally:
            if call := _call.get():
                call.integration_seconds = time.monotonic() - started

    return invoked
