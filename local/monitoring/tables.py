"""AWS/DynamoDB, as far as alarms need it: throttled requests and the service's own errors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from local.monitoring.recorder import Recorder

SERVICE = "dynamodb"
NAMESPACE = "AWS/DynamoDB"
THROTTLES = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
READS = ("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems", "ExecuteStatement")

Counted = tuple[dict[str, str], str]


def register(recorder: Recorder) -> None:
    from ministack import app

    app.SERVICE_HANDLERS[SERVICE] = counted(app.SERVICE_HANDLERS[SERVICE], recorder)


def counted(handler: Callable[..., Awaitable[Any]], recorder: Recorder) -> Callable[..., Awaitable[Any]]:
    """A request that succeeds costs nothing here."""

    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]) -> Any:
        answer = await handler(method, path, headers, body, query)
        if answer[0] >= 400:
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            for dimensions, name in failures(operation, _json(body), answer[0], _json(answer[2])):
                recorder.count(NAMESPACE, dimensions, (name, 1, "Count"))
        return answer

    return handle


def failures(operation: str, request: Mapping[str, Any], status: int, answer: Mapping[str, Any]) -> Iterator[Counted]:
    """Dimensions and names of what a refused request counts for (DynamoDB developer guide, "DynamoDB metrics and
    dimensions"): the events of an index are its own and not its table's."""
    code = str(answer.get("__type", "")).rpartition("#")[2]
    for table in tables_of(request):
        whole = {"TableName": table, "Operation": operation}
        if status >= 500:
            yield whole, "SystemErrors"
        elif code in THROTTLES:
            yield whole, "ThrottledRequests"
            index = {"GlobalSecondaryIndexName": request["IndexName"]} if request.get("IndexName") else {}
            yield {"TableName": table, **index}, "ReadThrottleEvents" if operation in READS else "WriteThrottleEvents"


def tables_of(request: Mapping[str, Any]) -> list[str]:
    """The names of the tables that a request is for; a table may be named by ARN."""
    if request.get("TableName"):
        return [_name(request["TableName"])]
    if isinstance(request.get("RequestItems"), Mapping):
        return [_name(table) for table in request["RequestItems"]]
    actions = [action for item in request.get("TransactItems") or [] for action in item.values()]
    return sorted({_name(action["TableName"]) for action in actions if action.get("TableName")})


def _name(table: str) -> str:
    return table.rpartition("/")[2] if table.startswith("arn:") else table


def _json(body: Any) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
