"""The simple models that a trained one must beat, and the oracle, which none can beat.

majority, mean      the commonest level of the training rows; their mean score
persistence         the label rule and the score's formula applied to the last six rows
lookup              persistence as fitted: for the state of the last half hour (its level, whether the row itself breaches,
                    the fifth of its score), the level that most often followed in training; for the twentieth of its
                    score, the mean score that followed
logistic, ridge     regression on the 25 features, imputed and scaled
oracle              the commonest level and the mean score of the simulated futures; known for synthetic rows only
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from insights.preprocessing import Preprocessing
from training_container.mapped_rows import blocks, forget
from training_container.split_file import Split

Levels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

MOST_LINEAR_ROWS = 100_000  # a model of 26 numbers per level learns nothing more from further rows
LINEAR_BLOCK = 100_000  # test rows that stand in memory imputed and scaled
RISK_FIFTHS, PERFORMANCE_TWENTIETHS = 5, 20


def risk_rivals(train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Levels]:
    """Predicted levels of the test rows, by rival; the oracle only where it knows every row."""
    commonest = int(np.bincount(train.risk.astype(np.int64)).argmax())
    rivals = {
        "majority": np.full(len(test), commonest),
        "persistence": np.where(test.persistence_risk < 0, commonest, test.persistence_risk).astype(np.int64),
        "lookup": _looked_up_level(train, test, commonest),
        "logistic": _fitted(
            LogisticRegression(solver="newton-cholesky"), preprocessing, train, train.risk, test
        ).astype(np.int64),
    }
    if np.all(test.oracle_risk >= 0):
        rivals["oracle"] = test.oracle_risk.astype(np.int64)
    return rivals


def performance_rivals(train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Scores]:
    """Predicted scores of the test rows, by rival; the oracle only where it knows every row."""
    mean = float(train.score.mean())
    last = test.persistence_score.astype(np.float64)
    rivals = {
        "mean": np.full(len(test), mean),
        "persistence": np.where(np.isnan(last), mean, last),
        "lookup": _looked_up_score(train, test, mean),
        "ridge": np.clip(_fitted(Ridge(), preprocessing, train, train.score, test), 0.0, 100.0),
    }
    if not np.any(np.isnan(test.oracle_score)):
        rivals["oracle"] = test.oracle_score.astype(np.float64)
    return rivals


def _looked_up_level(train: Split, test: Split, commonest: int) -> Levels:
    edges = _edges(train.persistence_score, RISK_FIFTHS)

    def states(rows: Split) -> Levels:
        fifth = _place(rows.persistence_score, edges)
        return ((rows.persistence_risk.astype(np.int64) + 1) * 3 + rows.breach.astype(np.int64) + 1) * _places(
            edges
        ) + fifth

    followed = np.zeros((5 * 3 * _places(edges), 4))
    np.add.at(followed, (states(train), train.risk.astype(np.int64)), 1)
    level = np.where(followed.sum(axis=1) > 0, followed.argmax(axis=1), commonest)
    looked_up: Levels = level[states(test)]
    return looked_up


def _looked_up_score(train: Split, test: Split, mean: float) -> Scores:
    edges = _edges(train.persistence_score, PERFORMANCE_TWENTIETHS)
    place = _place(train.persistence_score, edges)
    rows = np.bincount(place, minlength=_places(edges))
    totals = np.bincount(place, weights=train.score, minlength=_places(edges))
    followed = np.where(rows > 0, totals / np.maximum(rows, 1), mean)
    looked_up: Scores = followed[_place(test.persistence_score, edges)]
    return looked_up


def _edges(values: npt.NDArray[np.float32], parts: int) -> Scores:
    known = values[~np.isnan(values)].astype(np.float64)
    edges: Scores = np.unique(np.quantile(known, np.linspace(0, 1, parts + 1)[1:-1])) if len(known) else np.empty(0)
    return edges


def _place(values: npt.NDArray[np.float32], edges: Scores) -> Levels:
    """0 unknown, then one place for each stretch between edges."""
    place: Levels = np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)
    return place


def _places(edges: Scores) -> int:
    return len(edges) + 2


def _fitted(model: Any, preprocessing: Preprocessing, train: Split, y: npt.NDArray[Any], test: Split) -> Any:
    """A linear model needs complete numbers of one size: the preprocessing stored with the judged model gives them."""
    if len(np.unique(y)) == 1:  # a classifier cannot be fitted to one class; it would say the only one it saw
        return np.full(len(test), y[0])
    taken = slice(None, None, -(-len(y) // MOST_LINEAR_ROWS))
    model.fit(preprocessing.transform(np.array(train.X[taken], np.float64)), y[taken])
    forget(train.X)
    return np.concatenate(
        [model.predict(preprocessing.transform(rows.astype(np.float64))) for rows in blocks(test.X, LINEAR_BLOCK)]
    )
