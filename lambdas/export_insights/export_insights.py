"""One segment of the parallel scan, written as batches until the table ends or the time does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from insights.schema import Insight, InvalidInsight
from lambdas.clients import client
from lambdas.export_insights.batches import Batch, BatchNames, remove_batches_from, write_batch
from lambdas.labels import LABELLED_BY
from lambdas.throttling import Backoff, TableThrottled, is_throttled

SYNTHETIC_PREFIX = "synthetic-"
WAITS = 1000  # more than fit into an invocation: its time ends the waiting, never the count


@dataclass(frozen=True)
class ExportEnvironment:
    insights_table_name: str
    hand_on_margin_seconds: int = 60
    export_batch_rows: int = 25_000
    export_batch_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The part of a segment that one invocation is asked for: from `start_key` on, first batch number `batch`."""

    run_id: str
    bucket: str
    raw_prefix: str
    device_prefix: str | None
    segment: int
    total_segments: int
    start_key: dict[str, Any] | None
    batch: int

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Segment:
        return cls(
            run_id=event["run_id"],
            bucket=event["bucket"],
            raw_prefix=event["raw_prefix"],
            device_prefix=event["source"].get("device_prefix"),
            segment=event["segment"],
            total_segments=event["total_segments"],
            start_key=event.get("start_key"),
            batch=event.get("batch") or 0,
        )


def export_insights(
    segment: Segment,
    *,
    environment: ExportEnvironment,
    remaining_seconds: Callable[[], float],
    dynamodb: Any = None,
    s3: Any = None,
    backoff: Backoff | None = None,
) -> dict[str, Any]:
    """Writes the segment's batches; `done` is false when another invocation has to go on at `start_key`."""
    s3 = s3 or client("s3")
    names = BatchNames(segment.run_id, segment.raw_prefix, segment.segment)
    remove_batches_from(s3, segment.bucket, names, segment.batch)
    scan = _Scan(
        dynamodb or client("dynamodb"), segment, environment, remaining_seconds, backoff or Backoff(attempts=WAITS)
    )
    number, rows, quarantined, batch = segment.batch, 0, 0, Batch()
    while not scan.ended and not scan.out_of_time():
        for item in scan.next_page():
            _take(item, batch)
            if batch.reaches(rows=environment.export_batch_rows, size_bytes=environment.export_batch_bytes):
                write_batch(s3, segment.bucket, names, number, batch)
                number, rows, quarantined = number + 1, rows + len(batch.lines), quarantined + len(batch.refused)
                batch = Batch()
    if batch:
        write_batch(s3, segment.bucket, names, number, batch)
        number, rows, quarantined = number + 1, rows + len(batch.lines), quarantined + len(batch.refused)
    return {
        "segment": segment.segment,
        "total_segments": segment.total_segments,
        "done": scan.ended,
        "start_key": scan.start_key,
        "batch": number,
        "rows": rows,
        "quarantined": quarantined,
    }


class _Scan:
    """Pages of one segment. Throttling is waited out while there is time, then ends this invocation, not the export."""

    def __init__(
        self,
        dynamodb: Any,
        segment: Segment,
        environment: ExportEnvironment,
        remaining_seconds: Callable[[], float],
        backoff: Backoff,
    ) -> None:
        self._dynamodb = dynamodb
        self._request = _scan_request(segment, environment.insights_table_name)
        self._table = environment.insights_table_name
        self._margin_seconds = environment.hand_on_margin_seconds
        self._remaining_seconds = remaining_seconds
        self._backoff = backoff
        self._pages_read = 0
        self._gave_up = False
        self.start_key = segment.start_key
        self.ended = False

    def out_of_time(self) -> bool:
        """Never before the first page: an invocation that reads nothing would hand on forever."""
        late = self._remaining_seconds() < self._margin_seconds
        return self._gave_up or (late and self._pages_read > 0)

    def next_page(self) -> list[dict[str, Any]]:
        request = self._request | ({"ExclusiveStartKey": self.start_key} if self.start_key else {})
        page = self._answer(request)
        if page is None:
            self._gave_up = True
            return []
        self._pages_read += 1
        self.start_key = page.get("LastEvaluatedKey")
        self.ended = self.start_key is None
        items: list[dict[str, Any]] = page["Items"]
        return items

    def _answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The page, or None when the table kept refusing after pages were read; TableThrottled when none ever was."""
        for delay in chain(self._backoff.delays(), [None]):
            try:
                page: dict[str, Any] = self._dynamodb.scan(**request)
                return page
            except ClientError as error:
                if not is_throttled(error):
                    raise
                if delay is None or self._remaining_seconds() - delay < self._margin_seconds:
                    if self._pages_read == 0:
                        raise TableThrottled(self._table, "the scan") from error
                    return None
            self._backoff.sleep(delay)
        return None


def _scan_request(segment: Segment, table: str) -> dict[str, Any]:
    """Reads consistently: a synthetic fleet was ingested by this very run a moment ago."""
    own = segment.device_prefix
    return {
        "TableName": table,
        "Segment": segment.segment,
        "TotalSegments": segment.total_segments,
        "ConsistentRead": True,
        "FilterExpression": "begins_with(device_id, :prefix)" if own else "NOT begins_with(device_id, :prefix)",
        "ExpressionAttributeValues": {":prefix": {"S": own or SYNTHETIC_PREFIX}},
    }


def _take(item: dict[str, Any], batch: Batch) -> None:
    deserialize = TypeDeserializer().deserialize
    plain = {name: deserialize(value) for name, value in item.items()}
    try:
        batch.add(Insight.from_item(plain), is_labelled_later=LABELLED_BY in plain)
    except InvalidInsight as refusal:
        batch.refuse(plain, str(refusal))
