"""What the export left: one summary per batch, read back and checked against the objects that are there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from lambdas.export_insights.batches import intermediate_prefix
from lambdas.objects import listed, listed_entries

READERS = 16
"""Requests at once; botocore's clients may be shared by threads."""


class IncompleteExport(RuntimeError):
    """Batches and their summaries disagree: some export was interrupted, or something else wrote below its prefix."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; start a new run, which exports again under a name of its own")


@dataclass(frozen=True, kw_only=True)
class StoredText:
    """An object as the exporter wrote it: S3 compared its SHA-256 then, and has given every other content another ETag."""

    key: str
    bytes: int
    sha256: str
    etag: str

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Self:
        return cls(key=mapping["key"], bytes=mapping["bytes"], sha256=mapping["sha256"], etag=mapping["etag"])


@dataclass(frozen=True, kw_only=True)
class PartSummary:
    """The summary of one batch, as export_insights.batches writes it; without texts where no row was valid."""

    summary_key: str
    batch: StoredText | None
    csv: StoredText | None
    segment: int | None
    rows: int
    counts: Mapping[str, int]
    labelled_by_source: int
    devices: tuple[str, ...]
    newest_at: str
    quarantined: int
    quarantine: str

    @classmethod
    def from_json(cls, key: str, mapping: Mapping[str, Any]) -> Self:
        if "csv" not in mapping:
            raise IncompleteExport(f"{key} is of a version that wrote no CSV beside its batches")
        return cls(
            summary_key=key,
            batch=StoredText.from_json(mapping) if mapping["key"] else None,
            csv=StoredText.from_json(mapping["csv"]) if mapping["csv"] else None,
            segment=mapping["segment"],
            rows=mapping["rows"],
            counts=mapping["counts"],
            labelled_by_source=mapping["labelled_by_source"],
            devices=tuple(mapping["devices"]),
            newest_at=mapping["newest_at"] or "",
            quarantined=mapping["quarantined"],
            quarantine=mapping["quarantine"] or "",
        )


@dataclass(frozen=True)
class Export:
    """Where the objects of a run's export lie."""

    s3: Any
    run_id: str
    bucket: str
    raw_prefix: str

    @property
    def own_prefix(self) -> str:
        return intermediate_prefix(self.run_id)

    def read(self, key: str) -> bytes:
        text: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return text

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)


def read_parts(export: Export) -> list[PartSummary]:
    """Every summary by segment and batch, after the check that each text is the one that it speaks of, and the
    reverse."""
    keys = [key for key, _ in listed(export.s3, export.bucket, f"{export.raw_prefix}parts/")]
    with ThreadPoolExecutor(READERS) as readers:
        texts = readers.map(export.read, keys)
        parts = [PartSummary.from_json(key, json.loads(text)) for key, text in zip(keys, texts, strict=True)]
    _check(export, f"{export.raw_prefix}export-batch-", (part.batch for part in parts if part.batch))
    _check(export, f"{export.own_prefix}csv/", (part.csv for part in parts if part.csv))
    # Numbers above 999 have more digits, so the order of keys is not theirs.
    return sorted(parts, key=lambda part: (part.segment is None, part.segment or 0, part.summary_key))


def _check(export: Export, prefix: str, told: Iterable[StoredText]) -> None:
    found = {entry["Key"]: entry for entry in listed_entries(export.s3, export.bucket, prefix)}
    for text in told:
        entry = found.pop(text.key, None)
        if entry is None or (entry["Size"], entry.get("ETag", "")) != (text.bytes, text.etag):
            raise IncompleteExport(f"{text.key} is missing or is not what its summary says")
    if found:
        raise IncompleteExport(f"{min(found)} has no summary")
