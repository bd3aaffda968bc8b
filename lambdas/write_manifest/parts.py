"""What ExportInsights left: one summary per batch, read back and checked against the objects that are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lambdas.objects import listed


class IncompleteExport(RuntimeError):
    """Batches and their summaries disagree: some export was interrupted, or something else wrote below its prefix."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; start a new run, which exports again under a name of its own")


@dataclass(frozen=True, kw_only=True)
class PartSummary:
    """The summary of one batch, as export_insights.batches writes it; `key` is empty where no row was valid."""

    key: str
    segment: int
    rows: int
    bytes: int
    sha256: str
    counts: Mapping[str, int]
    labelled_by_source: int
    devices: tuple[str, ...]
    quarantined: int
    quarantine: str

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Self:
        return cls(
            key=mapping["key"] or "",
            segment=mapping["segment"],
            rows=mapping["rows"],
            bytes=mapping["bytes"],
            sha256=mapping["sha256"] or "",
            counts=mapping["counts"],
            labelled_by_source=mapping["labelled_by_source"],
            devices=tuple(mapping["devices"]),
            quarantined=mapping["quarantined"],
            quarantine=mapping["quarantine"] or "",
        )


def read_parts(s3: Any, bucket: str, raw_prefix: str) -> list[PartSummary]:
    """Every summary in the order of segment and batch, after the check that each batch has one and the reverse."""
    parts = [
        PartSummary.from_json(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        for key, _ in listed(s3, bucket, f"{raw_prefix}parts/")
    ]
    sizes = dict(listed(s3, bucket, f"{raw_prefix}export-batch-"))
    for part in parts:
        if part.key and sizes.pop(part.key, None) != part.bytes:
            raise IncompleteExport(f"{part.key} is missing or has another size than its summary says")
    if sizes:
        raise IncompleteExport(f"{min(sizes)} has no summary")
    return parts
