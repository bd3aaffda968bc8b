"""The oracle's hidden state and its laws, a rule at a time on states and laws made for it; test_oracle.py asks how good it is.

Each simulated future is compared with numbers worked out from the state; noise is averaged over many equal rows.
"""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from insights import oracle
from insights.columns import InsightColumns
from insights.fleet_physics import Device
from insights.fleet_plan import CLASSES, KINDS, WORKLOADS, Course, Incident
from insights.oracle import Foretold, HiddenState, foretell
from tests.insights.insight_strategies import row

MANY = 1_000
NEVER = -1
DEVICE = Device(
    number=0, device_class=CLASSES[3], workload=WORKLOADS[3], size=1.0, calm=0.4, phase=0.0, is_blind=False, start=0
)
_DTYPES = {
    "device_class": np.int32, "calm": np.float64, "swing": np.float64, "kind": np.int32, "since": np.int64,
    "until": np.int64, "build_up": np.int64, "recovery": np.int64, "peak": np.float64, "period": np.int64, "quiet": np.int64,
}  # fmt: skip
CALM = {
    "device_class": 0, "calm": 0.5, "swing": 0.0, "kind": -1, "since": 0, "until": NEVER, "build_up": 0, "recovery": 0,
    "peak": 0.0, "period": 0, "quiet": 0,
}  # fmt: skip
SATURATED = {"kind": 1, "since": 20, "build_up": 15, "recovery": 8, "peak": 8.0, "period": 1, "quiet": 10_000}


def states(count: int = MANY, load: float = 0.4, **known: Any) -> HiddenState:
    """`count` equal states: a device of calm p99 0.5 x SLO at mean load whose last incident has just ended."""
    values = {name: np.full(count, value, _DTYPES[name]) for name, value in (CALM | known).items()}
    return HiddenState(load=np.full((count, 6), load), **values)


def laws(**changed: Any) -> tuple[npt.NDArray[Any], ...]:
    """Two kinds, of which a class 0 device gets none and a class 1 device the second at once."""
    given = {
        "onsets": [[0.0, 0.0], [0.0, 1.0]],
        "rows": [[3, 3], [3, 3]],
        "ups": [[1, 1], [1, 1]],
        "downs": [[1, 1], [1, 1]],
        "peaks": [[50.0, 50.0], [100.0, 100.0]],
        "errors": [0.0, 0.5],
        "periodic": [False, False],
    }
    return tuple(np.array(value) for value in (given | changed).values())


def simulated(
    state: HiddenState, *, by: tuple[npt.NDArray[Any], ...] | None = None, lost: float = 0.0, seed: int = 1
) -> tuple[Any, Any, Any, Any]:
    """p99 over SLO, mean over SLO and error rate, a row each of six, and how many rows arrived."""
    count = len(state.kind)
    p99, avg, errors = (np.full(6 * count, -1.0) for _ in range(3))
    end = np.empty(count, np.int64)
    oracle._seed(seed)
    values = (getattr(state, f.name) for f in fields(state))
    oracle._simulate(oracle._Laws if by is None else by, *values, lost, p99, avg, errors, end)
    return p99.reshape(count, 6), avg.reshape(count, 6), errors.reshape(count, 6), end - 6 * np.arange(count)


def depths(p99: Any, calm: float, peak: float) -> list[float]:
    """How deep the incident is in each of the six rows, by the median of the logarithm: 0 calm, 1 at the peak."""
    deep = np.log(np.median(p99, axis=0) / calm) / math.log(peak / calm)
    return [round(float(depth), 2) for depth in deep]


