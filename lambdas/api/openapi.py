"""The API's description (OpenAPI 3.1), made from the table of routes: `python -m lambdas.api.openapi docs/openapi.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from lambdas.api.caller import RESOURCE_SERVER
from lambdas.api.examples import PROBLEM
from lambdas.api.problems import PROBLEM_MEDIA_TYPE
from lambdas.api.routes import ROUTES, Parameter, Route
from lambdas.api.schemas import SCHEMAS, ref

_DESCRIPTION: Final = """Predictions of the next half hour of storage devices, the telemetry and history behind them.
People sign in at the user pool's hosted page (authorization code with PKCE), services ask for tokens with their secret
(client credentials); both send the access token, which carries the scopes."""
_REFUSALS: Final = {
    400: "The request is wrong; `field` says where",
    401: "No valid access token, or one without the route's scope",
    403: "The token lacks the scope, found out behind the gateway",
    404: "No such device, or no such prediction",
    409: "The device has too few recent insights",
    413: "The body is larger than 1 MiB",
    415: "The body is not JSON in UTF-8",
    429: "The client has used up its minute, or the API its second",
    500: "A bug; the log has it under the request's id",
    503: "A model or the store cannot answer at the moment",
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "string"}, "required": True}
}


def document() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IOPS Insights",
            "version": "1",
            "description": " ".join(_DESCRIPTION.split()),
        },
        "servers": [{"url": "..", "description": "The stage that serves this document"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "accessToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of the user pool; the roles of an operation are its scopes",
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [] if route.scope is None else [{"accessToken": [f"{RESOURCE_SERVER}/{route.scope}"]}],
        "responses": {"200": _answer(route), **{str(status): _refusal(route, status) for status in route.refusals}},
    }
    if route.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in route.parameters]
    if route.request:
        content = {"schema": ref(route.request), "examples": _shown(route.request_examples or {})}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _answer(route: Route) -> dict[str, Any]:
    schemas = [ref(name) for name in route.answers]
    schema: dict[str, Any] = (
        {"type": "object"} if not schemas else schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    )
    content = {"schema": schema, **({"examples": _shown(route.examples)} if route.examples else {})}
    return {"description": "Answered", "content": {"application/json": content}}


def _refusal(route: Route, status: int) -> dict[str, Any]:
    content: dict[str, Any] = {PROBLEM_MEDIA_TYPE: {"schema": ref("Problem")}}
    if status == PROBLEM["status"]:
        content[PROBLEM_MEDIA_TYPE]["example"] = PROBLEM
    if status == 503 and "Health" in route.answers:
        content["application/json"] = {"schema": ref("Health")}
    refusal: dict[str, Any] = {"description": _REFUSALS[status], "content": content}
    if status in (429, 503):
        refusal["headers"] = _RETRY_AFTER
    if status == 401:
        refusal["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return refusal


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _shown(examples: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
