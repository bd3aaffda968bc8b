"""The batches of one scan segment: insights gathered up to a limit, then written under names that a repeat reuses."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from insights.schema import RISK_LEVELS, Insight
from lambdas.objects import json_bytes, listed, put_text

UNLABELLED: Final = "unlabelled"


@dataclass(frozen=True)
class BatchNames:
    """Object names of one segment. Numbers are padded, so that listing order is batch order."""

    run_id: str
    raw_prefix: str
    segment: int

    def batch(self, number: int) -> str:
        return f"{self.raw_prefix}export-batch-{self.segment:03d}-{number:05d}.json"

    def part(self, number: int) -> str:
        return f"{self.raw_prefix}parts/{self.segment:03d}-{number:05d}.json"

    def quarantine(self, number: int) -> str:
        return f"quarantine/{self.run_id}/export-{self.segment:03d}-{number:05d}.jsonl"

    def from_number_on(self, number: int) -> list[tuple[str, str]]:
        """Per kind of object: the prefix of the segment, and the name before which an object is older than `number`."""
        names = (self.batch, self.part, self.quarantine)
        return [(name(0).rpartition("-")[0] + "-", name(number)) for name in names]


@dataclass
class Batch:
    """What the next object will hold, as text: a JSON array with one insight per line."""

    lines: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    labelled_by_source: int = 0
    devices: set[str] = field(default_factory=set)
    bytes_gathered: int = 0

    def add(self, insight: Insight, *, is_labelled_later: bool = False) -> None:
        """`is_labelled_later`: its label did not come with the row."""
        line = json.dumps(insight.to_json(), separators=(",", ":"))
        self.lines.append(line)
        self.counts[insight.risk_level or UNLABELLED] += 1
        is_labelled = insight.risk_level is not None or insight.performance_score is not None
        self.labelled_by_source += is_labelled and not is_labelled_later
        self.devices.add(insight.device_id)
        self.bytes_gathered += len(line) + 2

    def refuse(self, item: dict[str, Any], reason: str) -> None:
        line = json.dumps({"reason": reason, "item": item}, default=str)
        self.refused.append(line)
        self.bytes_gathered += len(line) + 2

    def reaches(self, *, rows: int, size_bytes: int) -> bool:
        """Whether one more row could break a limit; 4 KiB is above the largest insight (texts of 128 characters)."""
        return len(self.lines) + len(self.refused) >= rows or self.bytes_gathered + 4096 > size_bytes

    def __bool__(self) -> bool:
        return bool(self.lines or self.refused)


def write_batch(s3: Any, bucket: str, names: BatchNames, number: int, batch: Batch) -> None:
    """Quarantine, rows, and last the summary: a batch counts once its summary is there (see write_manifest)."""
    text = ("[\n" + ",\n".join(batch.lines) + "\n]\n").encode()
    if batch.refused:
        refused = ("\n".join(batch.refused) + "\n").encode()
        put_text(s3, bucket, names.quarantine(number), refused, content_type="application/x-ndjson")
    if batch.lines:
        put_text(s3, bucket, names.batch(number), text)
    summary = {
        "key": names.batch(number) if batch.lines else None,
        "segment": names.segment,
        "batch": number,
        "rows": len(batch.lines),
        "bytes": len(text) if batch.lines else 0,
        "sha256": hashlib.sha256(text).hexdigest() if batch.lines else None,
        "counts": {level: batch.counts[level] for level in (*RISK_LEVELS, UNLABELLED)},
        "labelled_by_source": batch.labelled_by_source,
        "devices": sorted(batch.devices),
        "quarantined": len(batch.refused),
        "quarantine": names.quarantine(number) if batch.refused else None,
    }
    put_text(s3, bucket, names.part(number), json_bytes(summary))


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