def test_calm_latency_is_the_queues_with_seven_percent_of_noise() -> None:
    """At mean load the device's own p99, twice of that where half of the room above it is left."""
    for load, expected in ((0.4, 0.5), (0.7, 1.0), (0.95, 0.5 * 0.6 / 0.25)):
        p99, avg, errors, arrived = simulated(states(load=load))
        assert np.median(p99) == pytest.approx(expected, rel=0.005)
        assert np.std(np.log(p99[p99 < 1.25 * expected])) == pytest.approx(0.07, abs=0.004)
        tail = np.log(p99 / avg)
        assert np.mean(tail) == pytest.approx(math.log(math.log(100)), abs=0.003)
        assert np.std(tail) == pytest.approx(0.04, abs=0.002)
        assert np.mean(errors) == pytest.approx(2e-5 * math.sqrt(2 / math.pi), rel=0.04)
        assert (errors >= 0).all()
        assert (arrived == 6).all()


def test_the_load_swings_by_its_workloads_deviation() -> None:
    p99, *_ = simulated(states(swing=0.1))
    used = 1 - 0.5 * 0.6 / p99  # of the noise's 0.07 and the swing's share: d ln p99 = u / (1 - u) d ln u
    assert np.median(used) == pytest.approx(0.4, abs=0.005)
    assert np.std(np.log(p99[p99 < 1])) == pytest.approx(math.hypot(0.07, 0.1 * 0.4 / 0.6), abs=0.006)


def test_about_one_row_in_eight_hundred_breaches_out_of_nothing() -> None:
    p99, *_ = simulated(states(4_000, calm=0.01))
    blips = p99[p99 > 0.1]
    assert 15 <= len(blips) <= 45  # 24,000 rows x 0.0012 = 29
    assert (blips > 1.3 * 0.8).all()
    assert (blips < 1.8 * 1.25).all()
    assert np.mean(blips) == pytest.approx(1.55, abs=0.12)


def test_an_incident_builds_up_row_by_row() -> None:
    p99, _, errors, _ = simulated(states(**SATURATED | {"since": 9}))
    assert depths(p99, 0.5, 8.0) == pytest.approx([place / 15 for place in (10, 11, 12, 13, 14, 15)], abs=0.011)
    assert np.median(errors[:, 0]) == pytest.approx(0.006 * (10 / 15) ** 2, rel=0.02)
    assert np.median(errors[:, 5]) == pytest.approx(0.006, rel=0.02)


def test_a_recovery_that_has_shown_itself_ends_when_it_must_and_leaves_a_calm_device() -> None:
    p99, _, errors, _ = simulated(states(**SATURATED | {"since": 40, "until": 4}))
    assert depths(p99, 0.5, 8.0) == pytest.approx([3 / 8, 2 / 8, 1 / 8, 0, 0, 0], abs=0.011)
    assert np.median(errors[:, 4]) < 5e-5


def test_after_an_end_nothing_begins_for_six_rows() -> None:
    at_once = laws()
    for quiet, first in ((0, 6), (1, 5), (5, 1), (6, 0), (10_000, 0)):
        p99, *_ = simulated(states(20, device_class=1, quiet=quiet), by=at_once)
        begun = np.flatnonzero(np.median(p99, axis=0) > 20)
        assert begun.tolist() == list(range(first, min(first + 3, 6))), quiet
    p99, *_ = simulated(states(20, **SATURATED | {"device_class": 1, "since": 40, "until": 1}), by=at_once)
    assert (p99 < 20).all()  # ends at once, then rests


def test_what_begins_is_by_the_rates_of_the_devices_class() -> None:
    shares = laws(onsets=[[0.3, 0.2], [0.0, 1.0]])
    p99, _, errors, _ = simulated(states(2_000, quiet=10_000), by=shares)
    first = p99[:, 0]
    assert np.mean((first > 20) & (first < 70)) == pytest.approx(0.3, abs=0.03)
    assert np.mean(first > 70) == pytest.approx(0.2, abs=0.03)
    assert np.median(errors[first > 70, 0]) == pytest.approx(0.5, abs=0.001)
    p99, *_ = simulated(states(50), by=shares)
    assert (p99[:, 0] < 20).all()


