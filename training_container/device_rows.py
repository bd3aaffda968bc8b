"""Rows of whole devices in files, sorted by device and time, served by ranges of devices out of several at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SHARD_ROWS: Final = 100_000  # held in memory at once

Records = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class DeviceRows:
    """A file of records; rows starts[k]:starts[k + 1] are those of device `devices[k]` (sorted)."""

    path: Path
    kind: np.dtype[Any]
    devices: tuple[str, ...]
    starts: npt.NDArray[np.int64]

    def counts(self) -> list[tuple[str, int]]:
        return list(zip(self.devices, np.diff(self.starts).tolist(), strict=True))

    def read(self, first: str, last: str) -> tuple[Sequence[str], Records, npt.NDArray[np.int64]]:
        """Of the devices from `first` to `last` the names, the rows, and how many each has. Read, not mapped: memory
        holds the range alone."""
        low, high = bisect_left(self.devices, first), bisect_right(self.devices, last)
        begin, end = int(self.starts[low]), int(self.starts[high])
        if end == begin:
            return (), np.empty(0, self.kind), np.empty(0, np.int64)
        rows = np.fromfile(self.path, self.kind, end - begin, offset=begin * self.kind.itemsize)
        if len(rows) != end - begin:
            raise OSError(f"{self.path} ends before row {end}")
        return self.devices[low:high], rows, np.diff(self.starts[low : high + 1])


def ranges(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    """First and last device of each shard: as many as hold SHARD_ROWS rows at most, but one at least."""
    bounds: list[tuple[str, str]] = []
    held = 0
    for device, count in counts:
        if bounds and held + count <= SHARD_ROWS:
            bounds[-1], held = (bounds[-1][0], device), held + count
        else:
            bounds.append((device, device))
            held = count
    return bounds
