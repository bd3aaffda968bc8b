"""The stored window of a device: its newest insights and its last earlier alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from insights.feature_table import WINDOW_ROWS, WINDOW_SPAN
from insights.schema import LATEST, Insight, InvalidInsight, parse_timestamp, timestamp_text
from lambdas.api.problems import TelemetryUnavailable
from lambdas.attribute_values import from_attribute_value
from lambdas.client_errors import is_throttled
from lambdas.predict.request import MOST_INSIGHTS

_RETRY_AFTER_SECONDS = 2
READ_SIDE_BY_SIDE = 8
# A request's windows, and beside each of them its alerts; together what a client keeps connections for. A single window
# needs one thread, so that a query that outlived a failed invocation does not hold up the next.
_windows = ThreadPoolExecutor(max_workers=READ_SIDE_BY_SIDE, thread_name_prefix="window")
_beside = ThreadPoolExecutor(max_workers=READ_SIDE_BY_SIDE, thread_name_prefix="last-alert")
Asked = TypeVar("Asked")
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Rows oldest first; `unreadable` counts stored items that are no insights and were left out."""

    rows: tuple[Insight, ...]
    last_alert_at: datetime | None
    unreadable: int = 0
    is_cut: bool = False


def within_window(rows: Sequence[Insight]) -> tuple[Insight, ...]:
    """The rows of (t - 11.5 intervals, t] for the newest row's t and interval; `rows` oldest first."""
    if not rows:
        return ()
    begin = _beginning(rows[-1])
    return tuple(row for row in rows if row.timestamp > begin)


def _beginning(newest: Insight) -> datetime:
    return newest.timestamp - timedelta(seconds=WINDOW_SPAN * newest.interval_seconds)


@dataclass(frozen=True)
class Telemetry:
    """The insights table. Reads may be a moment old (eventually consistent), as a dashboard's are."""

    table: str
    last_alert_index: str
    dynamodb: Any

    def side_by_side(self, read: Callable[[Asked], Found], requests: Sequence[Asked]) -> list[Found]:
        if len(requests) == 1:
            return [read(requests[0])]  # nothing to wait beside
        return list(_windows.map(read, requests))

    def window(self, device_id: str) -> Window:
        """Empty rows when nothing is stored of the device."""
        try:
            newest_alerts = _beside.submit(self._alerts, device_id, most=2)
            rows, unreadable, is_cut = self._newest_rows(device_id)
            if not rows:
                return Window(rows=(), last_alert_at=None, unreadable=unreadable)
            last_alert_at = self._last_alert_before(rows[0], newest_alerts.result())
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and not is_throttled(error):
                raise
            raise TelemetryUnavailable(
                "the insights table did not answer in time; ask again", retry_after_seconds=_RETRY_AFTER_SECONDS
            ) from error
        return Window(rows=within_window(rows[::-1]), last_alert_at=last_alert_at, unreadable=unreadable, is_cut=is_cut)

    def _newest_rows(self, device_id: str) -> tuple[list[Insight], int, bool]:
        """Newest first, until the window's beginning: twelve rows as a rule, more where they stand closer."""
        rows: list[Insight] = []
        unreadable = 0
        for item in self._items(device_id):
            try:
                row = Insight.from_item(item)
            except InvalidInsight:
                unreadable += 1
                continue
            if rows and row.timestamp <= _beginning(rows[0]):
                break
            if len(rows) == MOST_INSIGHTS:
                return rows, unreadable, True
            rows.append(row)
        return rows, unreadable, False

    def _items(self, device_id: str) -> Iterator[dict[str, Any]]:
        request = {
            "TableName": self.table,
            "KeyConditionExpression": "device_id = :device",
            "ExpressionAttributeValues": {":device": {"S": device_id}},
            "ScanIndexForward": False,
            "Limit": WINDOW_ROWS,
        }
        while True:
            page = self.dynamodb.query(**request)
            for item in page["Items"]:
                yield {name: from_attribute_value(value) for name, value in item.items()}
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _last_alert_before(self, newest: Insight, newest_alerts: Sequence[datetime]) -> datetime | None:
        """Of the device's two newest alerts one may be the newest row's own. Both are too new only if a row came between
        the two queries, or is no insight: then the index is asked once more."""
        earlier = [moment for moment in newest_alerts if moment < newest.timestamp]
        if not earlier and len(newest_alerts) == 2:
            earlier = self._alerts(newest.device_id, most=1, before=newest.timestamp)
        return earlier[0] if earlier else None

    def _alerts(self, device_id: str, *, most: int, before: datetime = LATEST) -> list[datetime]:
        """Newest first, from the sparse index, which holds only rows with an alert, however long ago."""
        page = self.dynamodb.query(
            TableName=self.table,
            IndexName=self.last_alert_index,
            KeyConditionExpression="device_id = :device AND alert_at < :before",
            ExpressionAttributeValues={":device": {"S": device_id}, ":before": {"S": timestamp_text(before)}},
            ScanIndexForward=False,
            Limit=most,
        )
        return [parse_timestamp(item["alert_at"]["S"]) for item in page["Items"]]