def test_what_begins_lasts_builds_up_recovers_and_peaks_within_its_kinds_ranges() -> None:
    """Lengths of 3 to 5 rows and peaks of 100 to 200, evenly; both ends occur."""
    p99, *_ = simulated(
        states(1_500, device_class=1, quiet=10_000),
        by=laws(rows=[[1, 1], [3, 5]], peaks=[[1.0, 1.0], [100.0, 200.0]]),
    )
    lasted = (p99 > 20).sum(axis=1)
    assert [np.mean(lasted == rows) for rows in range(2, 7)] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0], abs=0.04)
    top = p99[:, 0]
    assert np.mean(top) == pytest.approx(150, abs=4)
    assert top.min() < 110
    assert top.max() > 190
    slow = laws(rows=[[1, 1], [20, 20]], ups=[[1, 1], [4, 5]], downs=[[1, 1], [1, 1]])
    p99, *_ = simulated(states(1_500, device_class=1, quiet=10_000), by=slow)
    depth = np.log(p99[:, 3] / 0.5) / math.log(200)
    assert np.mean(depth > 0.9) == pytest.approx(0.5 * 0.92 + 0.08, abs=0.04)  # four rows up, or sudden
    assert np.mean(depth < 0.9) == pytest.approx(0.5 * 0.92, abs=0.04)  # five rows up: 4 / 5
    ends = laws(rows=[[1, 1], [6, 6]], downs=[[1, 1], [3, 4]])
    p99, *_ = simulated(states(1_500, device_class=1, quiet=10_000), by=ends)
    depth = np.log(p99[:, 5] / 0.5) / math.log(200)  # the last row of six: 1 / 3 or 1 / 4
    assert np.mean(depth > 0.29) == pytest.approx(0.5, abs=0.06)
    assert np.median(depth[depth > 0.29]) == pytest.approx(1 / 3, abs=0.02)
    assert np.median(depth[depth < 0.29]) == pytest.approx(1 / 4, abs=0.02)


def test_one_incident_in_twelve_comes_within_two_rows() -> None:
    slow = laws(rows=[[1, 1], [20, 20]], ups=[[1, 1], [8, 8]])
    p99, *_ = simulated(states(3_000, device_class=1, quiet=10_000), by=slow)
    depth = np.log(p99[:, 0] / 0.5) / math.log(200)
    assert np.mean(depth > 0.3) == pytest.approx(0.08, abs=0.015)
    assert np.median(depth[depth > 0.3]) == pytest.approx(1 / 2, abs=0.02)
    assert np.median(depth[depth < 0.3]) == pytest.approx(1 / 8, abs=0.02)
    p99, *_ = simulated(states(3_000, device_class=1, quiet=10_000), by=laws(rows=[[1, 1], [20, 20]]))
    assert np.median(p99[:, 0]) == pytest.approx(100, rel=0.01)
    assert (p99[:, 0] > 70).all()  # one row is less than two


def test_spikes_come_every_third_to_fifth_row_each_as_often() -> None:
    p99, *_ = simulated(
        states(3_000, device_class=1, quiet=10_000),
        by=laws(rows=[[1, 1], [20, 20]], periodic=[False, True]),
    )
    spikes = [tuple(np.flatnonzero(line > 20).tolist()) for line in p99]
    assert set(spikes) == {(0, 3), (0, 4), (0, 5)}
    for places in set(spikes):
        assert spikes.count(places) / len(spikes) == pytest.approx(1 / 3, abs=0.03)


def test_spikes_under_way_keep_their_rhythm() -> None:
    checkpoints = {"kind": 5, "build_up": 1, "recovery": 1, "peak": 90.0, "period": 4, "quiet": 10_000, "since": 9}
    p99, *_ = simulated(states(20, **checkpoints))
    assert np.flatnonzero(np.median(p99, axis=0) > 20).tolist() == [3]  # the 13th row; it showed itself in the 9th


