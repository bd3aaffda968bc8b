"""The simple models that a trained one must beat: what everyone would try first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training_container.split_file import Split

Levels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

ITERATIONS = 300
LIMIT = 1e6  # variances of busy devices span ten decades; without a limit one row decides the scale


def risk_rivals(train: Split, test: Split) -> dict[str, Levels]:
    """Predicted levels of the test rows: the commonest level, the last half hour's, and a logistic regression."""
    return {
        "majority": np.full(len(test), np.bincount(train.risk.astype(np.int64)).argmax()),
        "persistence": _or(test.persistence_risk.astype(np.int64), test.persistence_risk < 0, 0),
        "logistic": _fitted(LogisticRegression(max_iter=ITERATIONS), train.X, train.risk, test.X).astype(np.int64),
    }


def performance_rivals(train: Split, test: Split) -> dict[str, Scores]:
    """Predicted scores of the test rows: the mean, the last half hour's, and a ridge regression."""
    mean = float(train.score.mean())
    persistent = test.persistence_score.astype(np.float64)
    return {
        "mean": np.full(len(test), mean),
        "persistence": _or(persistent, np.isnan(persistent), mean),
        "ridge": np.clip(_fitted(Ridge(), train.X, train.score, test.X), 0.0, 100.0),
    }


def _or(values: npt.NDArray[Any], unknown: npt.NDArray[np.bool_], instead: float) -> npt.NDArray[Any]:
    """Persistence knows nothing where too few of the last rows are there; then it says what is commonest."""
    return np.where(unknown, instead, values)


def _fitted(model: Any, X: npt.NDArray[np.float32], y: npt.NDArray[Any], asked: npt.NDArray[np.float32]) -> Any:
    if len(np.unique(y)) == 1:  # a classifier cannot be fitted to one class; it would say the only one it saw
        return np.full(len(asked), y[0])
    steps: Pipeline = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), model)
    steps.fit(np.clip(X, -LIMIT, LIMIT), y)
    return steps.predict(np.clip(asked, -LIMIT, LIMIT))
