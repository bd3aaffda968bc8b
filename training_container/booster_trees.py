"""XGBoost's own Booster behind the interface of the compiled trees: for training, whose processes end before compiled
kernels would be loaded, and as what the compiled trees are held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from training_container.errors import UnusableInput

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BoosterTrees:
    booster: xgb.Booster

    @classmethod
    def read(cls, path: Path) -> BoosterTrees:
        """UnusableInput where there is no model."""
        if not path.is_file():
            raise UnusableInput(f"{path.parent} holds no model: {path.name} is missing")
        try:
            # left out, nthread is every core: starting the threads costs a few rows more than their answers
            return cls(xgb.Booster({"nthread": 1}, model_file=str(path)))
        except xgb.core.XGBoostError as error:
            first_line = str(error).strip().splitlines()[0]
            raise UnusableInput(f"{path} cannot be read by XGBoost ({first_line}); train again") from error

    def margins(self, rows: Matrix) -> Matrix:
        """(n, outputs)"""
        margins: Matrix = self.booster.inplace_predict(rows, predict_type="margin").reshape(len(rows), -1)
        return margins

    def contributions(self, rows: Matrix, outputs: npt.NDArray[np.int64]) -> Floats:
        """(n, 25) of each row for its own one of `outputs` (n,)."""
        values: Floats = self.explained(rows)[np.arange(len(rows)), outputs, :-1].astype(np.float64)
        return values

    def explained(self, rows: Matrix) -> Matrix:
        """(n, outputs, 26): the contributions of each feature, and last the bias."""
        values: Matrix = self.booster.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)
        return values.reshape(len(rows), -1, values.shape[-1])
