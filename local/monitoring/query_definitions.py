"""Saved queries of CloudWatch Logs Insights, which MiniStack does not keep."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

SERVICE = "logs"
CONTENT_TYPE = "application/x-amz-json-1.1"
KEPT = ("name", "queryString", "logGroupNames", "queryLanguage", "parameters")
MOST_ANSWERED = 1000

_definitions: dict[str, dict[str, Any]] = {}


class QueryError(Exception):
    """An error answer of the service."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def register() -> None:
    from ministack import app

    app.SERVICE_HANDLERS[SERVICE] = with_definitions(app.SERVICE_HANDLERS[SERVICE])


def with_definitions(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], Any]:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ACTIONS:
            answer: tuple[int, dict[str, str], Any] = await handler(method, path, headers, body, query)
            return answer
        try:
            return 200, {"Content-Type": CONTENT_TYPE}, json.dumps(call(action, json.loads(body or b"{}"))).encode()
        except QueryError as error:
            refused = {"__type": error.code, "message": error.message}
            return 400, {"Content-Type": CONTENT_TYPE, "x-amzn-errortype": error.code}, json.dumps(refused).encode()

    return handle


def call(action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one action; raises QueryError."""
    from local.autoscaling.validation import problems

    if found := problems(action, request, service=SERVICE):
        raise QueryError("InvalidParameterException", "; ".join(found))
    return ACTIONS[action](request)


def put_query_definition(request: Mapping[str, Any]) -> dict[str, Any]:
    """An Id updates its definition, leaving out what the request leaves out; without one a new definition is made."""
    identifier = request.get("queryDefinitionId")
    if identifier and identifier not in _definitions:
        raise _unknown(identifier)
    identifier = identifier or str(uuid.uuid4())
    kept = {name: request[name] for name in KEPT if name in request}
    _definitions[identifier] = {"queryDefinitionId": identifier, "lastModified": int(time.time() * 1000), **kept}
    return {"queryDefinitionId": identifier}


def describe_query_definitions(request: Mapping[str, Any]) -> dict[str, Any]:
    prefix = request.get("queryDefinitionNamePrefix", "")
    found = [known for known in _definitions.values() if known["name"].startswith(prefix)]
    found.sort(key=lambda known: str(known["name"]))
    return {"queryDefinitions": found[: request.get("maxResults", MOST_ANSWERED)]}


def delete_query_definition(request: Mapping[str, Any]) -> dict[str, Any]:
    if _definitions.pop(request["queryDefinitionId"], None) is None:
        raise _unknown(request["queryDefinitionId"])
    return {"success": True}


def _unknown(identifier: str) -> QueryError:
    return QueryError("ResourceNotFoundException", f"The query definition {identifier} does not exist.")


ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "PutQueryDefinition": put_query_definition,
    "DescribeQueryDefinitions": describe_query_definitions,
    "DeleteQueryDefinition": delete_query_definition,
}
