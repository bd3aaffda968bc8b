"""Insights of any number on disk, served by ranges of devices: memory holds one block read or one shard, never the whole.

A device may be found in several files; a shard has all of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from insights.columns import ARRAY_COLUMNS, InsightColumns
from training_container.device_rows import DeviceRows, ranges

BLOCK_ROWS: Final = 100_000  # written at once: about 15 MB


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block's columns in a file, with the names of its classes."""

    rows: DeviceRows
    device_classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shards:
    """Every row in shards of whole devices, in the order of their ids; device and class codes are each shard's own."""

    devices: tuple[str, ...]
    device_classes: tuple[str, ...]
    brings_labels: bool
    pieces: Sequence[_Piece]
    bounds: Sequence[tuple[str, str]]

    @classmethod
    def spool(cls, blocks: Iterable[InsightColumns], folder: Path) -> Shards:
        """Reads all; of insights with one key the last given wins."""
        pieces: list[_Piece] = []
        rows: Counter[str] = Counter()
        brings_labels = False
        for columns in _gathered(blocks):
            brings_labels |= bool((columns.risk >= 0).any() or not np.isnan(columns.score).all())
            pieces.append(_written(columns, folder / f"insights-{len(pieces)}"))
            rows.update(dict(pieces[-1].rows.counts()))
        devices = tuple(sorted(rows))
        classes = tuple(sorted({name for piece in pieces for name in piece.device_classes}))
        return cls(devices, classes, brings_labels, pieces, ranges((name, rows[name]) for name in devices))

    def __iter__(self) -> Iterator[InsightColumns]:
        for first, last in self.bounds:
            parts = [_read(piece, first, last) for piece in self.pieces]
            yield InsightColumns.concatenate([part for part in parts if len(part)])


def _gathered(blocks: Iterable[InsightColumns]) -> Iterator[InsightColumns]:
    """Small files make one block together: a piece costs more than its rows."""
    held: list[InsightColumns] = []
    rows = 0
    for block in blocks:
        held.append(block)
        rows += len(block)
        if rows >= BLOCK_ROWS:
            yield InsightColumns.concatenate(held)
            held, rows = [], 0
    if held:
        yield InsightColumns.concatenate(held)


def _written(columns: InsightColumns, path: Path) -> _Piece:
    table = np.empty(len(columns), np.dtype([(name, getattr(columns, name).dtype) for name in ARRAY_COLUMNS]))
    for name in ARRAY_COLUMNS:
        table[name] = getattr(columns, name)
    table.tofile(path)
    starts = np.searchsorted(columns.device, np.arange(len(columns.devices) + 1))
    return _Piece(DeviceRows(path, table.dtype, columns.devices, starts), columns.device_classes)


def _read(piece: _Piece, first: str, last: str) -> InsightColumns:
    devices, table, counts = piece.rows.read(first, last)
    arrays: dict[str, Any] = {name: np.ascontiguousarray(table[name]) for name in ARRAY_COLUMNS}
    arrays["device"] = np.repeat(np.arange(len(devices), dtype=np.int32), counts)
    return InsightColumns(devices=tuple(devices), device_classes=piece.device_classes, **arrays)
