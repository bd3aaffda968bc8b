"""One segment of a parallel scan. Throttling is waited out while there is time, then ends this invocation, not the export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from lambdas.client_errors import is_throttled
from lambdas.export_insights.sources import SYNTHETIC_PREFIX, Item, device_of
from lambdas.export_insights.whole_devices import Position
from lambdas.throttling import Backoff, TableThrottled


@dataclass(frozen=True, kw_only=True)
class Time:
    """What is left of an invocation, and how much of it is kept for writing and handing on."""

    remaining_seconds: Callable[[], float]
    margin_seconds: float

    def is_up(self, *, after_seconds: float = 0.0) -> bool:
        return self.remaining_seconds() - after_seconds < self.margin_seconds


class Scan:
    def __init__(
        self,
        dynamodb: Any,
        *,
        table: str,
        segment: int,
        total_segments: int,
        device_prefix: str | None,
        start_key: Position,
        time: Time,
        backoff: Backoff,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._request = _scan_request(table, segment, total_segments, device_prefix)
        self._time = time
        self._backoff = backoff
        self._pages_read = 0
        self._gave_up = False
        self._page_start = start_key
        self.position = start_key
        self.last_device = ""
        self.ended = False

    def out_of_time(self) -> bool:
        """Never before the first page: an invocation that reads nothing would hand on forever."""
        return self._gave_up or (self._pages_read > 0 and self._time.is_up())

    def next_page(self) -> list[Item]:
        page = self._answer(self._request | ({"ExclusiveStartKey": self.position} if self.position else {}))
        if page is None:
            self._gave_up = True
            return []
        self._pages_read += 1
        self._page_start, self.position = self.position, page.get("LastEvaluatedKey")
        self.last_device = device_of(self.position) if self.position else ""
        self.ended = self.position is None
        items: list[Item] = page["Items"]
        return items

    def position_before(self, page: list[Item], index: int) -> Position:
        """The key of the row before. Those that the filter dropped in between are other devices, and are dropped again."""
        if index == 0:
            return self._page_start
        before = page[index - 1]
        return {"device_id": dict(before["device_id"]), "timestamp": dict(before["timestamp"])}

    def _answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The page, or None when the table kept refusing after pages were read; TableThrottled when none ever was."""
        for delay in chain(self._backoff.delays(), [None]):
            try:
                page: dict[str, Any] = self._dynamodb.scan(**request)
                return page
            except ClientError as error:
                if not is_throttled(error):
                    raise
                if delay is None or self._time.is_up(after_seconds=delay):
                    if self._pages_read == 0:
                        raise TableThrottled(self._table, "the scan") from error
                    return None
            self._backoff.sleep(delay)
        return None


def _scan_request(table: str, segment: int, total_segments: int, own: str | None) -> dict[str, Any]:
    """Reads consistently: a synthetic fleet was ingested by this very run a moment ago."""
    return {
        "TableName": table,
        "Segment": segment,
        "TotalSegments": total_segments,
        "ConsistentRead": True,
        "FilterExpression": "begins_with(device_id, :prefix)" if own else "NOT begins_with(device_id, :prefix)",
        "ExpressionAttributeValues": {":prefix": {"S": own or SYNTHETIC_PREFIX}},
    }
