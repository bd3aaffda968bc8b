"""Has what a model is asked changed since it was trained? Effect sizes for people, one corrected p-value for alarms.

Rows of one device resemble each other, so rows are not what is counted: the test permutes whole units (devices, or the disks
of one host) between baseline and period. Load has its hours and weekends, so a period is compared with the training rows of
the same parts of the week, and hour_of_day and day_of_week, which say when somebody asked, are reported and never tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.drift_baseline import (
    ABSENT,
    BINS,
    COLUMNS,
    MISSING,
    PREDICTION,
    STRATA,
    Baseline,
    CodedRows,
    Places,
    at_most,
)

FALSE_ALARM_RATE: Final = 0.01
"""Of a period, over every feature, every statistic and both models; `make bench BENCH=drift` measures it."""
MODELS: Final = 2
SIGNIFICANCE: Final = FALSE_ALARM_RATE / MODELS
LEAST_PSI: Final = 0.2
"""Between the customary 0.1 (look at it) and 0.25 (act): Siddiqi, Credit Risk Scorecards (2006), chapter 9."""
LEAST_MISSING_SHIFT: Final = 0.1
PERMUTATIONS: Final = 1_999
FEWEST_UNITS: Final = 10
"""In the baseline and in the period; fewer cannot tell a drift from a few other devices."""
FEWEST_UNITS_OF_STRATUM: Final = 5
MOST_UNITS: Final = 2_000
"""Of a period; more make a finer test than its least effect needs, and permutations of them take memory."""
ROUNDED: Final = 1e-6
"""Shares below it are what differences of sums leave of zero."""
NOT_TESTED: Final = frozenset({"hour_of_day", "day_of_week"})
Floats = npt.NDArray[np.floating[Any]]
_TESTED: Final = np.array([name not in NOT_TESTED for name in COLUMNS])


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """A feature or the prediction. `p_value` holds for the whole family (None: not tested); `drifted` needs an effect too.
    `before` and `now` are the shares of the BINS."""

    name: str
    psi: float
    ks: float
    missing_before: float
    missing_now: float
    p_value: float | None
    drifted: bool
    before: tuple[float, ...]
    now: tuple[float, ...]

    @property
    def missing_shift(self) -> float:
        return self.missing_now - self.missing_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`columns` in the order of COLUMNS, none where nothing could be compared; `limits` say in sentences what was not."""

    columns: Sequence[ColumnDrift]
    baseline_units: int
    units: int
    rows: int
    limits: Sequence[str]

    @property
    def drifted(self) -> list[ColumnDrift]:
        """The strongest first."""
        return sorted((column for column in self.columns if column.drifted), key=lambda column: -column.psi)


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Of each labelling (m of them) and column the share of each bin, (m, 26, BINS), the mean over units and over strata
    by the period's weights; and over how many units, (m, 26)."""

    share: Floats
    units: Floats


def psi(before: Floats, now: Floats, least: Floats | float) -> Floats:
    """Population stability index over the last axis: sum of (now - before) ln(now / before), Siddiqi (2006); it is the
    symmetric divergence of Jeffreys (1946). Shares below `least` count as `least`: nothing seen is not proof of never."""
    p, q = np.maximum(before, least), np.maximum(now, least)
    index: Floats = np.sum((q - p) * np.log(q / p), axis=-1)
    return index


def kolmogorov_smirnov(before: Floats, now: Floats) -> Floats:
    """Largest distance of the two distribution functions of the known values (Smirnov 1939) at the bins' edges, which is
    at most the distance at any value; 0 where a side knows none."""
    known = [_renormalised(side[..., :MISSING]) for side in (before, now)]
    distance: Floats = np.abs(np.cumsum(known[0], axis=-1) - np.cumsum(known[1], axis=-1)).max(axis=-1)
    both = (known[0].sum(axis=-1) > 0) & (known[1].sum(axis=-1) > 0)
    return np.where(both, distance, 0.0)


