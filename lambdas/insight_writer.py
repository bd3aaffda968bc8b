"""The one writer of insights: idempotent puts by key, in batches, until the table has taken every row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from insights.schema import Insight
from lambdas.client_errors import is_throttled
from lambdas.throttling import Backoff, TableThrottled

# DynamoDB API reference, BatchWriteItem: at most 25 put requests, and no two of them with one key.
BATCH_ROWS = 25


@dataclass(frozen=True)
class InsightWriter:
    table: str
    dynamodb: Any
    backoff: Backoff = field(default_factory=Backoff)

    def write(self, insights: Iterable[Insight]) -> int:
        """Writes all of them and returns how many came; of two with one key the later one stays."""
        rows = 0
        batch: dict[tuple[str, str], dict[str, Any]] = {}
        for insight in insights:
            item = insight.to_item()
            batch[item["device_id"], item["timestamp"]] = item
            rows += 1
            if len(batch) == BATCH_ROWS:
                self._put(batch.values())
                batch = {}
        if batch:
            self._put(batch.values())
        return rows

    def _put(self, items: Iterable[dict[str, Any]]) -> None:
        """Returns only when every item is in: a later batch may replace one of them, and must come after it."""
        serialize = TypeSerializer().serialize
        waiting = [{"PutRequest": {"Item": {name: serialize(value) for name, value in item.items()}}} for item in items]
        waiting = self._unprocessed(waiting)
        for delay in self.backoff.delays():
            if not waiting:
                return
            self.backoff.sleep(delay)
            waiting = self._unprocessed(waiting)
        if waiting:
            raise TableThrottled(self.table, f"the last {len(waiting)} rows of a batch")

    def _unprocessed(self, waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the table did not take; all of it when the table refused the whole request."""
        try:
            answer = self.dynamodb.batch_write_item(RequestItems={self.table: waiting})
        except ClientError as error:
            if is_throttled(error):
                return waiting
            raise
        left: list[dict[str, Any]] = answer.get("UnprocessedItems", {}).get(self.table, [])
        return left
