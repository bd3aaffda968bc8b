"""A trained model as a function from feature rows to answers: calibrated, with an interval, a confidence and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from training_container.errors import UnusableInput
from training_container.model_folder import SPREAD_TREES, TREES, ModelDescription, read_golden

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

CONTRIBUTIONS = 5
INTERVAL_LEVEL = 0.9
GOLDEN_TOLERANCE = 1e-4
SCORE_RANGE = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Predictor:
    """`spread` predicts the 5% and 95% quantiles of the score for performance; None for risk."""

    description: ModelDescription
    trees: xgb.Booster
    spread: xgb.Booster | None
    threads: int

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> Predictor:
        """Raises UnusableInput for a folder that is no model, or one of another feature table."""
        description = ModelDescription.read(folder)
        spread = _booster(folder / SPREAD_TREES, threads) if description.kind == "performance" else None
        return cls(description, _booster(folder / TREES, threads), spread, threads)

    @property
    def kind(self) -> str:
        return self.description.kind

    def probabilities(self, rows: Matrix) -> Floats:
        """(n, 4) calibrated by the temperature: softmax of margin / T (Guo et al. 2017)."""
        margins = self._margins(rows) / _fitted(self.description.temperature, "temperature")
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def scores(self, rows: Matrix) -> Floats:
        """(n,) clipped to 0-100."""
        clipped: Floats = np.clip(self._margins(rows), *SCORE_RANGE)
        return clipped

    def intervals(self, rows: Matrix) -> tuple[Floats, Floats]:
        """Lower and upper of the 90% interval: score +- q x predicted spread (normalised split conformal, Lei 2018)."""
        half = _fitted(self.description.conformal_quantile, "conformal_quantile") * self._spreads(rows)
        scores = self.scores(rows)
        return np.clip(scores - half, *SCORE_RANGE), np.clip(scores + half, *SCORE_RANGE)

    def answers(self, rows: Matrix, *, explain: bool = True) -> list[dict[str, Any]]:
        """One answer per row, as /invocations gives it."""
        plain = self._risk_answers(rows) if self.kind == "risk" else self._performance_answers(rows)
        if not explain:
            return list(plain)
        return [
            {**answer, "contributions": reasons}
            for answer, reasons in zip(plain, self._contributions(rows), strict=True)
        ]

    def golden_mismatch(self, folder: Path) -> str:
        """Empty when the golden rows are answered as they were at training, else the first difference."""
        rows, expected = read_golden(folder)
        for number, (wanted, found) in enumerate(
            zip(expected, self.answers(rows, explain=False), strict=True), start=1
        ):
            for name, left, right in _numbers(wanted, found):
                if abs(left - right) > GOLDEN_TOLERANCE:
                    return f"golden row {number}: {name} is {right}, was {left} at training"
        return ""

    def _risk_answers(self, rows: Matrix) -> Iterator[dict[str, Any]]:
        for row in self.probabilities(rows):
            best = int(row.argmax())
            yield {
                "risk_level": self.description.classes[best],
                "probabilities": dict(zip(self.description.classes, map(float, row), strict=True)),
                "confidence": float(row[best]),
            }

    def _performance_answers(self, rows: Matrix) -> Iterator[dict[str, Any]]:
        """Confidence is the share of the scale that the interval rules out: 1 - width / 100."""
        lower, upper = self.intervals(rows)
        for score, low, high in zip(self.scores(rows).tolist(), lower.tolist(), upper.tolist(), strict=True):
            yield {
                "performance_score": score,
                "interval": {"lower": low, "upper": high, "level": INTERVAL_LEVEL},
                "confidence": 1.0 - (high - low) / (SCORE_RANGE[1] - SCORE_RANGE[0]),
            }

    def _contributions(self, rows: Matrix) -> Iterator[list[dict[str, Any]]]:
        """The strongest TreeSHAP values; for risk in log-odds of the predicted level, before the temperature."""
        # left out, nthread is every core: starting the threads costs a single row more than its answer
        shap = self.trees.predict(xgb.DMatrix(rows, nthread=self.threads), pred_contribs=True)
        if self.kind == "risk":
            shap = shap[np.arange(len(rows)), self.probabilities(rows).argmax(axis=1)]
        for row, values in zip(rows, shap[:, : len(FEATURE_NAMES)], strict=True):
            strongest = np.argsort(-np.abs(values), kind="stable")[:CONTRIBUTIONS]
            yield [
                {
                    "feature": FEATURE_NAMES[index],
                    "value": None if np.isnan(row[index]) else float(row[index]),
                    "contribution": float(values[index]),
                }
                for index in strongest.tolist()
            ]

    def _margins(self, rows: Matrix) -> Floats:
        margins: Floats = self.trees.inplace_predict(rows, predict_type="margin").astype(np.float64)
        return margins

    def _spreads(self, rows: Matrix) -> Floats:
        if self.spread is None:
            raise ValueError("a risk model has no interval")
        return spread_width(self.spread.inplace_predict(rows))


def _fitted(value: float | None, name: str) -> float:
    if value is None:
        raise ValueError(f"the model has no {name}: it answers another question")
    return value


def spread_width(quantiles: npt.NDArray[Any]) -> Floats:
    """(n,) in score points from (n, 2) quantiles, which may cross; at least 0.1, as a residual is never nothing."""
    width: Floats = np.maximum(np.abs(quantiles[:, 1].astype(np.float64) - quantiles[:, 0]), 0.1)
    return width


def _booster(path: Path, threads: int) -> xgb.Booster:
    if not path.is_file():
        raise UnusableInput(f"{path.parent} holds no model: {path.name} is missing")
    booster = xgb.Booster(model_file=str(path))
    booster.set_param({"nthread": threads})
    return booster


def _numbers(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[tuple[str, float, float]]:
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, found[name])
        elif isinstance(value, int | float):
            yield name, value, found[name]
