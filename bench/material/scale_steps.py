"""`python -m bench.material.scale_steps ingest|export|batches|manifest FOLDER`: the Lambdas' own code over a folder and a
table on disk, each in a process of its own so that its memory is its own."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.material.folder_bucket import FolderBucket
from bench.material.paged_table import PagedTable
from insights.schema import RISK_LEVELS
from lambdas.export_insights.batches import UNLABELLED, Batch, BatchNames, write_batch
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.ingest_insights.ingest_insights import ingest_insights
from lambdas.write_manifest.write_manifest import write_manifest

RUN_ID, BUCKET, TABLE = "0123456789ab", "bucket", "insights"
RAW_PREFIX = f"raw/{RUN_ID}/"
SEGMENTS = 8  # as deployed (cdk.json: scan_segments)
LAMBDA_SECONDS = 900.0


def main(step: str, folder: Path) -> None:
    steps = {"ingest": ingest, "export": export, "batches": batches, "manifest": manifest}
    steps[step](folder, FolderBucket(folder / BUCKET))


def ingest(folder: Path, s3: FolderBucket) -> None:
    """Every generated part through IngestInsights into the table."""
    table = PagedTable(folder / "table", segments=SEGMENTS)
    for entry in s3.list_objects_v2(Prefix=f"{RAW_PREFIX}generated/part-")["Contents"]:
        ingest_insights(bucket=BUCKET, key=entry["Key"], table=TABLE, s3=s3, dynamodb=table)
    table.close()


def export(folder: Path, s3: FolderBucket) -> None:
    """One segment after the other; an invocation ends where a Lambda's time would."""
    table = PagedTable.opened(folder / "table")
    for number in range(SEGMENTS):
        progress: dict[str, Any] = {"done": False}
        while not progress["done"]:
            ends = time.monotonic() + LAMBDA_SECONDS
            progress = export_insights(
                Segment.from_event(_asked(number, progress)),
                environment=ExportEnvironment(TABLE),
                remaining_seconds=lambda ends=ends: ends - time.monotonic(),  # type: ignore[misc]
                dynamodb=table,
                s3=s3,
            )


def batches(folder: Path, s3: FolderBucket) -> None:
    """The export's objects without a table: the generated rows as they are, cut between devices."""
    names, number, batch = BatchNames(RUN_ID, RAW_PREFIX, 0), 0, Batch()
    limits = ExportEnvironment(TABLE)
    device = ""
    for line in _generated_lines(folder):
        row = json.loads(line)
        full = batch.reaches(rows=limits.export_batch_rows, size_bytes=limits.export_batch_bytes)
        if full and row["device_id"] != device:
            write_batch(s3, BUCKET, names, number, batch)
            number, batch = number + 1, Batch()
        device = row["device_id"]
        _take(batch, line, row)
    write_batch(s3, BUCKET, names, number, batch)


def manifest(folder: Path, s3: FolderBucket) -> None:
    account = write_manifest(run_id=RUN_ID, bucket=BUCKET, raw_prefix=RAW_PREFIX, s3=s3)
    print(json.dumps({name: account[name] for name in ("rows", "devices", "objects")}))


def _asked(number: int, progress: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "bucket": BUCKET,
        "raw_prefix": RAW_PREFIX,
        "source": {"kind": "synthetic", "device_prefix": "synthetic-"},
        "segment": number,
        "total_segments": SEGMENTS,
        "start_key": progress.get("start_key"),
        "batch": progress.get("batch", 0),
    }


def _generated_lines(folder: Path) -> Iterator[str]:
    for path in sorted((folder / BUCKET / RAW_PREFIX / "generated").glob("part-*.json")):
        with path.open() as lines:
            for line in lines:
                text = line.strip().removesuffix(",")
                if text not in {"[", "]", ""}:
                    yield text


def _take(batch: Batch, line: str, row: dict[str, Any]) -> None:
    """As Batch.add keeps an insight, without making one of the text and text of it again."""
    level = row["risk_level"]
    batch.lines.append(line)
    batch.counts += Counter([level if level in RISK_LEVELS else UNLABELLED])
    batch.labelled_by_source += level is not None or row["performance_score"] is not None
    batch.devices.add(row["device_id"])
    batch.bytes_gathered += len(line) + 2


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
