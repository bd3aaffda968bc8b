"""What is stored of the fleet, as pages: the newest state of the devices, their insights, their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from insights.formats import is_readable_item
from insights.schema import CSV_COLUMNS, ITEM_FORMAT, KINDS, Insight, InvalidInsight
from lambdas.api.paging import last_key_of, question, token_of
from lambdas.api.queries import check_names, choice_of, device_id_of, limit_of, time_range_of
from lambdas.attribute_values import from_item
from lambdas.due_predictions import DUE_AT, DUE_SHARD

MOST_DEVICES, DEVICES = 1000, 200
MOST_INSIGHTS, INSIGHTS = 1000, 288  # a day of five-minute intervals
MOST_PREDICTIONS, PREDICTIONS = 200, 50
# What is filtered out after it was read shortens a page; so many reads fill it up at most, then `next` goes on.
MOST_READS: Final = 8
DEVICE_FIELDS: Final = (
    "device_id",
    "device_class",
    "workload_type",
    "as_of",
    "read_iops",
    "write_iops",
    "avg_latency_ms",
    "p99_latency_ms",
    "queue_depth",
    "latency_slo_ms",
    "risk",
    "performance",
)
# What the store keeps beside the answer.
_STORED_ONLY: Final = (ITEM_FORMAT, "predicted_at_id", "expires_at", DUE_SHARD, DUE_AT)


@dataclass(frozen=True)
class FleetEnvironment:
    insights_table_name: str
    predictions_table_name: str
    devices_table_name: str
    requests_table_name: str
    client_requests_per_minute: int
    allowed_origins: str


@dataclass(frozen=True, kw_only=True)
class Range:
    """Rows of one device in a table whose sort key is `key`: `start` <= key < `end`, going on after `after`."""

    table: str
    key: str
    device_id: str
    start: str | None
    end: str | None
    is_newest_first: bool
    kind: str | None = None

    def query(self, *, after: str | None, limit: int) -> dict[str, Any]:
        # Keys begin with a year, so "0" and "9" lie before and after all of them.
        values = {":device": self.device_id, ":start": self.start or "0", ":end": self.end or "9"}
        request: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "device_id = :device AND #key BETWEEN :start AND :end",
            "ExpressionAttributeNames": {"#key": self.key},
            "ScanIndexForward": not self.is_newest_first,
            "Limit": limit,
        }
        if after is not None:
            request["ExclusiveStartKey"] = {"device_id": {"S": self.device_id}, self.key: {"S": after}}
        if self.kind is not None:
            request["FilterExpression"] = "#kind = :kind"
            request["ExpressionAttributeNames"]["#kind"] = "kind"
            values[":kind"] = self.kind
        return {**request, "ExpressionAttributeValues": {name: {"S": text} for name, text in values.items()}}


@dataclass(frozen=True)
class Fleet:
    """The three tables. Reads may be a moment old (eventually consistent), as a dashboard's are."""

    environment: FleetEnvironment
    dynamodb: Any

    def devices(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Those of which an insight is known; in the table's own order, which is stable and has no meaning."""
        check_names(query, ("limit", "next"))
        limit = limit_of(query, most=MOST_DEVICES, default=DEVICES)
        asked = question("devices", query)
        last = last_key_of(query, asked=asked)
        found: list[dict[str, Any]] = []
        for _ in range(MOST_READS):
            page = self.dynamodb.scan(
                TableName=self.environment.devices_table_name,
                FilterExpression="attribute_exists(as_of)",
                Limit=limit - len(found),
                **({"ExclusiveStartKey": {"device_id": {"S": last}}} if last else {}),
            )
            found += [_device(item) for item in map(from_item, page["Items"]) if is_readable_item(item)]
            last = page.get("LastEvaluatedKey", {}).get("device_id", {}).get("S")
            if last is None or len(found) == limit:
                break
        return {"devices": found, "next": token_of(last, asked=asked) if last else None}

    def insights(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Oldest first; without `from` and `next` the newest `limit` rows before `to`, and then nothing follows."""
        check_names(query, ("device_id", "from", "to", "limit", "next"))
        device_id, (start, end) = device_id_of(query), time_range_of(query)
        limit = limit_of(query, most=MOST_INSIGHTS, default=INSIGHTS)
        asked = question("insights", query)
        last = last_key_of(query, asked=asked)
        is_newest = start is None
        wanted = Range(
            table=self.environment.insights_table_name,
            key="timestamp",
            device_id=device_id,
            start=start,
            end=end,
            is_newest_first=is_newest,
        )
        items, last_read = self._read(wanted, after=None if is_newest else last, limit=limit)
        rows = [row.to_json() for row in map(_insight, items) if row is not None]
        follows = token_of(last_read, asked=asked) if last_read and not is_newest else None
        return {"insights": rows[::-1] if is_newest else rows, "next": follows}

    def predictions(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Newest first, as they were answered; `feedback` where somebody said what happened, `outcome` where it is known."""
        check_names(query, ("device_id", "kind", "from", "to", "limit", "next"))
        device_id, (start, end) = device_id_of(query), time_range_of(query)
        kind = choice_of(query, "kind", KINDS)
        limit = limit_of(query, most=MOST_PREDICTIONS, default=PREDICTIONS)
        asked = question("predictions", query)
        last = last_key_of(query, asked=asked)
        wanted = Range(
            table=self.environment.predictions_table_name,
            key="predicted_at_id",
            device_id=device_id,
            start=start,
            end=end,
            is_newest_first=True,
            kind=kind,
        )
        found: list[dict[str, Any]] = []
        for _ in range(MOST_READS):
            items, last = self._read(wanted, after=last, limit=limit - len(found))
            found += [_prediction(item) for item in items if is_readable_item(item)]
            if last is None or len(found) == limit:
                break
        return {"predictions": found, "next": token_of(last, asked=asked) if last else None}

    def _read(self, rows: Range, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """The items, and the key after which more may follow."""
        page = self.dynamodb.query(**rows.query(after=after, limit=limit))
        items = [from_item(item) for item in page["Items"]]
        inside = [item for item in items if rows.end is None or item[rows.key] < rows.end]
        return inside, page.get("LastEvaluatedKey", {}).get(rows.key, {}).get("S")


def _device(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item.get(name) for name in DEVICE_FIELDS}


def _insight(item: Mapping[str, Any]) -> Insight | None:
    """None for a stored item that is no insight; another writer may have put it there."""
    try:
        return Insight.from_item(
            {name: value for name, value in item.items() if name in CSV_COLUMNS or name == ITEM_FORMAT}
        )
    except InvalidInsight:
        return None


def _prediction(item: Mapping[str, Any]) -> dict[str, Any]:
    answer = {name: value for name, value in item.items() if name not in _STORED_ONLY}
    return {**answer, "prediction_id": item["predicted_at_id"]}
