"""The simple models that a trained one must beat: what everyone would try first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from insights.preprocessing import Preprocessing
from training_container.split_file import Split

Levels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

ITERATIONS = 300


def risk_rivals(train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Levels]:
    """Predicted levels of the test rows: the commonest level, the last half hour's, and a logistic regression."""
    commonest = int(np.bincount(train.risk.astype(np.int64)).argmax())
    logistic = _fitted(LogisticRegression(max_iter=ITERATIONS), preprocessing, train.X, train.risk, test.X)
    return {
        "majority": np.full(len(test), commonest),
        "persistence": _or(test.persistence_risk.astype(np.int64), test.persistence_risk < 0, commonest),
        "logistic": logistic.astype(np.int64),
    }


def performance_rivals(train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Scores]:
    """Predicted scores of the test rows: the mean, the last half hour's, and a ridge regression."""
    mean = float(train.score.mean())
    persistent = test.persistence_score.astype(np.float64)
    return {
        "mean": np.full(len(test), mean),
        "persistence": _or(persistent, np.isnan(persistent), mean),
        "ridge": np.clip(_fitted(Ridge(), preprocessing, train.X, train.score, test.X), 0.0, 100.0),
    }


def _or(values: npt.NDArray[Any], unknown: npt.NDArray[np.bool_], instead: float) -> npt.NDArray[Any]:
    """Persistence knows nothing where too few of the last rows are there; then it says what is commonest."""
    return np.where(unknown, instead, values)


def _fitted(
    model: Any,
    preprocessing: Preprocessing,
    X: npt.NDArray[np.float32],
    y: npt.NDArray[Any],
    asked: npt.NDArray[np.float32],
) -> Any:
    """A linear model needs complete numbers of one size: the preprocessing stored with the judged model gives them."""
    if len(np.unique(y)) == 1:  # a classifier cannot be fitted to one class; it would say the only one it saw
        return np.full(len(asked), y[0])
    model.fit(preprocessing.transform(X.astype(np.float64)), y)
    return model.predict(preprocessing.transform(asked.astype(np.float64)))
