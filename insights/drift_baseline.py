"""What a model was trained on, in a form that a later period can be compared with: bins, and a sample of coded rows.

A row is coded as the bin of each feature, and of what the model says to it. Rows stay together by unit (a device, or the
disks of one host) and by part of the week, as both decide how much a row tells that its neighbour did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from insights.feature_table import DRIFT_COLUMNS, FEATURE_NAMES, FEATURE_TABLE_HASH
from insights.schema import RISK_LEVELS

Codes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VERSION: Final = 1
COLUMNS: Final = DRIFT_COLUMNS
PREDICTION: Final = len(FEATURE_NAMES)
QUANTILE_BINS: Final = 20
MOST_EDGES: Final = QUANTILE_BINS - 1
"""A second edge at a value that fills a bin takes the place of a quantile that fell on the same value."""
MISSING: Final = MOST_EDGES + 1
"""The bin of NaN; the others are 0 to MOST_EDGES."""
BINS: Final = MISSING + 1
ABSENT: Final = 255
"""No prediction was asked for, which is not the same as an unknown value."""
MOST_UNITS: Final = 400
MOST_ROWS_PER_CELL: Final = 24
"""Of one unit in one stratum; further rows of five minutes each tell next to nothing that these did not."""
STRATA: Final = 8
_HOUR, _DAY = FEATURE_NAMES.index("hour_of_day"), FEATURE_NAMES.index("day_of_week")
_HOURS_PER_STRATUM: Final = 6
_SATURDAY: Final = 5


class OtherFeatureTable(ValueError):
    """The baseline was written for other features than this code computes."""


@dataclass(frozen=True, slots=True, eq=False)
class CodedRows:
    """`codes` (n, 26) in the order of COLUMNS; `unit` (n,) numbers from 0; `stratum` (n,) of the STRATA of a week."""

    codes: Codes
    unit: Places
    stratum: Places

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, rows: npt.NDArray[Any]) -> CodedRows:
        return CodedRows(self.codes[rows], self.unit[rows], self.stratum[rows])

    @property
    def cell(self) -> Places:
        """(n,) one number for each unit and stratum."""
        numbers: Places = self.unit * STRATA + self.stratum
        return numbers


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """`edges` (26, MOST_EDGES): upper ends of each column's bins, ascending, then infinite."""

    kind: str
    edges: Floats
    rows: CodedRows
    training_rows: int

    @classmethod
    def fit(
        cls, kind: str, X: npt.NDArray[Any], units: npt.NDArray[Any], predictions: Floats, *, seed: int = 7
    ) -> Self:
        """From X (n, 25) in the table's order, the unit (n,) of each row, and what the model says to it (n,).

        `predictions` are codes of RISK_LEVELS or scores, NaN for rows that the model was fitted to, to which it says what
        it learnt by heart. ValueError without rows.
        """
        if len(X) == 0:
            raise ValueError("no training rows: a baseline needs at least one")
        numbers = np.unique(units, return_inverse=True)[1].astype(np.int64)
        kept = sampled_rows(numbers, strata_of(X), seed=seed)
        edges = [quantile_edges(X[:, column]) for column in range(len(FEATURE_NAMES))]
        edges.append(prediction_edges(kind, predictions))
        return cls.of(kind, edges, X[kept], numbers[kept], predictions[kept], training_rows=len(X))

    @classmethod
    def of(
        cls,
        kind: str,
        edges_by_column: Sequence[Floats],
        X: npt.NDArray[Any],
        unit: Places,
        predictions: Floats,
        *,
        training_rows: int,
    ) -> Self:
        """From the rows that `sampled_rows` chose among so many, and the edges (of `quantile_edges`) of all of them."""
        edges = np.full((len(COLUMNS), MOST_EDGES), np.inf)
        for place, found in enumerate(edges_by_column):
            edges[place, : len(found)] = found
        return cls(kind, edges, CodedRows(_codes(edges, X, predictions), unit, strata_of(X)), training_rows)

    def coded(self, X: npt.NDArray[Any], units: npt.NDArray[Any], predictions: Floats) -> CodedRows:
        """A later period's rows in this baseline's bins; all as in `fit`."""
        return coded(self.edges, X, units, predictions)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "version": np.array(VERSION),
            "kind": np.array(self.kind),
            "feature_table_hash": np.array(FEATURE_TABLE_HASH),
            "training_rows": np.array(self.training_rows),
            "edges": self.edges,
            "codes": self.rows.codes,
            "unit": self.rows.unit,
            "stratum": self.rows.stratum,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """OtherFeatureTable, or a KeyError or ValueError where the arrays are no baseline of this version."""
        if int(arrays["version"]) != VERSION:
            raise ValueError(f"its version is {int(arrays['version'])}, this code reads {VERSION}")
        if str(arrays["feature_table_hash"]) != FEATURE_TABLE_HASH:
            raise OtherFeatureTable(
                f"its feature table's hash is {str(arrays['feature_table_hash'])!r}, this code's is {FEATURE_TABLE_HASH!r}"
            )
        rows = CodedRows(arrays["codes"], arrays["unit"], arrays["stratum"])
        edges = arrays["edges"]
        if edges.shape != (len(COLUMNS), MOST_EDGES) or rows.codes.shape != (len(rows), len(COLUMNS)):
            raise ValueError(f"its edges have the shape {edges.shape} and its codes {rows.codes.shape}")
        return cls(str(arrays["kind"]), edges, rows, int(arrays["training_rows"]))


