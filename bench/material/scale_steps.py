"""`python -m bench.material.scale_steps ingest|export|export_generated|manifest FOLDER`: the Lambdas' own code over a folder
and a table on disk, each in a process of its own so that its memory is its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.material.folder_bucket import FolderBucket
from bench.material.paged_table import GeneratedTable, Pages, StoredTable, answering
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.export_insights.table_client import table_client
from lambdas.ingest_insights.ingest_insights import ingest_insights
from lambdas.write_manifest.write_manifest import write_manifest

RUN_ID, BUCKET, TABLE = "0123456789ab", "bucket", "insights"
RAW_PREFIX = f"raw/{RUN_ID}/"
SEGMENTS = 8  # as deployed (cdk.json: scan_segments)
LAMBDA_SECONDS = 900.0


def main(step: str, folder: Path) -> None:
    steps = {"ingest": ingest, "export": export, "export_generated": export_generated, "manifest": manifest}
    steps[step](folder, FolderBucket(folder / BUCKET))


def ingest(folder: Path, s3: FolderBucket) -> None:
    """Every generated part through IngestInsights into the table."""
    table = StoredTable(folder / "table", segments=SEGMENTS)
    for entry in s3.list_objects_v2(Prefix=f"{RAW_PREFIX}generated/part-")["Contents"]:
        ingest_insights(bucket=BUCKET, key=entry["Key"], table=TABLE, s3=s3, dynamodb=table)
    table.close()


def export(folder: Path, s3: FolderBucket) -> None:
    """One segment after the other; an invocation ends where a Lambda's time would."""
    dynamodb = _client(StoredTable.opened(folder / "table"))
    for number in range(SEGMENTS):
        progress: dict[str, Any] = {"done": False}
        while not progress["done"]:
            progress = _invoked(number, SEGMENTS, progress, s3, dynamodb, LAMBDA_SECONDS)


def export_generated(folder: Path, s3: FolderBucket) -> None:
    """The same of one segment that no table holds, as long as it takes."""
    dynamodb = _client(GeneratedTable(folder / BUCKET / RAW_PREFIX / "generated"))
    _invoked(0, 1, {}, s3, dynamodb, float("inf"))


def manifest(folder: Path, s3: FolderBucket) -> None:
    account = write_manifest(run_id=RUN_ID, bucket=BUCKET, raw_prefix=RAW_PREFIX, s3=s3)
    print(json.dumps({name: account[name] for name in ("rows", "devices", "objects")}))


def _client(pages: Pages) -> Any:
    """One of its own: whoever else asks for the process's table client means the table."""
    own: Any = table_client.__wrapped__()
    return answering(own, pages)


def _invoked(
    number: int, segments: int, progress: dict[str, Any], s3: FolderBucket, dynamodb: Any, seconds: float
) -> dict[str, Any]:
    event = {
        "run_id": RUN_ID,
        "bucket": BUCKET,
        "raw_prefix": RAW_PREFIX,
        "source": {"kind": "synthetic", "device_prefix": "synthetic-"},
        "segment": number,
        "total_segments": segments,
        "start_key": progress.get("start_key"),
        "batch": progress.get("batch", 0),
    }
    ends = time.monotonic() + seconds
    return export_insights(
        Segment.from_event(event),
        environment=ExportEnvironment(TABLE),
        remaining_seconds=lambda: ends - time.monotonic(),
        dynamodb=dynamodb,
        s3=s3,
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
