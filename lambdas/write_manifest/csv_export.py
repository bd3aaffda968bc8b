"""The whole export as one CSV, streamed from its batches: one line and one upload part in memory at a time."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from insights.schema import CSV_COLUMNS, EARLIEST, Insight, timestamp_text
from lambdas.objects import PART_BYTES, TextUpload
from lambdas.write_manifest.parts import IncompleteExport, PartSummary


def write_full_csv(
    s3: Any, bucket: str, key: str, parts: Sequence[PartSummary], *, part_bytes: int = PART_BYTES
) -> dict[str, Any]:
    """Copies every batch into the CSV and checks each against its summary on the way; there is a row at least."""
    rows, newest = 0, EARLIEST
    with TextUpload(s3, bucket, key, content_type="text/csv", part_bytes=part_bytes) as upload:
        writer = csv.DictWriter(upload, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for part in parts:
            for insight in _insights_of(s3, bucket, part):
                writer.writerow(insight.to_csv())
                rows += 1
                newest = max(newest, insight.timestamp)
    return {
        "key": key,
        "rows": rows,
        "newest_at": timestamp_text(newest),
        "bytes": upload.bytes_written,
        "sha256": upload.sha256,
    }


def _insights_of(s3: Any, bucket: str, part: PartSummary) -> Iterator[Insight]:
    digest = hashlib.sha256()
    rows = 0
    for line in s3.get_object(Bucket=bucket, Key=part.key)["Body"].iter_lines(chunk_size=1024 * 1024, keepends=True):
        digest.update(line)
        text = line.strip().removesuffix(b",")
        if text not in {b"[", b"]", b""}:
            rows += 1
            yield Insight.from_json(json.loads(text), record=f"{part.key} row {rows}")
    if digest.hexdigest() != part.sha256 or rows != part.rows:
        raise IncompleteExport(f"{part.key} is not what its summary says ({rows} rows found, {part.rows} expected)")
