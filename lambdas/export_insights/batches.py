"""The batches of one part of an export: whole devices gathered up to a limit, written under names that a repeat reuses."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from insights.row_text import row_texts
from insights.schema import EARLIEST, RISK_LEVELS, Insight, timestamp_text
from lambdas.objects import json_bytes, listed, put_text

UNLABELLED: Final = "unlabelled"


def intermediate_prefix(run_id: str) -> str:
    """What a run needs for itself alone: it expires soon (stacks/data_stack.py)."""
    return f"exports/{run_id}/"


@dataclass(frozen=True)
class BatchNames:
    """Object names of one segment, or of one data file. Numbers are padded, so that listing order is batch order."""

    run_id: str
    raw_prefix: str
    segment: int | None

    @property
    def _label(self) -> str:
        """Without a number: devices that were found in several objects, brought together (write_manifest.regroup)."""
        return "regrouped" if self.segment is None else f"{self.segment:03d}"

    def batch(self, number: int) -> str:
        return f"{self.raw_prefix}export-batch-{self._label}-{number:05d}.json"

    def part(self, number: int) -> str:
        return f"{self.raw_prefix}parts/{self._label}-{number:05d}.json"

    def csv(self, number: int) -> str:
        return f"{intermediate_prefix(self.run_id)}csv/{self._label}-{number:05d}.csv"

    def quarantine(self, number: int) -> str:
        return f"quarantine/{self.run_id}/export-{self._label}-{number:05d}.jsonl"

    def from_number_on(self, number: int) -> list[tuple[str, str]]:
        """Per kind of object: the prefix of the segment, and the name before which an object is older than `number`."""
        names = (self.batch, self.part, self.csv, self.quarantine)
        return [(name(0).rpartition("-")[0] + "-", name(number)) for name in names]


@dataclass
class Rows:
    """Rows as the texts of both forms, with what their summary says of them."""

    lines: list[str] = field(default_factory=list)
    csv_lines: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    labelled_by_source: int = 0
    devices: set[str] = field(default_factory=set)
    newest_at: datetime = EARLIEST
    bytes_gathered: int = 0

    def add(self, insight: Insight, *, is_labelled_later: bool = False) -> None:
        """`is_labelled_later`: its label did not come with the row."""
        line, csv_line = row_texts(insight)
        self.lines.append(line)
        self.csv_lines.append(csv_line)
        self.counts[insight.risk_level or UNLABELLED] += 1
        if not is_labelled_later and (insight.risk_level is not None or insight.performance_score is not None):
            self.labelled_by_source += 1
        self.devices.add(insight.device_id)
        self.newest_at = max(self.newest_at, insight.timestamp)
        self.bytes_gathered += len(line) + 2

    def refuse(self, item: dict[str, Any], reason: str) -> None:
        line = json.dumps({"reason": reason, "item": item}, default=str)
        self.refused.append(line)
        self.bytes_gathered += len(line) + 2

    def with_rows(self, other: Rows) -> Rows:
        """These and those of `other`, in one of the two."""
        if not self:
            return other
        self.lines += other.lines
        self.csv_lines += other.csv_lines
        self.refused += other.refused
        self.counts += other.counts
        self.labelled_by_source += other.labelled_by_source
        self.devices |= other.devices
        self.newest_at = max(self.newest_at, other.newest_at)
        self.bytes_gathered += other.bytes_gathered
        return self

    @property
    def row_count(self) -> int:
        return len(self.lines) + len(self.refused)

    def __bool__(self) -> bool:
        return bool(self.lines or self.refused)


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """Of a batch of several devices; a device that is larger has a batch of its own, up to `device_bytes`."""

    rows: int
    size_bytes: int
    device_bytes: int


def fits(batch: Rows, device: Rows, limits: BatchLimits) -> bool:
    return (
        batch.row_count + device.row_count <= limits.rows
        and batch.bytes_gathered + device.bytes_gathered + 4 <= limits.size_bytes
    )


def write_batch(s3: Any, bucket: str, names: BatchNames, number: int, batch: Rows) -> None:
    """Quarantine, both forms of the rows, and last the summary: a batch counts once its summary is there.

    S3 refuses a body that is not what its checksum says, and the summary keeps the ETag that S3 answered, by which
    write_manifest sees that it is still this object.
    """
    summary = {
        "key": None,
        "segment": names.segment,
        "batch": number,
        "rows": len(batch.lines),
        "bytes": 0,
        "sha256": None,
        "etag": None,
        "csv": None,
        "counts": {level: batch.counts[level] for level in (*RISK_LEVELS, UNLABELLED)},
        "labelled_by_source": batch.labelled_by_source,
        "devices": sorted(batch.devices),
        "newest_at": timestamp_text(batch.newest_at) if batch.lines else None,
        "quarantined": len(batch.refused),
        "quarantine": names.quarantine(number) if batch.refused else None,
    }
    if batch.refused:
        refused = ("\n".join(batch.refused) + "\n").encode()
        put_text(s3, bucket, names.quarantine(number), refused, content_type="application/x-ndjson")
    if batch.lines:
        summary |= _put(s3, bucket, names.batch(number), "[\n" + ",\n".join(batch.lines) + "\n]\n", "application/json")
        summary["csv"] = _put(s3, bucket, names.csv(number), "\n".join(batch.csv_lines) + "\n", "text/csv")
    put_text(s3, bucket, names.part(number), json_bytes(summary))


def _put(s3: Any, bucket: str, key: str, text: str, content_type: str) -> dict[str, Any]:
    body = text.encode()
    digest = hashlib.sha256(body)
    etag = put_text(s3, bucket, key, body, content_type=content_type, sha256=digest.digest())
    return {"key": key, "bytes": len(body), "sha256": digest.hexdigest(), "etag": etag}


def remove_batches_from(s3: Any, bucket: str, names: BatchNames, number: int) -> int:
    """Removes what an earlier attempt at this part of the segment left; returns how many objects that were.

    A repeat may cut its batches elsewhere (another page limit, another moment of handing on), so a later batch of the
    failed attempt could repeat rows under a name that is not overwritten. Invocations of one segment follow each
    other, so whatever has this number or a higher one is of a failed attempt.
    """
    removed = 0
    for prefix, first in names.from_number_on(number):
        before_first = first[:-1] + chr(ord(first[-1]) - 1)  # StartAfter excludes its own key
        for key, _ in list(listed(s3, bucket, prefix, after=before_first)):
            s3.delete_object(Bucket=bucket, Key=key)
            removed += 1
    return removed
