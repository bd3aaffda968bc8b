from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from insights import drift
from insights.drift import compare, kolmogorov_smirnov, psi
from insights.drift_baseline import (
    ABSENT,
    BINS,
    COLUMNS,
    MISSING,
    MOST_ROWS_PER_CELL,
    MOST_UNITS,
    PREDICTION,
    Baseline,
    OtherFeatureTable,
    at_most,
    bins_of,
    strata_of,
)
from insights.feature_table import FEATURE_NAMES

LATENCY, SPIKES = FEATURE_NAMES.index("avg_latency"), FEATURE_NAMES.index("latency_spike_count")
HOUR, DAY = FEATURE_NAMES.index("hour_of_day"), FEATURE_NAMES.index("day_of_week")
P99 = FEATURE_NAMES.index("p99_latency")


class Fleet:
    """Devices whose rows resemble each other: each has a level of its own for each feature, and little noise around it."""

    def __init__(self, seed: int, *, devices: int = 60, rows: int = 12, day: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.units = np.repeat(np.arange(devices), rows)
        level = random.normal(0, 1, (devices, len(FEATURE_NAMES)))
        self.X = level[self.units] + random.normal(0, 0.1, (devices * rows, len(FEATURE_NAMES)))
        self.X[:, HOUR], self.X[:, DAY] = 10, day
        self.said = random.integers(0, 2, devices)[self.units].astype(np.float64)


def baseline_of(fleet: Fleet) -> Baseline:
    return Baseline.fit("risk", fleet.X, fleet.units, fleet.said)


def drifted(baseline: Baseline, fleet: Fleet) -> list[str]:
    found = compare(baseline, baseline.coded(fleet.X, fleet.units, fleet.said), permutations=499)
    return [column.name for column in found.drifted]


def test_psi_is_the_sum_over_bins_that_a_hand_gets() -> None:
    before, now = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    by_hand = (0.2 - 0.5) * math.log(0.2 / 0.5) + 0.0 + (0.5 - 0.2) * math.log(0.5 / 0.2)
    assert psi(before, now, 0.0001) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.5498, abs=1e-4)


def test_an_empty_bin_counts_as_the_least_share_and_not_as_infinite() -> None:
    expected = (0.5 - 0.01) * math.log(0.5 / 0.01) + (0.5 - 1.0) * math.log(0.5)
    assert psi(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.01) == pytest.approx(expected)


def test_kolmogorov_smirnov_is_the_largest_gap_of_the_distribution_functions_of_known_values() -> None:
    before, now = np.zeros(BINS), np.zeros(BINS)
    before[:3], now[:3], now[MISSING] = (0.5, 0.3, 0.2), (0.1, 0.1, 0.3), 0.5
    # of the known half: 0.2, 0.2, 0.6; functions 0.5, 0.8, 1 and 0.2, 0.4, 1
    assert kolmogorov_smirnov(before, now) == pytest.approx(0.4)


def test_kolmogorov_smirnov_is_none_where_a_side_knows_no_value() -> None:
    before, now = np.zeros(BINS), np.zeros(BINS)
    before[0], now[MISSING] = 1.0, 1.0
    assert kolmogorov_smirnov(before, now) == 0.0


def test_a_value_belongs_to_the_bin_whose_upper_edge_it_does_not_exceed_and_nan_to_its_own() -> None:
    edges = np.array([1.0, 2.0, np.inf])
    assert bins_of(np.array([0.5, 1.0, 1.5, 2.0, 9.0, np.nan]), edges).tolist() == [0, 0, 1, 1, 2, MISSING]


def test_bins_hold_equal_shares_of_distinct_values() -> None:
    fleet = Fleet(1)
    fleet.X[:, LATENCY] = np.arange(len(fleet.X))
    codes = baseline_of(fleet).coded(fleet.X, fleet.units, fleet.said).codes[:, LATENCY]
    counts = np.bincount(codes)
    assert len(counts) == 20
    assert counts.min() >= len(fleet.X) / 20 - 1
    assert counts.max() <= len(fleet.X) / 20 + 1


def test_a_value_that_most_rows_share_has_a_bin_of_its_own() -> None:
    fleet = Fleet(1)
    fleet.X[:, SPIKES] = np.where(np.arange(len(fleet.X)) % 4 == 0, 3.0, 0.0)
    baseline = baseline_of(fleet)
    probe = np.repeat(fleet.X[:1], 3, axis=0)
    probe[:, SPIKES] = [-1.0, 0.0, 3.0]
    assert len(set(baseline.coded(probe, np.arange(3), np.zeros(3)).codes[:, SPIKES].tolist())) == 3


def test_the_parts_of_the_week_are_six_hours_of_weekdays_and_of_weekends() -> None:
    rows = np.zeros((4, len(FEATURE_NAMES)))
    rows[:, HOUR], rows[:, DAY] = [0, 5, 6, 23], [0, 4, 5, 6]
    assert strata_of(rows).tolist() == [0, 0, 5, 7]


