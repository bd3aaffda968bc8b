"""The account of an export: every object with its rows and hash, the classes, the devices of each segment."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from insights.formats import MANIFEST_FORMAT
from insights.schema import RISK_LEVELS, parse_timestamp
from lambdas.clients import client
from lambdas.export_insights.batches import UNLABELLED
from lambdas.objects import json_bytes, put_text, uri_of
from lambdas.write_manifest.composing import SMALLEST_PART
from lambdas.write_manifest.csv_export import write_full_csv
from lambdas.write_manifest.parts import Export, PartSummary
from lambdas.write_manifest.regroup import whole_device_parts

NEWEST_MANIFEST = "raw/manifest.json"


class EmptyExport(RuntimeError):
    """The export holds no insight, so that there is nothing to train on."""

    def __init__(self, run_id: str, quarantined: int) -> None:
        found = (
            f"0 insights ({quarantined} unreadable ones are in quarantine/{run_id}/)" if quarantined else "0 insights"
        )
        super().__init__(
            f"the export of run {run_id} holds {found}; write insights into the table (IngestInsights), check "
            'source.device_prefix, or start with {"source": {"kind": "synthetic"}}'
        )


def write_manifest(
    *, run_id: str, bucket: str, raw_prefix: str, s3: Any = None, smallest_part: int = SMALLEST_PART
) -> dict[str, Any]:
    """Writes manifest and CSV; the same batches give the same bytes, however often this runs."""
    export = Export(s3 or client("s3"), run_id, bucket, raw_prefix)
    parts, regrouped = whole_device_parts(export)
    if sum(part.rows for part in parts) == 0:
        raise EmptyExport(run_id, sum(part.quarantined for part in parts))
    with_rows = [part for part in parts if part.rows]
    manifest = _manifest(run_id, parts) | {
        "regrouped_devices": regrouped,
        "full_export": write_full_csv(export, with_rows, smallest_part=smallest_part),
    }
    text = json_bytes(manifest)
    put_text(export.s3, bucket, f"{raw_prefix}manifest.json", text)
    put_text(export.s3, bucket, NEWEST_MANIFEST, text)
    return {
        "manifest": uri_of(bucket, f"{raw_prefix}manifest.json"),
        "sha256": hashlib.sha256(text).hexdigest(),
        "full_export": uri_of(bucket, manifest["full_export"][0]["key"]),
        "objects": len(manifest["objects"]),
        **{
            name: manifest[name]
            for name in (
                "rows",
                "labelled",
                "devices",
                "devices_in_several_objects",
                "regrouped_devices",
                "counts",
                "quarantined",
                "newest_at",
            )
        },
    }


def measures(account: Mapping[str, Any], *, source: str, now: datetime) -> dict[str, float]:
    """The export as metrics. How far it lies behind is said of the fleet's own telemetry alone: what is generated is
    dated as its seed has it."""
    found: dict[str, float] = {"ExportedInsights": account["rows"], "QuarantinedInsights": account["quarantined"]}
    if source == "dynamodb":
        found["ExportLagSeconds"] = (now - parse_timestamp(account["newest_at"])).total_seconds()
    return found


def _manifest(run_id: str, parts: Sequence[PartSummary]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    rows = sum(part.rows for part in parts)
    return {
        "format": MANIFEST_FORMAT,
        "run_id": run_id,
        "rows": rows,
        "labelled": rows - counts[UNLABELLED],
        # 0: the engineer job labels by hindsight, whatever operators and joined outcomes have said of single rows.
        "labelled_by_source": sum(part.labelled_by_source for part in parts),
        "counts": {level: counts[level] for level in (*RISK_LEVELS, UNLABELLED)},
        "devices": sum(len(part.devices) for part in parts),
        "devices_in_several_objects": 0,  # else whole_device_parts had refused
        "newest_at": max(part.newest_at for part in parts),
        "quarantined": sum(part.quarantined for part in parts),
        "quarantine": [part.quarantine for part in parts if part.quarantine],
        "objects": [
            {
                "key": part.batch.key,
                "rows": part.rows,
                "bytes": part.batch.bytes,
                "sha256": part.batch.sha256,
                "devices": len(part.devices),
                "summary": part.summary_key,
            }
            for part in parts
            if part.batch
        ],
        "segments": _segments(parts),
    }


def _segments(parts: Sequence[PartSummary]) -> list[dict[str, Any]]:
    """Segment null: devices that were found in several objects."""
    rows: Counter[int | None] = Counter()
    devices: dict[int | None, list[str]] = defaultdict(list)
    for part in parts:
        rows[part.segment] += part.rows
        devices[part.segment] += part.devices
    return [{"segment": number, "rows": rows[number], "devices": sorted(devices[number])} for number in rows]
