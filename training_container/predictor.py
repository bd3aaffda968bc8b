"""A trained model as a function from feature rows to answers: calibrated, with an interval, a confidence and reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from training_container import compiled_trees_kernels as kernels
from training_container.booster_trees import BoosterTrees
from training_container.compiled_trees import CompiledTrees
from training_container.errors import UnusableInput
from training_container.model_folder import GOLDEN, SPREAD_TREES, TREES, ModelDescription, read_golden

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Answers = Callable[[Matrix], list[dict[str, Any]]]

CONTRIBUTIONS = 5
INTERVAL_LEVEL = 0.9
GOLDEN_TOLERANCE = 1e-4
SCORE_RANGE = (0.0, 100.0)


class Reasons(NamedTuple):
    """The strongest features of each row by their places in the table, and what they add to the answer; (n, 5) both."""

    features: Places
    contributions: Floats


class Trees(Protocol):
    """What a Predictor asks of its trees; compiled for serving, XGBoost's own for training."""

    def margins(self, rows: Matrix) -> Matrix:
        """(n, outputs)"""

    def contributions(self, rows: Matrix, outputs: Places) -> Floats:
        """(n, 25) TreeSHAP values of each row for its own one of the outputs."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """`spread` predicts the 5% and 95% quantiles of the score for performance. Everything runs on the caller's thread."""

    description: ModelDescription
    trees: Trees
    spread: Trees | None

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """With compiled trees, which on the folder's golden rows say what XGBoost's say.

        UnusableInput for a folder that is no model, or one of another feature table, or one that cannot be compiled.
        """
        description, rows = ModelDescription.read(folder), read_golden(folder)[0]
        if description.kind == "risk":
            return cls(description, _compiled(folder / TREES, rows, outputs=len(description.classes)), None)
        trees, spread = (_compiled(folder / name, rows, outputs=n) for name, n in ((TREES, 1), (SPREAD_TREES, 2)))
        return cls(description, trees, spread)

    @classmethod
    def uncompiled(cls, folder: Path) -> Predictor:
        """With XGBoost's own trees: slow on a row, but with nothing to load for a process that answers few."""
        description = ModelDescription.read(folder)
        spread = BoosterTrees.read(folder / SPREAD_TREES) if description.kind == "performance" else None
        return cls(description, BoosterTrees.read(folder / TREES), spread)

    @property
    def kind(self) -> str:
        return self.description.kind

    def probabilities(self, rows: Matrix) -> Floats:
        """(n, 4) calibrated by the temperature: softmax of margin / T (Guo et al. 2017)."""
        margins = self.trees.margins(rows) / np.float64(_fitted(self.description.temperature, "temperature"))
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def scores(self, rows: Matrix) -> Floats:
        """(n,) clipped to 0-100."""
        return _clipped(self.trees.margins(rows)[:, 0].astype(np.float64))

    def intervals(self, rows: Matrix) -> tuple[Floats, Floats]:
        """Lower and upper of the 90% interval: score +- q x predicted spread (normalised split conformal, Lei 2018)."""
        return self._interval(self.scores(rows), rows)

    def reasons(self, rows: Matrix, outputs: Places | None = None) -> Reasons:
        """TreeSHAP values; for risk in log-odds of each row's level in `outputs` (n,), before the temperature."""
        values = self.trees.contributions(rows, np.zeros(len(rows), np.int64) if outputs is None else outputs)
        places = np.empty((len(rows), CONTRIBUTIONS), np.int64)
        kernels.strongest(values, places)
        return Reasons(places, values[np.arange(len(rows))[:, np.newaxis], places])

    def answers(self, rows: Matrix, *, explain: bool = True) -> list[dict[str, Any]]:
        """One answer per row, as /invocations gives it."""
        return self._risk_answers(rows, explain) if self.kind == "risk" else self._performance_answers(rows, explain)

    def golden_mismatch(self, folder: Path, answers: Answers | None = None) -> str:
        """Empty when `answers` (its own, if not given) are for the golden rows what they were at training, else the first
        difference."""
        rows, expected = read_golden(folder)
        # with the reasons, although none are kept: the first request must not wait for compilers
        found = (answers or self.answers)(rows)
        for number, (wanted, answer) in enumerate(zip(expected, found, strict=True), start=1):
            for name, left, right in _numbers(wanted, answer):
                if not abs(left - right) <= GOLDEN_TOLERANCE:
                    return f"golden row {number}: {name} is {right}, was {left} at training"
        return ""

    def _risk_answers(self, rows: Matrix, explain: bool) -> list[dict[str, Any]]:
        probabilities, classes = self.probabilities(rows), self.description.classes
        levels = probabilities.argmax(axis=1)
        answers: list[dict[str, Any]] = [
            {
                "risk_level": classes[level],
                "probabilities": dict(zip(classes, shares, strict=True)),
                "confidence": shares[level],
            }
            for level, shares in zip(levels.tolist(), probabilities.tolist(), strict=True)
        ]
        return _explained(answers, rows, self.reasons(rows, levels)) if explain else answers

    def _performance_answers(self, rows: Matrix, explain: bool) -> list[dict[str, Any]]:
        """Confidence is the share of the scale that the interval rules out: 1 - width / 100."""
        scores = self.scores(rows)
        lower, upper = self._interval(scores, rows)
        answers: list[dict[str, Any]] = [
            {
                "performance_score": score,
                "interval": {"lower": low, "upper": high, "level": INTERVAL_LEVEL},
                "confidence": 1.0 - (high - low) / (SCORE_RANGE[1] - SCORE_RANGE[0]),
            }
            for score, low, high in zip(scores.tolist(), lower.tolist(), upper.tolist(), strict=True)
        ]
        return _explained(answers, rows, self.reasons(rows)) if explain else answers

    def _interval(self, scores: Floats, rows: Matrix) -> tuple[Floats, Floats]:
        if self.spread is None:
            raise ValueError("a risk model has no interval")
        quantile = _fitted(self.description.conformal_quantile, "conformal_quantile")
        half = quantile * spread_width(self.spread.margins(rows))
        return _clipped(scores - half), _clipped(scores + half)


