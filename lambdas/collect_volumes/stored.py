"""What the table holds of a volume already: how far it was collected, and which rows may be written again.

A row that is not there is put by the batch writer. One that is there and differs, as late points have come since, gets its
measured fields by a conditional update: BatchWriteItem knows no condition and replaces whole items, so it must never
meet a row that may carry a label, an objective or anything else that others have put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import Insight, parse_timestamp, timestamp_text
from lambdas.attribute_values import from_item, to_attribute_value
from lambdas.client_errors import is_unmet_condition
from lambdas.collect_volumes.asking import Asker
from lambdas.labels import LABEL_FIELDS, LABELLED_BY

LABELS: Final = (*LABEL_FIELDS, "label_source", LABELLED_BY)
MEASURED: Final = (
    "interval_seconds",
    "read_iops",
    "write_iops",
    "avg_latency_ms",
    "bandwidth_mbps",
    "queue_depth",
    "io_size_kib",
    "alert",
    "alert_at",
)
_PAGE_ROWS: Final = 20


@dataclass(frozen=True)
class Past:
    """The newest row's time, and every row from `window` before it on, by its timestamp."""

    newest: datetime | None
    rows: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    name: str
    dynamodb: Any
    asker: Asker

    def past_of(self, volume_id: str, window: timedelta) -> Past:
        """Consistent, so that what the run before has written is not taken for missing."""
        rows: dict[str, Mapping[str, Any]] = {}
        newest: datetime | None = None
        request = {
            "TableName": self.name,
            "KeyConditionExpression": "device_id = :device",
            "ExpressionAttributeValues": {":device": {"S": volume_id}},
            "ScanIndexForward": False,
            "Limit": _PAGE_ROWS,
            "ConsistentRead": True,
        }
        while True:
            page = self.asker.ask(self.dynamodb.query, "Query", **request)
            for row in map(from_item, page["Items"]):
                moment = parse_timestamp(row["timestamp"])
                newest = newest or moment
                if moment < newest - window:
                    return Past(newest, rows)
                rows[row["timestamp"]] = row
            if not page.get("LastEvaluatedKey"):
                return Past(newest, rows)
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def rewrite(self, insight: Insight) -> bool:
        """Whether the row took the values; one that has got a label meanwhile keeps what the label was given for."""
        values = measured(insight)
        named = {f"#{place}": name for place, name in enumerate(chain(MEASURED, LABELS))}
        place = {name: alias for alias, name in named.items()}
        unlabelled = " AND ".join(f"attribute_not_exists({place[name]})" for name in LABELS)
        try:
            self.asker.ask(
                self.dynamodb.update_item,
                "UpdateItem",
                TableName=self.name,
                Key={"device_id": {"S": insight.device_id}, "timestamp": {"S": timestamp_text(insight.timestamp)}},
                UpdateExpression=_assignments(values, place),
                ConditionExpression=f"attribute_exists(device_id) AND {unlabelled}",
                ExpressionAttributeNames=named,
                ExpressionAttributeValues={f":{name}": to_attribute_value(value) for name, value in values.items()},
            )
        except ClientError as error:
            if not is_unmet_condition(error):
                raise
            return False
        return True


def measured(insight: Insight) -> dict[str, Any]:
    """What was measured, as the table holds it: no nulls, the sparse index's key only with an alert."""
    values = {name: value for name, value in insight.to_json().items() if name in MEASURED and value is not None}
    return values | ({"alert_at": timestamp_text(insight.timestamp)} if insight.alert else {})


def split(insights: Iterable[Insight], past: Past) -> tuple[list[Insight], list[Insight]]:
    """Those that are not stored yet, and those that are with other measurements and without a label."""
    new, changed = [], []
    for insight in insights:
        row = past.rows.get(timestamp_text(insight.timestamp))
        if row is None:
            new.append(insight)
        elif not any(name in row for name in LABELS) and measured(insight) != _of_row(row):
            changed.append(insight)
    return new, changed


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in MEASURED if row.get(name) is not None}


def _assignments(values: Mapping[str, Any], place: Mapping[str, str]) -> str:
    sets = ", ".join(f"{place[name]} = :{name}" for name in values)
    gone = ", ".join(place[name] for name in MEASURED if name not in values)
    return f"SET {sets}" + (f" REMOVE {gone}" if gone else "")