def test_how_long_a_peak_lasts_is_drawn_from_what_its_kind_still_allows() -> None:
    """Lengths of 10 to 12: at the 8th row two to four are left; a recovery that has not begun lies ahead."""
    by = laws(rows=[[10, 12], [1, 1]])
    under_way = {"kind": 0, "since": 8, "build_up": 1, "recovery": 1, "peak": 50.0, "period": 1}
    p99, *_ = simulated(states(1_500, **under_way), by=by)
    left = (p99 > 20).sum(axis=1)
    assert [np.mean(left == rows) for rows in range(1, 6)] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0], abs=0.04)
    p99, *_ = simulated(states(1_500, **under_way | {"recovery": 5}), by=by)
    assert depths(p99, 0.5, 50.0)[0] == 0.8  # 8 - 1 + 5 is 12 already: four of five rows of recovery are left
    p99, *_ = simulated(states(50, **under_way | {"since": 30, "recovery": 2}), by=by)
    assert depths(p99, 0.5, 50.0) == pytest.approx([0.5, 0, 0, 0, 0, 0], abs=0.02)


def test_lost_rows_leave_fewer_and_those_that_arrive_stand_first() -> None:
    p99, avg, errors, arrived = simulated(states(2_000), lost=0.25)
    assert np.mean(arrived) == pytest.approx(4.5, abs=0.08)
    for values in (p99, avg, errors):
        assert ((values >= 0).sum(axis=1) == arrived).all()
        assert all((line[:count] >= 0).all() for line, count in zip(values, arrived, strict=True))


def test_votes_and_points_are_counted_where_there_are_any() -> None:
    votes, points, scored = np.zeros((3, 4), np.int32), np.zeros(3), np.zeros(3, np.int64)
    for risk, score in (([2, -1, 0], [10.0, math.nan, 5.0]), ([2, 3, 1], [20.0, 1.0, math.nan])):
        oracle._count(np.array(risk, np.int8), np.array(score), votes, points, scored)
    assert votes.tolist() == [[0, 0, 2, 0], [0, 0, 0, 1], [1, 1, 0, 0]]
    assert points.tolist() == [30.0, 1.0, 5.0]
    assert scored.tolist() == [2, 1, 1]


def test_what_is_foretold_is_the_modal_level_and_the_mean_score_of_its_futures() -> None:
    columns = InsightColumns.from_insights([row(0), row(1)])
    found = foretell(columns, states(2, calm=0.38), futures=300, seed=[5])
    assert found.devices == ("disk",)
    assert found.device.tolist() == [0, 0]
    assert found.time_seconds.tolist() == columns.time_seconds.tolist()
    assert found.risk.tolist() == [0, 0]
    # 0.6 / (1 + 0.38^2) + 0.2 / (1 + 2e-5 x 0.8 / 0.01) + 0.2 / (1 + (0.38 / ln 100)^2), noise apart
    assert found.score.tolist() == pytest.approx([92.2, 92.2], abs=0.4)
    assert foretell(columns, states(2, **SATURATED), futures=50, seed=[5]).risk.tolist() == [3, 3]
    assert foretell(columns, states(2, calm=0.95), futures=200, seed=[5]).risk.tolist() == [1, 1]
    assert foretell(columns, states(2, calm=1.5), futures=200, seed=[5]).risk.tolist() == [2, 2]


def test_futures_follow_from_the_seed() -> None:
    columns = InsightColumns.from_insights([row(0)])

    def score(*seed: int) -> float:
        return float(foretell(columns, states(1), futures=3, seed=seed).score[0])

    assert score(1, 2) == score(1, 2)
    assert len({score(1, 2), score(1, 3), score(2, 2)}) == 3


