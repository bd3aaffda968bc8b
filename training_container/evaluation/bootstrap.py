"""How sure a metric is: whole devices drawn again and again, because the rows of one device are not independent.

Percentile intervals of the cluster bootstrap (Efron and Tibshirani 1993; Field and Welsh 2007). A metric is computed
from sums over rows, so a resample costs a weighted sum of the devices' totals and never a copy of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training_container.split_file import Split

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000
CONFIDENCE = 0.95
SEED = 7


class DeviceBootstrap:
    """The same resamples for every metric and model, so that differences between models are paired."""

    def __init__(self, group: npt.NDArray[Any], *, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        """`group` (n,): what is drawn as a whole, per row."""
        names, codes = np.unique(group, return_inverse=True)
        self.groups = len(names)
        self._codes = codes
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(self.groups))
        draws = np.random.default_rng(seed).multinomial(self.groups, np.full(self.groups, 1 / self.groups), resamples)
        self._weights = draws.astype(np.float64)

    @classmethod
    def of(cls, rows: Split) -> DeviceBootstrap:
        """Disks of one host or measuring run share their incidents: they are drawn together."""
        return cls(rows.group())

    def sums(self, values: npt.NDArray[Any]) -> Floats:
        """(n,) or (n, k) per row to (resamples,) or (resamples, k): the sum over the rows of each resample."""
        totals = np.add.reduceat(values[self._order].astype(np.float64), self._starts, axis=0)
        summed: Floats = self._weights @ totals
        return summed

    def cells(self, cell: npt.NDArray[np.int64], cells: int, weights: npt.NDArray[Any] | None = None) -> Floats:
        """(resamples, cells): how many rows of each resample are in which of so many cells, or the sum of their weights.

        What `sums` would give for one column a cell, which for a million rows and 500 thresholds is 4 GB.
        """
        places = self._codes * cells + cell
        totals = np.bincount(places, weights, minlength=self.groups * cells).reshape(self.groups, cells)
        summed: Floats = self._weights @ totals.astype(np.float64)
        return summed

    def means(self, values: npt.NDArray[Any], among: npt.NDArray[np.bool_] | None = None) -> Floats:
        """(resamples,) mean over all rows, or over those of a mask: NaN in a resample that drew none of them."""
        chosen = np.ones(len(values), np.bool_) if among is None else among
        return ratio(self.sums(np.where(chosen, values, 0.0)), self.sums(chosen))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Elementwise, NaN where nothing is there to divide by."""
    divided: Floats = np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
    return divided


def interval(resampled: Floats) -> dict[str, float] | None:
    """The 95% percentile interval; None for a metric that no resample defines."""
    defined = resampled[np.isfinite(resampled)]
    if len(defined) == 0:
        return None
    tail = 50 * (1 - CONFIDENCE)
    lower, upper = np.percentile(defined, [tail, 100 - tail])
    return {"lower": float(lower), "upper": float(upper)}


def bounds(resampled: Floats) -> dict[str, float]:
    """The interval of a metric that every resample defines."""
    found = interval(resampled)
    if found is None:
        raise ValueError("no resample defines the metric")
    return found


def intervals(resampled: dict[str, Floats]) -> dict[str, dict[str, float]]:
    """Of every metric that is defined."""
    found = {name: interval(values) for name, values in resampled.items()}
    return {name: ends for name, ends in found.items() if ends is not None}
