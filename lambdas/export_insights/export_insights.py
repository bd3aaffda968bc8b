"""One part of an export, written as batches until it ends or the time does: a segment of a scan, or a file of a table's
point-in-time export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lambdas.clients import client
from lambdas.export_insights.batches import BatchLimits, BatchNames, Rows, remove_batches_from, write_batch
from lambdas.export_insights.data_file import DataFile, TableFile
from lambdas.export_insights.scan import Scan, Time
from lambdas.export_insights.sources import Source, Wanted, device_of, plain_item
from lambdas.export_insights.table_client import table_client
from lambdas.export_insights.whole_devices import Position, WholeDevices
from lambdas.throttling import Backoff

WAITS = 1000  # more than fit into an invocation: its time ends the waiting, never the count


@dataclass(frozen=True)
class ExportEnvironment:
    """A batch's limits: 50,000 rows are about 30 MB as JSON and 10 MB as CSV, above the 5 MiB of an S3 part."""

    insights_table_name: str
    hand_on_margin_seconds: int = 60
    export_batch_rows: int = 50_000
    export_batch_bytes: int = 48 * 1024 * 1024
    export_device_bytes: int = 256 * 1024 * 1024

    @property
    def limits(self) -> BatchLimits:
        return BatchLimits(
            rows=self.export_batch_rows, size_bytes=self.export_batch_bytes, device_bytes=self.export_device_bytes
        )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one invocation is asked for: from `start_key` on, first batch number `batch`; `segment` is the number of
    the scan's segment, or of the data file."""

    run_id: str
    bucket: str
    raw_prefix: str
    device_prefix: str | None
    segment: int
    total_segments: int = 1
    start_key: Position
    batch: int
    data_file: DataFile | None = None

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Segment:
        return cls(
            run_id=event["run_id"],
            bucket=event["bucket"],
            raw_prefix=event["raw_prefix"],
            device_prefix=event["source"].get("device_prefix"),
            segment=event["segment"],
            total_segments=event.get("total_segments") or 1,
            start_key=event.get("start_key"),
            batch=event.get("batch") or 0,
            data_file=DataFile.from_event(event["data_file"]) if event.get("data_file") else None,
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
    """Writes the part's batches; `done` is false when another invocation has to go on at `start_key`."""
    s3 = s3 or client("s3")
    output = _Output(s3, segment)
    remove_batches_from(s3, segment.bucket, output.names, segment.batch)
    source = _source(segment, environment, remaining_seconds, dynamodb, s3, backoff or Backoff(attempts=WAITS))
    is_file = segment.data_file is not None
    # A file ends where DynamoDB ended it: its first and its last device may go on in another one, so each has a batch
    # of its own, and bringing such devices together leaves all other batches alone.
    first_alone = is_file and segment.start_key is None
    devices = WholeDevices(output.write, environment.limits, segment.start_key, first_alone=first_alone)
    wanted = Wanted(segment.device_prefix)
    while not source.ended and not source.out_of_time():
        _read_page(source, wanted, devices)
    if source.ended:
        devices.end(source.position, last_alone=is_file)
    go_on_at = None if source.ended else devices.end_between(source.position, source.last_device)
    return {
        "segment": segment.segment,
        "total_segments": segment.total_segments,
        "done": source.ended,
        "start_key": go_on_at,
        "batch": output.number,
        "rows": output.rows,
        "quarantined": output.quarantined,
    }


class _Output:
    """Numbers the batches of an invocation and counts what is in them."""

    def __init__(self, s3: Any, segment: Segment) -> None:
        self.names = BatchNames(segment.run_id, segment.raw_prefix, segment.segment)
        self._s3, self._bucket = s3, segment.bucket
        self.number, self.rows, self.quarantined = segment.batch, 0, 0

    def write(self, batch: Rows) -> None:
        write_batch(self._s3, self._bucket, self.names, self.number, batch)
        self.number += 1
        self.rows += len(batch.lines)
        self.quarantined += len(batch.refused)


def _read_page(source: Source, wanted: Wanted, devices: WholeDevices) -> None:
    page = source.next_page()
    for index, item in enumerate(page):
        device = device_of(item)
        if wanted.includes(device):
            devices.take(device, plain_item(item), partial(source.position_before, page, index))


def _source(
    segment: Segment,
    environment: ExportEnvironment,
    remaining_seconds: Callable[[], float],
    dynamodb: Any,
    s3: Any,
    backoff: Backoff,
) -> Source:
    time = Time(remaining_seconds=remaining_seconds, margin_seconds=environment.hand_on_margin_seconds)
    if segment.data_file:
        return TableFile(s3, segment.bucket, segment.data_file, start=segment.start_key, time=time)
    return Scan(
        dynamodb or table_client(),
        table=environment.insights_table_name,
        segment=segment.segment,
        total_segments=segment.total_segments,
        device_prefix=segment.device_prefix,
        start_key=segment.start_key,
        time=time,
        backoff=backoff,
    )