def test_the_state_of_a_device_says_what_is_under_way() -> None:
    """Ten rows of saturation from the third before the history, then checkpoints every third row."""
    first = Course(Incident(KINDS[1], -3, 10), build_up=4, recovery=3, peak=8.0, period=1)
    second = Course(Incident(KINDS[5], 15, 7), build_up=1, recovery=2, peak=1.5, period=3)
    found = HiddenState.of(DEVICE, [first, second], 24)
    none = 10_000
    assert found.kind.tolist() == [1] * 7 + [-1] * 8 + [5] * 7 + [-1] * 2
    assert found.since.tolist() == [4, 5, 6, 7, 8, 9, 10] + [0] * 8 + [1, 2, 3, 4, 5, 6, 7] + [0] * 2
    # Rows 5 and 6 are in the recovery of three (the peak's last row is its first third); a spike at row 21 is the last.
    assert found.until.tolist() == [-1] * 5 + [2, 1] + [-1] * 14 + [1] + [-1] * 2
    assert found.build_up.tolist() == [4] * 7 + [0] * 8 + [1] * 7 + [0] * 2
    assert found.recovery.tolist() == [3] * 7 + [0] * 8 + [2] * 7 + [0] * 2
    assert found.peak.tolist() == [8.0] * 7 + [0.0] * 8 + [1.5] * 7 + [0.0] * 2
    assert found.period.tolist() == [1] * 7 + [0] * 8 + [3] * 7 + [0] * 2
    assert found.quiet.tolist() == [none] * 7 + [1, 2, 3, 4, 5, 6] + [none] * 9 + [1, 2]
    assert (found.device_class == 3).all()  # hdd
    assert (found.calm == 0.4).all()
    assert (found.swing == 0.12).all()
    expected = DEVICE.load(30)
    np.testing.assert_array_equal(found.load, [expected[place + 1 : place + 7] for place in range(24)])


def test_an_incident_past_the_rows_leaves_no_trace_and_an_end_before_them_its_rest() -> None:
    later = Course(Incident(KINDS[1], 9, 10), build_up=4, recovery=3, peak=8.0, period=1)
    before = Course(Incident(KINDS[1], -20, 18), build_up=4, recovery=3, peak=8.0, period=1)
    found = HiddenState.of(DEVICE, [later, before], 9)
    assert (found.kind == -1).all()
    assert found.quiet.tolist() == [3, 4, 5, 6] + [10_000] * 5  # it ended two rows before the first


def test_states_are_joined_and_taken_field_by_field() -> None:
    one, two = HiddenState.of(DEVICE, [], 2), states(3, kind=4)
    joined = HiddenState.concatenate([one, two]).take(np.array([1, 4]))
    for f in fields(HiddenState):
        expected = [getattr(one, f.name)[1], getattr(two, f.name)[2]]
        np.testing.assert_array_equal(getattr(joined, f.name), expected)


def test_what_two_cohorts_foretold_is_found_by_device_and_time(tmp_path: Path) -> None:
    def part(devices: tuple[str, ...], codes: list[int], risk: list[int]) -> Foretold:
        count = len(codes)
        times = datetime(2026, 1, 5, tzinfo=UTC).timestamp() + 300.0 * np.arange(count)
        return Foretold(devices, np.array(codes, np.int32), times, np.array(risk, np.int8), np.array(risk) + 0.25)

    joined = Foretold.concatenate([part(("a", "b"), [0, 1, 1], [0, 1, 2]), part(("c",), [0, 0], [3, 1])])
    assert joined.devices == ("a", "b", "c")
    assert joined.device.tolist() == [0, 1, 1, 2, 2]
    assert joined.device.dtype == np.int32
    rows = [row(0, "a"), row(1, "a"), row(1, "b"), row(2, "b"), row(0, "c"), row(1, "c"), row(0, "d")]
    joined.take(np.array([0, 2, 3, 4])).write(tmp_path / "oracle.npz")
    for known, expected in (
        (joined, [0, -1, 1, 2, 3, 1, -1]),
        (Foretold.read(tmp_path / "oracle.npz"), [0, -1, -1, 2, 3, 1, -1]),
    ):
        risk, score = known.of(InsightColumns.from_insights(rows))
        assert risk.tolist() == expected
        assert score.tolist() == pytest.approx(
            [math.nan if level < 0 else level + 0.25 for level in expected], nan_ok=True
        )
    nothing = Foretold.nothing()
    assert nothing.take(np.array([0, 5])) is nothing
    risk, score = nothing.of(InsightColumns.from_insights(rows))
    assert risk.tolist() == [-1] * 7
    assert np.isnan(score).all()
