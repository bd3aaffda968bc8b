"""The account of an export: every object with its rows and hash, the classes, the devices of each segment."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from insights.schema import RISK_LEVELS, parse_timestamp
from lambdas.clients import client
from lambdas.export_insights.batches import UNLABELLED
from lambdas.objects import PART_BYTES, json_bytes, put_text, uri_of
from lambdas.write_manifest.csv_export import write_full_csv
from lambdas.write_manifest.parts import PartSummary, read_parts

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
    *, run_id: str, bucket: str, raw_prefix: str, s3: Any = None, part_bytes: int = PART_BYTES
) -> dict[str, Any]:
    """Writes manifest and CSV; the same batches give the same bytes, however often this runs."""
    s3 = s3 or client("s3")
    parts = read_parts(s3, bucket, raw_prefix)
    if sum(part.rows for part in parts) == 0:
        raise EmptyExport(run_id, sum(part.quarantined for part in parts))
    with_rows = [part for part in parts if part.rows]
    csv_key = f"{raw_prefix}full-export-{run_id}.csv"
    manifest = _manifest(run_id, parts)
    manifest["full_export"] = write_full_csv(s3, bucket, csv_key, with_rows, part_bytes=part_bytes)
    text = json_bytes(manifest)
    put_text(s3, bucket, f"{raw_prefix}manifest.json", text)
    put_text(s3, bucket, NEWEST_MANIFEST, text)
    return {
        "manifest": uri_of(bucket, f"{raw_prefix}manifest.json"),
        "sha256": hashlib.sha256(text).hexdigest(),
        "full_export": uri_of(bucket, csv_key),
        "objects": len(manifest["objects"]),
        "devices_in_several_segments": len(manifest["devices_in_several_segments"]),
        "newest_at": manifest["full_export"]["newest_at"],
        **{name: manifest[name] for name in ("rows", "labelled", "devices", "counts", "quarantined")},
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
    segments = _segments_of_devices(parts)
    return {
        "format": 1,
        "run_id": run_id,
        "rows": rows,
        "labelled": rows - counts[UNLABELLED],
        # 0: the engineer job labels by hindsight, whatever operators and joined outcomes have said of single rows.
        "labelled_by_source": sum(part.labelled_by_source for part in parts),
        "counts": {level: counts[level] for level in (*RISK_LEVELS, UNLABELLED)},
        "devices": len(segments),
        "quarantined": sum(part.quarantined for part in parts),
        "quarantine": [part.quarantine for part in parts if part.quarantine],
        "devices_in_several_segments": [
            {"device_id": device, "segments": sorted(found)}
            for device, found in sorted(segments.items())
            if len(found) > 1
        ],
        "objects": [
            {"key": part.key, "rows": part.rows, "bytes": part.bytes, "sha256": part.sha256}
            for part in parts
            if part.rows
        ],
        "segments": _segments(parts, segments),
    }


def _segments_of_devices(parts: Sequence[PartSummary]) -> dict[str, set[int]]:
    segments: dict[str, set[int]] = defaultdict(set)
    for part in parts:
        for device in part.devices:
            segments[device].add(part.segment)
    return segments


def _segments(parts: Sequence[PartSummary], segments: dict[str, set[int]]) -> list[dict[str, Any]]:
    rows: Counter[int] = Counter()
    for part in parts:
        rows[part.segment] += part.rows
    devices: dict[int, list[str]] = defaultdict(list)
    for device in sorted(segments):
        for segment in segments[device]:
            devices[segment].append(device)
    return [{"segment": number, "rows": rows[number], "devices": devices[number]} for number in sorted(rows)]
