"""One split in columnar form (<split>.npz): what training and evaluation read."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from insights.splits import group_of
from training_container.errors import UnusableInput

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
        """The rows that have the label of the model kind."""
        return self.take(self.risk >= 0 if kind == "risk" else ~np.isnan(self.score))

    def group(self) -> npt.NDArray[np.int64]:
        """(n,) code of the group of each row's device (splits.group_of): disks of one host share their incidents."""
        names = np.array([group_of(name) for name in self.devices.tolist()], np.str_)
        codes: npt.NDArray[np.int64] = np.unique(names, return_inverse=True)[1][self.device]
        return codes

    def take(self, rows: npt.NDArray[Any]) -> Split:
        """The rows of a mask or an index; names stay whole, so codes keep their meaning."""
        return Split(
            **{slot: getattr(self, slot) if slot in _NAMES else getattr(self, slot)[rows] for slot in self.__slots__}
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
    def read(cls, folder: Path, name: str) -> Split:
        """Raises UnusableInput when the file is missing, is no such file, or has another feature table."""
        path = folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = tuple(arrays["feature_names"].tolist())
                if names != FEATURE_NAMES:
                    raise UnusableInput(f"{path} has other features than this code; run engineer again")
                return cls(**{slot: arrays[slot] for slot in cls.__slots__})
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            if isinstance(error, UnusableInput):
                raise
            raise UnusableInput(f"{path} is no split of the features: {error}; run engineer again") from error
