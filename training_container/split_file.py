"""One split in columnar form: what training and evaluation read. A file <split>.npz, or parts of whole devices,
<split>-00000-of-0000K.npz, of which each instance of a training has its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from insights.schema import shown
from insights.splits import group_of
from training_container.errors import BROKEN_ARRAYS, UnusableInput
from training_container.mapped_rows import mapped_member, taken_from_file

_PART = re.compile(r".+-(?P<part>\d{5})-of-(?P<of>\d{5})")
_NAMES = frozenset({"devices", "device_classes"})


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows by device and time. X (n, 25) in the table's order, NaN unknown; risk -1 and score NaN where unlabelled.

    `device`, `device_class` and `workload` (of WORKLOAD_TYPES) are codes, -1 unknown; `breach` says whether the row's
    own interval is above its SLO (1 yes, 0 no, -1 unknown); the oracle's are -1 and NaN where the source knows no truth.
    """

    X: npt.NDArray[np.float32]
    risk: npt.NDArray[np.int8]
    score: npt.NDArray[np.float32]
    device: npt.NDArray[np.int32]
    devices: npt.NDArray[np.str_]
    time: npt.NDArray[np.float64]
    persistence_risk: npt.NDArray[np.int8]
    persistence_score: npt.NDArray[np.float32]
    device_class: npt.NDArray[np.int32]
    device_classes: npt.NDArray[np.str_]
    workload: npt.NDArray[np.int8]
    breach: npt.NDArray[np.int8]
    oracle_risk: npt.NDArray[np.int8]
    oracle_score: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.risk)

    def labelled(self, kind: str) -> Split:
        """The rows that have the label of the model kind; itself where all have."""
        known = self.risk >= 0 if kind == "risk" else ~np.isnan(self.score)
        return self if known.all() else self.take(known)

    def group(self) -> npt.NDArray[np.int64]:
        """(n,) code of the group of each row's device (splits.group_of): disks of one host share their incidents."""
        names = np.array([group_of(name) for name in self.devices.tolist()], np.str_)
        codes: npt.NDArray[np.int64] = np.unique(names, return_inverse=True)[1][self.device]
        return codes

    def take(self, rows: npt.NDArray[Any]) -> Split:
        """The rows of a mask or an index; names stay whole, so codes keep their meaning. Mapped features stay in a file."""
        taken = {slot: getattr(self, slot)[rows] for slot in self.__slots__ if slot not in _NAMES and slot != "X"}
        X = taken_from_file(self.X, rows) if isinstance(self.X, np.memmap) else self.X[rows]
        return replace(self, X=X, **taken)

    @classmethod
    def empty(cls) -> Split:
        return cls(
            X=np.empty((0, len(FEATURE_NAMES)), np.float32),
            devices=np.empty(0, np.str_),
            device_classes=np.empty(0, np.str_),
            **{name: np.empty(0, kind) for name, kind in _TYPES.items()},
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Split]) -> Split:
        """Several splits of one engineering, whose names are the same."""
        first = parts[0]
        return cls(
            **{
                slot: getattr(first, slot)
                if slot in _NAMES
                else np.concatenate([getattr(part, slot) for part in parts])
                for slot in cls.__slots__
            }
        )

    def write(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in self.__slots__}
        np.savez(path, feature_names=np.array(FEATURE_NAMES), **arrays)

    @classmethod
    def read(cls, folder: Path, name: str, *, mapped: bool = False) -> Split:
        """One file or all its parts, in their order. With `mapped`, features of a single file are left there and mapped.

        Raises UnusableInput when a file is missing, is no such file, or has another feature table.
        """
        found = files_of(folder, name)
        if found.of != len(found.paths):
            raise UnusableInput(
                f"{folder} holds {len(found.paths)} of the {found.of} parts of {name}; run engineer again"
            )
        return cls.of_files(found.paths, mapped=mapped)

    @classmethod
    def of_files(cls, paths: Sequence[Path], *, mapped: bool = False) -> Split:
        """One split of at least one file, parts in the order given; as in `read`."""
        parts = [_read(path, mapped=mapped and len(paths) == 1) for path in paths]
        return parts[0] if len(parts) == 1 else cls.concatenate(with_common_names(parts))


_TYPES = {
    "risk": np.int8,
    "score": np.float32,
    "device": np.int32,
    "time": np.float64,
    "persistence_risk": np.int8,
    "persistence_score": np.float32,
    "device_class": np.int32,
    "workload": np.int8,
    "breach": np.int8,
    "oracle_risk": np.int8,
    "oracle_score": np.float32,
}


class SplitFiles(NamedTuple):
    """A split's files that are here, and how many there are in all (of a split in parts an instance may have some)."""

    paths: Sequence[Path]
    of: int


def files_of(folder: Path, name: str) -> SplitFiles:
    """<name>.npz, or <name>-00000-of-0000K.npz and so on, never both; a missing file stands for itself in `paths`."""
    whole = folder / f"{name}.npz"
    parts = {path: match for path in folder.glob(f"{name}-*.npz") if (match := _PART.fullmatch(path.stem))}
    counts = {int(match["of"]) for match in parts.values()}
    if len(counts) > 1 or (parts and whole.is_file()):
        raise UnusableInput(f"{folder} holds {name} in parts of several engineerings; empty it and run engineer again")
    return SplitFiles(sorted(parts), counts.pop()) if parts else SplitFiles([whole], 1)


def with_common_names(parts: Sequence[Split]) -> list[Split]:
    """The same splits, with codes for the names of all of them."""
    recoded: dict[str, list[npt.NDArray[Any]]] = {}
    names: dict[str, npt.NDArray[Any]] = {}
    for names_of, codes_of in (("devices", "device"), ("device_classes", "device_class")):
        names[names_of] = np.unique(np.concatenate([getattr(part, names_of) for part in parts]))
        places = [np.append(np.searchsorted(names[names_of], getattr(part, names_of)), -1) for part in parts]
        recoded[codes_of] = [
            place.astype(np.int32)[getattr(part, codes_of)] for place, part in zip(places, parts, strict=True)
        ]
    return [
        replace(part, **names, **{codes: arrays[index] for codes, arrays in recoded.items()})
        for index, part in enumerate(parts)
    ]


def _read(path: Path, *, mapped: bool) -> Split:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(arrays["feature_names"].tolist())
            if names != FEATURE_NAMES:
                raise UnusableInput(f"{path} has other features than this code; run engineer again")
            X = mapped_member(path, "X") if mapped else arrays["X"]
            return _whole(Split(X=X, **{slot: arrays[slot] for slot in Split.__slots__ if slot != "X"}))
    except BROKEN_ARRAYS as error:
        if isinstance(error, UnusableInput):
            raise
        raise UnusableInput(f"{path} is no split of the features: {shown(error, 300)}; run engineer again") from error


def _whole(split: Split) -> Split:
    """ValueError unless each row has everything."""
    shapes = {slot: getattr(split, slot).shape for slot in Split.__slots__ if slot not in _NAMES}
    wanted = (len(split), len(FEATURE_NAMES))
    wrong = [slot for slot, shape in shapes.items() if shape != (wanted if slot == "X" else wanted[:1])]
    if wrong:
        raise ValueError(f"{wrong[0]} has the shape {shapes[wrong[0]]} where {len(split)} rows are told of")
    return split
