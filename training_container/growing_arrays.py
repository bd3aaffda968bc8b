"""Arrays that grow by rows in files of a scratch folder and are read back without being in memory at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class StoredArray(NamedTuple):
    """Rows in a file, without any header."""

    path: Path
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.path.stat().st_size // self.row_bytes


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

    def stored(self, name: str) -> StoredArray:
        """Where all rows so far are."""
        return StoredArray(self._folder / name, *self._kinds[name])

    def read(self, name: str) -> npt.NDArray[Any]:
        """All rows so far, in memory."""
        dtype, shape = self._kinds[name]
        flat: npt.NDArray[Any] = np.fromfile(self._folder / name, dtype)
        return flat.reshape(-1, *shape)
