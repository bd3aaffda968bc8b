"""Features that stay in their file: mapped, read in blocks, and forgotten by the process after each pass.

numpy maps no member of an .npz, but one that was stored uncompressed (np.savez) is an .npy at an offset of the file.
"""

from __future__ import annotations

import mmap
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]

BLOCK_ROWS: Final = 1 << 18  # 26 MB of features
_LOCAL_HEADER: Final = 30  # bytes of a zip's local file header, before the member's name and extra field
_NAME_LENGTHS: Final = slice(26, 30)


def mapped_member(path: Path, name: str) -> npt.NDArray[Any]:
    """An array of an .npz as a read-only map of the file; ValueError where it is compressed."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed and cannot be mapped")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        lengths = np.frombuffer(file.read(_LOCAL_HEADER)[_NAME_LENGTHS], "<u2")
        file.seek(info.header_offset + _LOCAL_HEADER + int(lengths.sum()))
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if 0 in shape:  # which no system maps
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", offset=file.tell(), shape=shape, order="F" if is_fortran else "C")


def blocks(X: Rows, rows: int = BLOCK_ROWS) -> Iterator[Rows]:
    """Copies of so many rows at a time; a mapped file's pages are given back after each."""
    for begin in range(0, len(X), rows):
        yield np.array(X[begin : begin + rows])
        forget(X)


def taken_from_file(X: Rows, rows: npt.NDArray[Any]) -> Rows:
    """The rows of a mask as another mapped file, which is gone with its last user; those of an index in memory."""
    if rows.dtype != np.bool_:
        taken: Rows = np.array(X[rows])
        forget(X)
        return taken
    if not rows.any():
        return np.empty((0, X.shape[1]), X.dtype)
    with tempfile.TemporaryFile() as file:
        begin = 0
        for block in blocks(X):
            block[rows[begin : begin + len(block)]].tofile(file)
            begin += len(block)
        file.flush()
        return np.memmap(file, X.dtype, "r").reshape(-1, X.shape[1])


def forget(X: npt.NDArray[Any]) -> None:
    """Pages that were read belong to the system's cache, where others may find them, and no longer to this process."""
    mapping = getattr(X, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
