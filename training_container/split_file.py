"""One split in columnar form (<split>.npz): what training and evaluation read."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from training_container.errors import UnusableInput


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows by device and time. X (n, 25) in the table's order, NaN unknown; risk -1 and score NaN where unlabelled."""

    X: npt.NDArray[np.float32]
    risk: npt.NDArray[np.int8]
    score: npt.NDArray[np.float32]
    device: npt.NDArray[np.int32]
    devices: npt.NDArray[np.str_]
    time: npt.NDArray[np.float64]
    persistence_risk: npt.NDArray[np.int8]
    persistence_score: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.risk)

    def labelled(self, kind: str) -> Split:
        """The rows that have the label of the model kind."""
        return self.take(self.risk >= 0 if kind == "risk" else ~np.isnan(self.score))

    def take(self, rows: npt.NDArray[np.bool_]) -> Split:
        return Split(
            self.X[rows],
            self.risk[rows],
            self.score[rows],
            self.device[rows],
            self.devices,
            self.time[rows],
            self.persistence_risk[rows],
            self.persistence_score[rows],
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
