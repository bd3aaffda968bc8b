"""Arrays that grow by rows in files of a scratch folder and are read back without being in memory at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class GrowingArrays:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}

    def append(self, name: str, rows: npt.NDArray[Any]) -> None:
        """Rows of one type and shape per name."""
        kind = self._kinds.setdefault(name, (rows.dtype, rows.shape[1:]))
        if kind != (rows.dtype, rows.shape[1:]):
            raise ValueError(f"{name} grows by rows of {kind}, not {(rows.dtype, rows.shape[1:])}")
        with (self._folder / name).open("ab") as file:
            file.write(np.ascontiguousarray(rows).data)

    def read(self, name: str) -> npt.NDArray[Any]:
        """All rows so far, as a view of the file."""
        dtype, shape = self._kinds[name]
        path = self._folder / name
        if path.stat().st_size == 0:  # which no system maps
            return np.empty((0, *shape), dtype)
        flat: npt.NDArray[Any] = np.memmap(path, dtype, "r")
        return flat.reshape(-1, *shape)
