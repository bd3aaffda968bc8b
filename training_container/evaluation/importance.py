"""What a model leans on, three ways that fail differently: permuted, explained (mean |SHAP|), and left out.

Features that say the same share the first two measures between them, so that each looks weak; leaving one out and
training again (`left_out`) shows what the table would really lose. That takes a training per feature: bench, not workflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from training_container.evaluation.metrics import level_metrics, score_metrics
from training_container.predictor import Predictor
from training_container.split_file import Split

PERMUTED_ROWS, REPEATS = 2_000, 3
EXPLAINED_ROWS = 500
SEED = 7


def importance(predictor: Predictor, test: Split) -> dict[str, dict[str, float]]:
    """Both by feature, strongest first: `permutation` in macro-F1 lost or RMSE added when the feature's values are
    shuffled among rows (Breiman 2001), `mean_abs_shap` in log-odds (summed over levels) or score points."""
    return {"permutation": _ranked(_permuted(predictor, test)), "mean_abs_shap": _ranked(_explained(predictor, test))}


def left_out(fit: Any, splits: Mapping[str, Split], quality: Any) -> Iterator[tuple[str, float]]:
    """For every feature the quality of a model that never saw it: `fit(splits)` gives what `quality` judges."""
    for index, name in enumerate(FEATURE_NAMES):
        blanked = {split: replace(rows, X=_with(rows.X, index, np.float32(np.nan))) for split, rows in splits.items()}
        yield name, quality(fit(blanked), blanked["test"])


def _permuted(predictor: Predictor, test: Split) -> list[float]:
    rows = test.take(_sample(len(test), PERMUTED_ROWS))
    random = np.random.default_rng(SEED)
    whole = _loss(predictor, rows, rows.X)
    return [
        float(
            np.mean(
                [_loss(predictor, rows, _with(rows.X, i, random.permutation(rows.X[:, i]))) for _ in range(REPEATS)]
            )
        )
        - whole
        for i in range(len(FEATURE_NAMES))
    ]


def _explained(predictor: Predictor, test: Split) -> list[float]:
    rows = test.X[_sample(len(test), EXPLAINED_ROWS)]
    levels = len(predictor.description.classes) if predictor.kind == "risk" else 1
    outputs = [np.full(len(rows), output) for output in range(levels)]
    shap: list[float] = sum(np.abs(predictor.trees.contributions(rows, o)).mean(axis=0) for o in outputs).tolist()
    return shap


def _loss(predictor: Predictor, rows: Split, X: npt.NDArray[np.float32]) -> float:
    if predictor.kind == "risk":
        levels = predictor.probabilities(X).argmax(axis=1)
        return -float(level_metrics(rows.risk.astype(np.int64), levels)["macro_f1"])
    return score_metrics(rows.score.astype(np.float64), predictor.scores(X))["rmse"]


def _sample(rows: int, most: int) -> npt.NDArray[np.int64]:
    """Evenly spaced: every device stays in it."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def _with(X: npt.NDArray[np.float32], index: int, values: Any) -> npt.NDArray[np.float32]:
    changed = X.copy()
    changed[:, index] = values
    return changed


def _ranked(values: list[float]) -> dict[str, float]:
    return dict(sorted(zip(FEATURE_NAMES, values, strict=True), key=lambda pair: -pair[1]))
