"""Complete numbers for consumers that need them (drift, linear baselines): median imputation and standard scaling,
both fitted on the training split only. XGBoost takes NaN as it is and needs neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from insights.columns import Floats
from insights.feature_table import FEATURE_NAMES

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BLOCK_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessing:
    """Per feature: `median` for missing values (0 where training had none), then (x - mean) / deviation (never 0)."""

    median: Floats
    mean: Floats
    deviation: Floats

    @classmethod
    def fit(cls, X: Floats) -> Self:
        """From the training rows, shape (n, 25); ValueError without rows. Infinite values are a caller's bug."""
        values = _checked(X)
        if len(values) == 0:
            raise ValueError("no training rows: medians and scales need at least one")
        known = (column[~np.isnan(column)] for column in values.T)
        median = np.array([np.median(column) if len(column) else 0.0 for column in known])
        mean = _sum(values, lambda rows: _filled(rows, median)) / len(values)
        deviation = np.sqrt(_sum(values, lambda rows: (_filled(rows, median) - mean) ** 2) / len(values))
        return cls(median, mean, np.where(deviation > 0.0, deviation, 1.0))

    def transform(self, X: Floats) -> Floats:
        """Complete, scaled rows, shape (n, 25)."""
        values = _checked(X)
        result: Floats = (_filled(values, self.median) - self.mean) / self.deviation
        return result

    def to_json(self) -> dict[str, Any]:
        """For preprocessing.json beside a model."""
        return {
            "feature_names": list(FEATURE_NAMES),
            "median": self.median.tolist(),
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Self:
        """ValueError where it was fitted for other features."""
        if tuple(mapping["feature_names"]) != FEATURE_NAMES:
            raise ValueError("the preprocessing was fitted for another feature table; fit it again with this version")
        return cls(*(np.array(mapping[name], np.float64) for name in ("median", "mean", "deviation")))


def _filled(rows: Floats, median: Floats) -> Floats:
    return np.where(np.isnan(rows), median, rows)


def _sum(X: Floats, term: Callable[[Floats], Floats]) -> Floats:
    """Of the terms of all rows, a block in memory at a time; adds row by row as numpy does over the first axis."""
    total = np.zeros(X.shape[1])
    for begin in range(0, len(X), _BLOCK_ROWS):
        total = np.concatenate([total[np.newaxis], term(X[begin : begin + _BLOCK_ROWS])]).sum(axis=0)
    return total


def feature_statistics(X: Floats) -> dict[str, dict[str, float | int | None]]:
    """Per feature: count (known), missing, mean, std, minimum, maximum, quantiles (p01 ...); None without values."""
    values = _checked(X)
    return {name: _statistics(values[:, column]) for column, name in enumerate(FEATURE_NAMES)}


def _statistics(values: Floats) -> dict[str, float | int | None]:
    known = values[~np.isnan(values)]
    names = ["mean", "std", "minimum", "maximum", *(f"p{round(100 * q):02d}" for q in QUANTILES)]
    numbers: Sequence[float | None] = [None] * len(names)
    if len(known):
        quantiles = np.quantile(known, QUANTILES).tolist()
        numbers = [float(known.mean()), float(known.std()), float(known.min()), float(known.max()), *quantiles]
    counts: dict[str, float | int | None] = {"count": len(known), "missing": len(values) - len(known)}
    return counts | dict(zip(names, numbers, strict=True))


def _checked(X: Floats) -> Floats:
    values = np.asarray(X, np.float64)
    if values.ndim != 2 or values.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"features have the shape {values.shape}, but (rows, {len(FEATURE_NAMES)}) is needed")
    if np.isinf(values).any():
        column = int(np.flatnonzero(np.isinf(values).any(axis=0))[0])
        raise ValueError(f"feature {FEATURE_NAMES[column]} is infinite in a row; missing values are NaN ({math.nan})")
    return values
