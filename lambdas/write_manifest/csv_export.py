"""The whole export as CSV, put together by S3 from the pieces that stand beside the batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from insights.row_text import CSV_HEADER
from lambdas.write_manifest.composing import SMALLEST_PART, compose
from lambdas.write_manifest.parts import Export, PartSummary

HEADER = f"{CSV_HEADER}\n".encode()
# An upload has 10,000 parts, and a piece needs one, or with its small neighbours two: 450 million rows.
MOST_PIECES = 9_000


def write_full_csv(
    export: Export, parts: Sequence[PartSummary], *, smallest_part: int = SMALLEST_PART, most_pieces: int = MOST_PIECES
) -> list[dict[str, Any]]:
    """One object, or several where S3 does not take so many pieces; each has the header and is accounted for byte by byte."""
    return [
        _write(export, number, parts[start : start + most_pieces], smallest_part)
        for number, start in enumerate(range(0, len(parts), most_pieces))
    ]


def csv_key(export: Export, number: int) -> str:
    suffix = f"-{number:05d}" if number else ""
    return f"{export.raw_prefix}full-export-{export.run_id}{suffix}.csv"


def _write(export: Export, number: int, parts: Sequence[PartSummary], smallest_part: int) -> dict[str, Any]:
    key = csv_key(export, number)
    texts = [part.csv for part in parts if part.csv]
    size = compose(export, key, HEADER, texts, content_type="text/csv", smallest=smallest_part)
    return {
        "key": key,
        "rows": sum(part.rows for part in parts),
        "bytes": size,
        "header": {"bytes": len(HEADER), "sha256": hashlib.sha256(HEADER).hexdigest()},
        # They follow each other in the file, so that each can be checked alone, by its bytes.
        "pieces": [{"bytes": text.bytes, "sha256": text.sha256} for text in texts],
    }