def _explained(answers: list[dict[str, Any]], rows: Matrix, reasons: Reasons) -> list[dict[str, Any]]:
    for answer, row, features, values in zip(answers, rows.tolist(), *(part.tolist() for part in reasons), strict=True):
        answer["contributions"] = [
            {
                "feature": FEATURE_NAMES[feature],
                "value": None if math.isnan(row[feature]) else row[feature],
                "contribution": value,
            }
            for feature, value in zip(features, values, strict=True)
        ]
    return answers


def _clipped(scores: Floats) -> Floats:
    within: Floats = np.minimum(np.maximum(scores, SCORE_RANGE[0]), SCORE_RANGE[1])
    return within


def _fitted(value: float | None, name: str) -> float:
    if value is None:
        raise ValueError(f"the model has no {name}: it answers another question")
    return value


def spread_width(quantiles: npt.NDArray[Any]) -> Floats:
    """(n,) in score points from (n, 2) quantiles, which may cross; at least 0.1, as a residual is never nothing."""
    width: Floats = np.maximum(np.abs(quantiles[:, 1].astype(np.float64) - quantiles[:, 0]), 0.1)
    return width


def _compiled(path: Path, rows: Matrix, *, outputs: int) -> CompiledTrees:
    booster = BoosterTrees.read(path)
    trees = CompiledTrees.of(booster.booster)
    if trees.outputs != outputs:
        raise UnusableInput(f"{path} has {trees.outputs} outputs; the model's description asks for {outputs}")
    difference = trees.difference(booster, rows)
    if difference:
        raise UnusableInput(f"{path}, {GOLDEN} {difference}; this code does not serve the model as XGBoost would")
    return trees


def _numbers(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[tuple[str, float, float]]:
    """Every number of an answer beside the expected one, NaN where none was expected."""
    for name, value in found.items():
        expected = wanted.get(name)
        if isinstance(value, Mapping):
            yield from _numbers(expected if isinstance(expected, Mapping) else {}, value)
        elif isinstance(value, int | float):
            yield name, expected if isinstance(expected, int | float) else math.nan, value