def test_of_each_cell_at_most_so_many_rows_are_drawn() -> None:
    cell = np.array([0] * 10 + [1] * 2 + [2] * 5)
    kept = at_most(cell, np.array([3] * 10 + [9] * 2 + [0] * 5), np.random.default_rng(1))
    assert np.bincount(cell[kept], minlength=3).tolist() == [3, 2, 0]


def test_a_large_fleet_leaves_a_bounded_sample() -> None:
    fleet = Fleet(1, devices=MOST_UNITS + 50, rows=MOST_ROWS_PER_CELL + 5)
    rows = baseline_of(fleet).rows
    units, counts = np.unique(rows.unit, return_counts=True)
    assert len(units) == MOST_UNITS
    assert counts.max() == MOST_ROWS_PER_CELL


def test_rows_without_a_prediction_are_told_from_unknown_values() -> None:
    fleet = Fleet(1)
    fleet.said[: len(fleet.said) // 2] = np.nan
    codes = baseline_of(fleet).rows.codes
    assert np.mean(codes[:, PREDICTION] == ABSENT) == pytest.approx(0.5)
    assert not np.any(codes[:, :PREDICTION] == ABSENT)


def test_other_devices_of_the_same_kind_are_no_drift() -> None:
    baseline = baseline_of(Fleet(1))
    assert [drifted(baseline, Fleet(seed)) for seed in range(2, 7)] == [[]] * 5


def test_many_rows_of_few_devices_are_not_taken_for_many_devices() -> None:
    """Row by row the two would differ beyond any doubt."""
    assert drifted(baseline_of(Fleet(1, devices=30, rows=24)), Fleet(2, devices=12, rows=500)) == []


@pytest.mark.parametrize(
    ("shift", "name"),
    [
        (lambda X: np.add.at(X, (slice(None), LATENCY), 1.5), "avg_latency"),
        (lambda X: X.__setitem__((slice(None), LATENCY), 1000 * X[:, LATENCY]), "avg_latency"),
        (lambda X: X.__setitem__((slice(0, None, 2), P99), np.nan), "p99_latency"),
    ],
    ids=["moved", "scaled", "missing"],
)
def test_a_feature_that_moves_is_named_and_no_other(shift: Callable[[Any], None], name: str) -> None:
    fleet = Fleet(2)
    shift(fleet.X)
    assert drifted(baseline_of(Fleet(1)), fleet) == [name]


def test_other_predictions_on_like_rows_are_a_drift_of_the_prediction() -> None:
    fleet = Fleet(2)
    fleet.said[:] = 3
    assert drifted(baseline_of(Fleet(1)), fleet) == [COLUMNS[PREDICTION]]


def test_when_somebody_asks_is_reported_and_never_a_drift() -> None:
    fleet = Fleet(2)
    fleet.X[:, HOUR] = 11
    baseline = baseline_of(Fleet(1))
    found = compare(baseline, baseline.coded(fleet.X, fleet.units, fleet.said), permutations=99)
    hour = next(column for column in found.columns if column.name == "hour_of_day")
    assert hour.psi > 1
    assert (hour.p_value, hour.drifted) == (None, False)


def test_load_that_differs_by_the_day_is_compared_with_its_like() -> None:
    weekday, weekend, later = Fleet(1), Fleet(2, day=6), Fleet(3, day=6)
    for fleet in (weekend, later):
        fleet.X[:, LATENCY] += 3
    both = Baseline.fit(
        "risk",
        np.concatenate([weekday.X, weekend.X]),
        np.concatenate([weekday.units, weekend.units + 1_000]),
        np.concatenate([weekday.said, weekend.said]),
    )
    assert drifted(both, later) == []
    later.X[:, LATENCY] -= 3
    assert drifted(both, later) == ["avg_latency"]


def test_training_rows_of_other_hours_only_are_compared_and_it_is_said() -> None:
    baseline = baseline_of(Fleet(1))
    night = Fleet(2)
    night.X[:, HOUR] = 3
    found = compare(baseline, baseline.coded(night.X, night.units, night.said), permutations=99)
    assert "lack the hours" in found.limits[0]
    assert found.columns


def test_a_feature_that_nobody_knows_any_more_has_no_distance_and_is_a_drift() -> None:
    fleet, baseline = Fleet(2), baseline_of(Fleet(1))
    fleet.X[:, P99] = np.nan
    found = compare(baseline, baseline.coded(fleet.X, fleet.units, fleet.said), permutations=499)
    p99 = found.columns[P99]
    assert (p99.ks, p99.missing_before, p99.drifted) == (0.0, 0.0, True)
    assert p99.missing_now == pytest.approx(1.0)


def test_of_a_large_period_a_sample_of_devices_is_compared_and_it_is_said() -> None:
    baseline, large = baseline_of(Fleet(1)), Fleet(2, devices=2_100, rows=1)
    found = compare(baseline, baseline.coded(large.X, large.units, large.said), permutations=19)
    assert (found.units, found.rows) == (2_000, 2_100)
    assert found.limits == ("of 2100 devices or hosts of the period 2000, drawn at random, are compared",)


def test_too_few_devices_are_not_judged() -> None:
    baseline, few = baseline_of(Fleet(1)), Fleet(2, devices=9)
    found = compare(baseline, baseline.coded(few.X, few.units, few.said))
    assert (list(found.columns), found.drifted) == ([], [])
    assert found.limits == ("devices or hosts to compare in the period: 9; at least 10 are needed",)


def test_too_few_devices_of_the_training_rows_are_said_to_be_those() -> None:
    baseline, period = baseline_of(Fleet(1, devices=9)), Fleet(2)
    found = compare(baseline, baseline.coded(period.X, period.units, period.said))
    assert found.limits == ("devices or hosts to compare in the training rows: 9; at least 10 are needed",)


def test_a_period_without_rows_is_compared_with_nothing() -> None:
    baseline = baseline_of(Fleet(1))
    found = compare(baseline, baseline.coded(np.empty((0, len(FEATURE_NAMES))), np.empty(0), np.empty(0)))
    assert (found.rows, found.units, list(found.columns)) == (0, 0, [])


def test_shares_are_means_over_devices_by_the_part_of_the_week() -> None:
    """Six hours of a weekday and of a weekend, the period's devices half in each: its shares are the two means, halved."""
    weekday, weekend = Fleet(1, devices=20), Fleet(2, devices=20, day=6)
    for fleet, level in ((weekday, 0.0), (weekend, 5.0)):
        fleet.X[:, SPIKES] = level
    X, units = np.concatenate([weekday.X, weekend.X]), np.concatenate([weekday.units, weekend.units + 100])
    said = np.concatenate([weekday.said, weekend.said])
    baseline = Baseline.fit("risk", X, units, said)
    column = compare(baseline, baseline.coded(X, units, said), permutations=19).columns[SPIKES]
    assert sorted(share for share in column.now if share) == pytest.approx([0.5, 0.5])
    assert column.before == pytest.approx(column.now)
    assert column.psi == pytest.approx(0.0, abs=1e-6)


def test_each_part_of_the_week_counts_by_the_periods_devices_in_it() -> None:
    """Three devices of four are asked about on weekdays: their mean counts three times, on both sides."""
    weekday, weekend = Fleet(1, devices=30), Fleet(2, devices=10, day=6)
    weekday.X[:, SPIKES], weekend.X[:, SPIKES] = 0.0, 5.0
    X, units = np.concatenate([weekday.X, weekend.X]), np.concatenate([weekday.units, weekend.units + 100])
    said = np.concatenate([weekday.said, weekend.said])
    baseline = Baseline.fit("risk", X, units, said)
    column = compare(baseline, baseline.coded(X, units, said), permutations=19).columns[SPIKES]
    assert sorted(share for share in column.now if share) == pytest.approx([0.25, 0.75])
    assert sorted(share for share in column.before if share) == pytest.approx([0.25, 0.75])


def test_the_limits_of_a_drift_are_those_of_the_docs() -> None:
    assert (drift.LEAST_PSI, drift.LEAST_MISSING_SHIFT, drift.FEWEST_UNITS) == (0.2, 0.1, 10)


def test_the_same_period_is_judged_the_same_again() -> None:
    baseline, period = baseline_of(Fleet(1)), Fleet(2, devices=2_100, rows=1)
    rows = baseline.coded(period.X, period.units, period.said)
    assert compare(baseline, rows, permutations=19) == compare(baseline, rows, permutations=19, seed=7)
    assert compare(baseline, rows, permutations=19) != compare(baseline, rows, permutations=19, seed=8)


def test_a_probability_at_the_stated_one_is_a_drift() -> None:
    """With 99 permutations and none as far off the probability is 1 of 100."""
    fleet, baseline = Fleet(2), baseline_of(Fleet(1))
    fleet.X[:, LATENCY] += 1.5
    rows = baseline.coded(fleet.X, fleet.units, fleet.said)
    found = compare(baseline, rows, permutations=99, significance=0.01)
    assert [(column.name, column.p_value) for column in found.drifted] == [("avg_latency", 0.01)]
    assert compare(baseline, rows, permutations=99, significance=0.0099).drifted == []


def test_a_baseline_survives_its_file() -> None:
    baseline = baseline_of(Fleet(1))
    read = Baseline.from_arrays(baseline.to_arrays())
    assert (read.kind, read.training_rows) == ("risk", baseline.training_rows)
    assert np.array_equal(read.edges, baseline.edges)
    assert np.array_equal(read.rows.codes, baseline.rows.codes)


def test_a_baseline_of_another_feature_table_or_version_is_refused() -> None:
    arrays = baseline_of(Fleet(1)).to_arrays()
    with pytest.raises(OtherFeatureTable, match="hash"):
        Baseline.from_arrays({**arrays, "feature_table_hash": np.array("other")})
    with pytest.raises(ValueError, match="version"):
        Baseline.from_arrays({**arrays, "version": np.array(0)})


def test_without_rows_there_is_no_baseline() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Baseline.fit("risk", np.empty((0, len(FEATURE_NAMES))), np.empty(0), np.empty(0))
