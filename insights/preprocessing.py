"""Complete numbers for consumers that need them (drift, linear baselines): median imputation and standard scaling,
both fitted on the training split only. XGBoost takes NaN as it is and needs neither."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

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
        return cls.fit_columns(_checked(X).T)

    @classmethod
    def fit_columns(cls, columns: Iterable[Floats]) -> Self:
        """The same from one array of values a feature, in the table's order, so that a single one is in memory."""
        fitted = np.array([cls.of_column(_finite(column, name)) for name, column in _named(columns)])
        return cls(*np.ascontiguousarray(fitted.T))

    @staticmethod
    def of_column(values: npt.NDArray[np.floating[Any]]) -> tuple[float, float, float]:
        """Median, mean and deviation of one feature, (n,), as `fit` finds them; for rows that are not in memory at once."""
        if len(values) == 0:
            raise ValueError("no training rows: medians and scales need at least one")
        exact: Floats = values.astype(np.float64)
        known = exact[~np.isnan(exact)]
        median = float(np.median(known)) if len(known) else 0.0
        filled = _filled(exact, median)
        mean = _sum(filled) / len(values)
        deviation = math.sqrt(_sum((filled - mean) ** 2) / len(values))
        return median, mean, deviation if deviation > 0.0 else 1.0

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


def _filled(rows: Floats, median: Floats | float) -> Floats:
    return np.where(np.isnan(rows), median, rows)


def _sum(terms: Floats) -> float:
    """Row after row, so that it depends neither on the layout of the rows nor on how many are summed at once."""
    total = 0.0
    for begin in range(0, len(terms), _BLOCK_ROWS):
        total = float(np.cumsum(np.concatenate([[total], terms[begin : begin + _BLOCK_ROWS]]))[-1])
    return total


def feature_statistics(X: Floats) -> dict[str, dict[str, float | int | None]]:
    """Per feature: count (known), missing, mean, std, minimum, maximum, quantiles (p01 ...); None without values."""
    return column_statistics(_checked(X).T)


def column_statistics(columns: Iterable[Floats]) -> dict[str, dict[str, float | int | None]]:
    """The same from one array of values a feature, in the table's order."""
    return {name: _statistics(_finite(column, name)) for name, column in _named(columns)}


def _named(columns: Iterable[Floats]) -> Iterator[tuple[str, Floats]]:
    return zip(FEATURE_NAMES, columns, strict=True)


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
    for name, column in zip(FEATURE_NAMES, values.T, strict=True):
        _finite(column, name)
    return values


def _finite(values: Floats, name: str) -> Floats:
    if np.isinf(values).any():
        raise ValueError(f"feature {name} is infinite in a row; missing values are NaN ({math.nan})")
    return values