def compare(
    baseline: Baseline,
    period: CodedRows,
    *,
    significance: float = SIGNIFICANCE,
    permutations: int = PERMUTATIONS,
    seed: int = 7,
) -> Comparison:
    """A period's rows (Baseline.coded) against the training rows of the same parts of the week."""
    random = np.random.default_rng(seed)
    before, now, limits = _same_parts_of_the_week(baseline.rows, period)
    now = _fewer_units(now, random, limits)
    before, now = _equally_thinned(before, now, random)
    units = [len(np.unique(side.unit)) for side in (before, now)]
    for name, found in zip(("the training rows", "the period"), units, strict=True):
        if found < FEWEST_UNITS:
            limits.append(f"devices or hosts to compare in {name}: {found}; at least {FEWEST_UNITS} are needed")
    columns: list[ColumnDrift] = []
    if min(units) >= FEWEST_UNITS:
        columns = _columns(*_resampled(before, now, permutations, random), significance)
        if columns[PREDICTION].p_value is None:
            limits.append(f"fewer than {FEWEST_UNITS} held-out devices or hosts carry a prediction; it is not tested")
    return Comparison(columns=columns, baseline_units=units[0], units=units[1], rows=len(period), limits=tuple(limits))


def _same_parts_of_the_week(before: CodedRows, now: CodedRows) -> tuple[CodedRows, CodedRows, list[str]]:
    """Both sides' rows of the strata that the baseline knows; all of them, as one stratum, where it knows too few."""
    present = np.unique(before.cell) % STRATA
    known = np.bincount(present, minlength=STRATA) >= FEWEST_UNITS_OF_STRATUM
    comparable = known[now.stratum]
    if len(now) and comparable.mean() < 0.5:
        said = "the training rows lack the hours and days of the period; all hours are compared with all hours"
        return _of_one_stratum(before), _of_one_stratum(now), [said]
    left_out = int(np.sum(~comparable))
    limits = [f"rows left out, of hours that the training rows lack: {left_out}"] if left_out else []
    now = now.take(comparable)
    return before.take(np.isin(before.stratum, now.stratum)), now, limits


def _fewer_units(now: CodedRows, random: np.random.Generator, limits: list[str]) -> CodedRows:
    units = np.unique(now.unit)
    if len(units) <= MOST_UNITS:
        return now
    limits.append(f"of {len(units)} devices or hosts of the period {MOST_UNITS}, drawn at random, are compared")
    return now.take(np.isin(now.unit, random.choice(units, MOST_UNITS, replace=False)))


def _of_one_stratum(rows: CodedRows) -> CodedRows:
    return CodedRows(rows.codes, rows.unit, np.zeros_like(rows.stratum))


def _equally_thinned(before: CodedRows, now: CodedRows, random: np.random.Generator) -> tuple[CodedRows, CodedRows]:
    """As many rows of a unit on one side as on the other, in distribution: a mean of few rows spreads more than one of
    many, and units could not be exchanged. A cell keeps the smaller of its own count and one drawn from the other side."""
    if not len(before) or not len(now):
        return before, now
    counts = [np.unique(side.cell, return_counts=True)[1] for side in (before, now)]
    thinned = []
    for side, other in ((before, counts[1]), (now, counts[0])):
        cell = np.unique(side.cell, return_inverse=True)[1]
        thinned.append(side.take(at_most(cell, random.choice(other, cell.max() + 1)[cell], random)))
    return thinned[0], thinned[1]


def _resampled(
    before: CodedRows, now: CodedRows, permutations: int, random: np.random.Generator
) -> tuple[Shares, Shares]:
    """Shares of baseline and period as they are, then with the units permuted between them."""
    first = int(before.unit.max()) + 1
    both = CodedRows(
        np.concatenate([before.codes, now.codes]),
        np.unique(np.concatenate([before.unit, now.unit + first]), return_inverse=True)[1],
        np.concatenate([before.stratum, now.stratum]),
    )
    of_period = np.zeros(int(both.unit.max()) + 1, np.bool_)
    of_period[np.unique(both.unit[len(before) :])] = True
    labels = np.stack([of_period, *(random.permutation(of_period) for _ in range(permutations))])
    cells, cell = np.unique(both.cell, return_inverse=True)
    unit, stratum = cells // STRATA, cells % STRATA
    weights = np.bincount(stratum[of_period[unit]], minlength=STRATA).astype(np.float32)
    return _shares(labels, _cell_shares(both.codes, cell, len(cells)), unit, stratum, weights)


