"""The insights that followed a device's predictions: few rows, read once for all that is due of the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from insights.feature_table import HORIZON_SPAN
from insights.hindsight import horizon, needs_own_past
from insights.label_rule import OWN_PAST_ROWS
from insights.schema import EARLIEST, Insight, InvalidInsight, timestamp_text
from lambdas.attribute_values import from_item
from lambdas.join_outcomes.due import Due

# Past a horizon's end, in intervals: a row there says that no more is to come of the horizon itself.
_BEYOND = 2.0


@dataclass(frozen=True)
class Followed:
    """The insights table. Reads may be a moment old: what is missing is looked for again."""

    table: str
    dynamodb: Any

    def rows(self, device_id: str, dues: Sequence[Due]) -> list[Insight]:
        """Oldest first: from the first row predicted about to beyond the last horizon, and the past where it is needed."""
        begin = min(due.as_of for due in dues)
        end = max(due.due_at + _BEYOND / HORIZON_SPAN * (due.due_at - due.as_of) for due in dues)
        rows = list(self._between(device_id, begin, end, is_newest_first=False))
        as_of = {due.as_of for due in dues}
        lost = [row for row in rows if row.timestamp in as_of and needs_own_past(row)]
        measures = {_measure(horizon(row, rows)) for row in lost}
        return self._past(device_id, begin, measures) + rows if lost else rows

    def _past(self, device_id: str, before: datetime, measures: set[str]) -> list[Insight]:
        """As many rows as the rule of the own past looks at, of each measure; oldest first."""
        found: list[Insight] = []
        known = dict.fromkeys(measures, 0)
        for row in self._between(device_id, EARLIEST, before, is_newest_first=True):
            if row.timestamp == before:
                continue
            found.append(row)
            for measure in measures:
                known[measure] += getattr(row, measure) is not None and row.read_iops + row.write_iops > 0.0
            if min(known.values()) >= OWN_PAST_ROWS:
                break
        return sorted(found, key=attrgetter("timestamp"))

    def _between(self, device_id: str, begin: datetime, end: datetime, *, is_newest_first: bool) -> Iterator[Insight]:
        request: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "device_id = :device AND #time BETWEEN :begin AND :end",
            "ExpressionAttributeNames": {"#time": "timestamp"},
            "ExpressionAttributeValues": {
                ":device": {"S": device_id},
                ":begin": {"S": timestamp_text(begin)},
                ":end": {"S": timestamp_text(end)},
            },
            "ScanIndexForward": not is_newest_first,
            "Limit": OWN_PAST_ROWS,
        }
        while True:
            page = self.dynamodb.query(**request)
            for item in page["Items"]:
                try:
                    yield Insight.from_item(from_item(item))
                except InvalidInsight:
                    continue  # another writer's; the export puts it into quarantine
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _measure(ahead: Sequence[Insight]) -> str:
    """What the horizon is judged by, as label_rule.judge_horizon chooses it."""
    return "p99_latency_ms" if any(row.p99_latency_ms is not None for row in ahead) else "avg_latency_ms"
