"""DynamoDB's own limit on an on-demand table: MiniStack keeps OnDemandThroughput and never throttles.

A request takes one unit for each table that it names, whatever its size: enough to see what a throttled table does.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

SERVICE = "dynamodb"
MEMBERS = {"read": "MaxReadRequestUnits", "write": "MaxWriteRequestUnits"}
READS = ("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems")
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
REFUSAL = {
    "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
    "message": "Throughput exceeds the maximum OnDemandThroughput configured on table or index",
}


def register() -> None:
    from ministack import app

    app.SERVICE_HANDLERS[SERVICE] = limited(app.SERVICE_HANDLERS[SERVICE], Meter())


class Meter:
    """Units taken in the current second; seconds are real, as requests are."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._second, self._taken = 0, Counter[tuple[str, str]]()

    def take(self, table: str, kind: str, limit: int) -> bool:
        """Whether there was a unit left."""
        with self._lock:
            second = int(self._now())
            if second != self._second:
                self._second, self._taken = second, Counter()
            self._taken[table, kind] += 1
            return self._taken[table, kind] <= limit


def limited(handler: Callable[..., Awaitable[Any]], meter: Meter) -> Callable[..., Awaitable[Any]]:
    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]) -> Any:
        limits = limits_of_tables()
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if limits and is_throttled(operation, json.loads(body or b"{}"), limits, meter):
            return 400, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(REFUSAL).encode()
        return await handler(method, path, headers, body, query)

    return handle


def limits_of_tables() -> dict[str, Mapping[str, int]]:
    from ministack.services import dynamodb

    return {
        name: table["OnDemandThroughput"] for name, table in dynamodb._tables.items() if table.get("OnDemandThroughput")
    }


def is_throttled(
    operation: str, request: Mapping[str, Any], limits: Mapping[str, Mapping[str, int]], meter: Meter
) -> bool:
    """Whether any table of the request has no unit left; a limit of -1 is none (API reference, OnDemandThroughput). An
    index has a maximum of its own, which the laptop does not know."""
    from local.monitoring.tables import tables_of

    if request.get("IndexName"):
        return False
    kind = "read" if operation in READS else "write" if operation in WRITES else ""
    found = [(table, limits[table].get(MEMBERS[kind], -1)) for table in tables_of(request) if kind and table in limits]
    return any(limit >= 0 and not meter.take(table, kind, limit) for table, limit in found)