def coded(edges: Floats, X: npt.NDArray[Any], units: npt.NDArray[Any], predictions: Floats) -> CodedRows:
    numbers = np.unique(units, return_inverse=True)[1].astype(np.int64)
    return CodedRows(_codes(edges, X, predictions), numbers, strata_of(X))


def _codes(edges: Floats, X: npt.NDArray[Any], predictions: Floats) -> Codes:
    codes: Codes = np.empty((len(X), len(COLUMNS)), np.uint8)
    for column in range(len(FEATURE_NAMES)):
        codes[:, column] = bins_of(X[:, column], edges[column])
    said = bins_of(predictions, edges[PREDICTION])
    codes[:, PREDICTION] = np.where(np.isnan(predictions), ABSENT, said)
    return codes


def bins_of(values: npt.NDArray[Any], edges: Floats) -> Codes:
    """(n,) a value belongs to the first bin whose upper edge it does not exceed; NaN to the bin MISSING."""
    bins = np.searchsorted(edges, values.astype(np.float64), side="left")
    places: Codes = np.where(np.isnan(values), MISSING, bins).astype(np.uint8)
    return places


def strata_of(X: npt.NDArray[Any]) -> Places:
    """(n,) the part of the week: weekday or weekend, six hours of UTC each. Load has its hours, which are no drift."""
    weekend = X[:, _DAY] >= _SATURDAY
    strata: Places = (4 * weekend + X[:, _HOUR] // _HOURS_PER_STRATUM).astype(np.int64)
    return strata


def prediction_edges(kind: str, predictions: Floats) -> Floats:
    """Upper edges of the bins of what the model says: one for each level, or quantiles of the scores."""
    return np.arange(len(RISK_LEVELS) - 1.0) if kind == "risk" else quantile_edges(predictions)


def quantile_edges(values: npt.NDArray[Any]) -> Floats:
    """Upper edges of up to 20 bins of equal counts. A value that fills a whole bin gets one of its own, so that what lies
    below a constant is told from it."""
    known = values[~np.isnan(values)].astype(np.float64)
    if len(known) == 0:
        return np.empty(0)
    inner = np.quantile(known, np.arange(1, QUANTILE_BINS) / QUANTILE_BINS, method="lower")
    edges, counts = np.unique(inner, return_counts=True)
    return np.unique(np.concatenate([edges, np.nextafter(edges[counts > 1], -np.inf)]))


def sampled_rows(unit: npt.NDArray[Any], stratum: Places, *, seed: int = 7) -> Places:
    """Places of the rows that a baseline keeps, ascending: of MOST_UNITS units drawn at random, at most so many per cell."""
    random = np.random.default_rng(seed)
    units = np.unique(unit)
    places = np.arange(len(unit))
    if len(units) > MOST_UNITS:
        places = np.flatnonzero(np.isin(unit, random.choice(units, MOST_UNITS, replace=False)))
    kept: Places = places[at_most(unit[places] * STRATA + stratum[places], MOST_ROWS_PER_CELL, random)]
    return kept


def at_most(cell: Places, limit: int | Places, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(n,) mask of rows drawn at random: of each cell at most `limit`, or the limit (n,) that each of its rows bears."""
    order = random.permutation(len(cell))
    order = order[np.argsort(cell[order], kind="stable")]
    ordered = cell[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    rank = np.empty(len(cell), np.int64)
    rank[order] = np.arange(len(cell)) - starts
    mask: npt.NDArray[np.bool_] = rank < limit
    return mask
