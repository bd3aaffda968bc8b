"""Insights of any number on disk, served by ranges of devices: memory holds one block read or one shard, never the whole.

A device may be found in several files; a shard has all of its rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.columns import ARRAY_COLUMNS, InsightColumns
from insights.schema import Insight

BLOCK_INSIGHTS: Final = 50_000  # read as objects before they become columns: about 50 MB
SHARD_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block's columns in a file; rows starts[k]:starts[k + 1] are those of device `devices[k]` (sorted)."""

    path: Path
    devices: tuple[str, ...]
    device_classes: tuple[str, ...]
    starts: npt.NDArray[np.int64]

    def rows_of(self, first: str, last: str) -> tuple[int, int]:
        low, high = bisect_left(self.devices, first), bisect_right(self.devices, last)
        return int(self.starts[low]), int(self.starts[high])


@dataclass(frozen=True, slots=True)
class Shards:
    """Every row in shards of whole devices, in the order of their ids; device and class codes are each shard's own."""

    devices: tuple[str, ...]
    device_classes: tuple[str, ...]
    brings_labels: bool
    pieces: Sequence[_Piece]
    bounds: Sequence[tuple[str, str]]

    @classmethod
    def spool(cls, insights: Iterable[Insight], folder: Path) -> Shards:
        """Reads all; of insights with one key the last given wins."""
        pieces: list[_Piece] = []
        rows: Counter[str] = Counter()
        brings_labels = False
        left = iter(insights)
        while block := list(islice(left, BLOCK_INSIGHTS)):
            columns = InsightColumns.from_insights(block)
            brings_labels |= bool((columns.risk >= 0).any() or not np.isnan(columns.score).all())
            pieces.append(_written(columns, folder / f"{len(pieces)}.npy"))
            rows.update(dict(zip(columns.devices, np.diff(pieces[-1].starts).tolist(), strict=True)))
        devices = tuple(sorted(rows))
        classes = tuple(sorted({name for piece in pieces for name in piece.device_classes}))
        return cls(devices, classes, brings_labels, pieces, _bounds([(name, rows[name]) for name in devices]))

    def __iter__(self) -> Iterator[InsightColumns]:
        for first, last in self.bounds:
            yield InsightColumns.concatenate(
                [_read(piece, *piece.rows_of(first, last)) for piece in self.pieces if _overlaps(piece, first, last)]
            )


def _written(columns: InsightColumns, path: Path) -> _Piece:
    kinds = [(name, getattr(columns, name).dtype) for name in ARRAY_COLUMNS]
    table = np.empty(len(columns), np.dtype(kinds))
    for name in ARRAY_COLUMNS:
        table[name] = getattr(columns, name)
    np.save(path, table)
    starts = np.searchsorted(columns.device, np.arange(len(columns.devices) + 1))
    return _Piece(path, columns.devices, columns.device_classes, starts)


def _read(piece: _Piece, begin: int, end: int) -> InsightColumns:
    table = np.load(piece.path, mmap_mode="r")[begin:end]
    arrays: dict[str, Any] = {name: np.array(table[name]) for name in ARRAY_COLUMNS}
    return InsightColumns(devices=piece.devices, device_classes=piece.device_classes, **arrays).compact()


def _overlaps(piece: _Piece, first: str, last: str) -> bool:
    begin, end = piece.rows_of(first, last)
    return end > begin


def _bounds(rows: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """First and last device of each shard: as many as hold SHARD_ROWS rows at most, but one at least."""
    bounds: list[tuple[str, str]] = []
    held = 0
    for device, count in rows:
        if bounds and held + count <= SHARD_ROWS:
            bounds[-1], held = (bounds[-1][0], device), held + count
        else:
            bounds.append((device, device))
            held = count
    return bounds