def _cell_shares(codes: npt.NDArray[np.uint8], cell: Places, cells: int) -> Floats:
    """(cells, 26, BINS): of the rows of each cell the share of each bin; all zero where a column is absent."""
    share = np.zeros((cells, len(COLUMNS), BINS), np.float32)  # thousands of labellings of it stand in memory
    for column in range(len(COLUMNS)):
        there = codes[:, column] != ABSENT
        places = cell[there] * BINS + codes[there, column]
        share[:, column] = np.bincount(places, minlength=cells * BINS).reshape(cells, BINS)
    return _renormalised(share)


def _shares(
    labels: npt.NDArray[np.bool_], share: Floats, unit: Places, stratum: Places, weights: Floats
) -> tuple[Shares, Shares]:
    """Of the units without the label and of those with it, by each labelling (m, units)."""
    sides = [_Sum(len(labels)), _Sum(len(labels))]
    for number in np.flatnonzero(weights):
        here = stratum == number
        chosen, cells = labels[:, unit[here]].astype(np.float32), share[here]
        known = cells.any(axis=2).astype(np.float32)
        units, summed = chosen @ known, np.tensordot(chosen, cells, axes=1)
        sides[0].add(weights[number], known.sum(axis=0) - units, cells.sum(axis=0) - summed)
        sides[1].add(weights[number], units, summed)
    present = np.zeros((labels.shape[1], len(COLUMNS)), np.float32)
    np.maximum.at(present, unit, share.any(axis=2))
    return sides[0].mean(~labels @ present), sides[1].mean(labels @ present)


class _Sum:
    """Adds up the strata's means by their weights, leaving out a stratum where a labelling has no unit."""

    def __init__(self, labellings: int) -> None:
        self._total = np.zeros((labellings, len(COLUMNS), BINS), np.float32)
        self._weight = np.zeros((labellings, len(COLUMNS), 1), np.float32)

    def add(self, weight: float, units: Floats, summed: Floats) -> None:
        there = units > 0
        self._total += summed * (weight * there / np.where(there, units, 1.0))[:, :, np.newaxis]
        self._weight += weight * there[:, :, np.newaxis]

    def mean(self, units: Floats) -> Shares:
        share = self._total / np.where(self._weight > 0, self._weight, 1.0)
        return Shares(np.where(share > ROUNDED, share, 0.0), units)


def _columns(before: Shares, now: Shares, significance: float) -> list[ColumnDrift]:
    """The labelling in place 0 is the real one. Largest standardised statistic over all columns: Westfall and Young,
    Resampling-Based Multiple Testing (1993), which holds the rate over the family however its members depend."""
    half_a_unit = 0.5 / np.maximum(np.minimum(before.units, now.units), 1.0)
    index = psi(before.share, now.share, half_a_unit[:, :, np.newaxis])
    distance = kolmogorov_smirnov(before.share, now.share)
    shift = np.abs(now.share[:, :, MISSING] - before.share[:, :, MISSING])
    told = np.stack([np.sqrt(index), distance, shift], axis=2)  # the root's tail is like the other two's
    tested = _TESTED & (np.minimum(before.units[0], now.units[0]) >= FEWEST_UNITS)
    spread = told.std(axis=0)
    standard = (told - told.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    largest = standard[:, tested].max(axis=(1, 2))
    p_values = np.mean(largest[:, np.newaxis] >= standard[0].max(axis=1) - 1e-12, axis=0)
    found = []
    for place, name in enumerate(COLUMNS):
        missing_before, missing_now = (float(side.share[0, place, MISSING]) for side in (before, now))
        has_effect = index[0, place] >= LEAST_PSI or abs(missing_now - missing_before) >= LEAST_MISSING_SHIFT
        found.append(
            ColumnDrift(
                name=name,
                psi=float(index[0, place]),
                ks=float(distance[0, place]),
                missing_before=missing_before,
                missing_now=missing_now,
                p_value=float(p_values[place]) if tested[place] else None,
                drifted=bool(tested[place] and has_effect and p_values[place] <= significance),
                before=tuple(before.share[0, place].tolist()),
                now=tuple(now.share[0, place].tolist()),
            )
        )
    return found


def _renormalised(shares: Floats) -> Floats:
    total = shares.sum(axis=-1, keepdims=True)
    return np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
