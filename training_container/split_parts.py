"""The columnar files of engineer (<split>.npz), written from arrays on disk without any of them being in memory.

Byte for byte what Split.write would write of the same arrays.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from training_container.errors import UnusableInput
from training_container.growing_arrays import StoredArray
from training_container.split_file import Split

_COPIED_BYTES: Final = 1 << 20
NAMES: Final = ("devices", "device_classes")
FIELDS: Final = tuple(field.name for field in dataclasses.fields(Split) if field.name not in NAMES)


def write_split(
    path: Path, arrays: Mapping[str, StoredArray], names: Mapping[str, npt.NDArray[Any]], begin: int, end: int
) -> None:
    """Rows begin:end of the FIELDS in `arrays`, and the NAMES whole."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        _write_whole(archive, "feature_names", np.array(FEATURE_NAMES))
        for field in dataclasses.fields(Split):
            if field.name in names:
                _write_whole(archive, field.name, names[field.name])
            else:
                with archive.open(f"{field.name}.npy", "w", force_zip64=True) as member:
                    _write_rows(member, arrays[field.name], begin, end)


def _write_whole(archive: zipfile.ZipFile, name: str, values: npt.NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, values, allow_pickle=False)


def _write_rows(member: IO[bytes], stored: StoredArray, begin: int, end: int) -> None:
    header = {
        "shape": (end - begin, *stored.row_shape),
        "fortran_order": False,
        "descr": np.lib.format.dtype_to_descr(stored.dtype),
    }
    np.lib.format.write_array_header_1_0(member, header)
    with stored.path.open("rb") as file:
        file.seek(begin * stored.row_bytes)
        left = (end - begin) * stored.row_bytes
        while left:
            data = file.read(min(left, _COPIED_BYTES))
            if not data:
                raise OSError(f"{stored.path} ends {left} bytes early")
            member.write(data)
            left -= len(data)


def part_names(split: str, parts: int) -> list[str]:
    """One file, or with several parts one for each instance of a training; both begin with the split's name."""
    if parts == 1:
        return [f"{split}.npz"]
    return [f"{split}-{part:05d}-of-{parts:05d}.npz" for part in range(parts)]


def part_bounds(device_rows: Sequence[int], parts: int) -> list[int]:
    """Where `parts` contiguous parts of whole devices begin and end, as equal as these are; the first is 0."""
    if parts == 1:
        return [0, sum(device_rows)]
    if len(device_rows) < parts:
        raise UnusableInput(
            f"the training split has {len(device_rows)} devices, fewer than the {parts} parts that are asked for; "
            "train on fewer instances, or give more devices"
        )
    ends = np.cumsum(device_rows)
    bounds = [0]
    last = -1
    for part in range(1, parts):
        place = int(np.searchsorted(ends, ends[-1] * part / parts))
        last = min(max(place, last + 1), len(ends) - 1 - (parts - part))
        bounds.append(int(ends[last]))
    return [*bounds, int(ends[-1])]
