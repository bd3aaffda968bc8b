import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.columns import InsightColumns
from insights.feature_kernels import FeatureRow
from insights.feature_table import FEATURE_NAMES, FEATURES
from insights.features import compute_features, compute_window
from insights.schema import Insight
from tests.insights.insight_strategies import histories, row

WEEK = 604_800.0


def feature(name: str, rows: Sequence[Insight], last_alert_at: datetime | None = None) -> float:
    return float(compute_window(rows, last_alert_at=last_alert_at)[FEATURE_NAMES.index(name)])


def variance(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.pvariance(known) if known else math.nan


def slope(points: Sequence[tuple[float, float]]) -> float:
    if not points:
        return math.nan
    if len({x for x, _ in points}) == 1:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def reference(history: Sequence[Insight], newest: Insight) -> list[float]:
    """The design's definitions, read off one by one in plain Python; slow and independent of the code under test."""
    t, interval = newest.timestamp, newest.interval_seconds
    window = [r for r in history if r.timestamp <= t and (t - r.timestamp).total_seconds() < 11.5 * interval]
    x_of = {r.timestamp: (r.timestamp - t).total_seconds() / interval for r in window}
    by_p99 = any(r.p99_latency_ms is not None for r in window)
    latency = {r.timestamp: r.p99_latency_ms if by_p99 else r.avg_latency_ms for r in window}
    known = [value for value in latency.values() if value is not None]
    median = statistics.median(known) if known else math.nan
    total = newest.read_iops + newest.write_iops
    alerts = [r.timestamp for r in history if r.alert and r.timestamp < t]
    mine = latency[t]
    if mine is None:
        anomaly = math.nan
    else:
        mad = statistics.median([abs(value - median) for value in known])
        anomaly = (0.0 if mine == median else 10.0) if mad == 0 else min(10.0, abs(mine - median) / (1.4826 * mad))
    ratio = newest.sequential_ratio
    values: list[float | None] = [
        newest.read_iops,
        newest.write_iops,
        total,
        variance([r.read_iops + r.write_iops for r in window]),
        newest.avg_latency_ms,
        newest.p95_latency_ms,
        newest.p99_latency_ms,
        sum(value > 2 * median for value in known) if known else None,
        newest.bandwidth_mbps,
        variance([r.bandwidth_mbps for r in window]),
        newest.error_rate,
        slope([(x_of[r.timestamp], r.error_rate) for r in window if r.error_rate is not None]),
        t.hour,
        t.weekday(),
        min(WEEK, (t - max(alerts)).total_seconds()) if alerts else WEEK,
        ratio,
        None if ratio is None else 1 - ratio,
        newest.queue_depth,
        newest.io_size_kib,
        variance([r.io_size_kib for r in window]),
        total / newest.avg_latency_ms if newest.avg_latency_ms else None,
        anomaly,
        slope([(x_of[moment], math.log(value)) for moment, value in latency.items() if value]),
        100 * total / newest.provisioned_iops if newest.provisioned_iops else None,
        newest.bandwidth_mbps / total if total else None,
    ]
    return [math.nan if value is None else float(value) for value in values]


def test_the_kernel_writes_the_columns_of_the_table_in_its_order() -> None:
    assert FeatureRow._fields == FEATURE_NAMES


@given(st.tuples(histories(device_id="a"), histories(device_id="b")))
def test_bulk_equals_the_definitions_on_every_row(pair: tuple[list[Insight], list[Insight]]) -> None:
    rows = [r for history in pair for r in history]
    expected = np.array([reference(history, r) for history in pair for r in history])
    computed = compute_features(InsightColumns.from_insights(rows))
    np.testing.assert_allclose(computed, expected, rtol=1e-7, atol=1e-7)


@given(histories(), st.data())
def test_a_row_is_the_same_in_bulk_and_as_a_window(history: list[Insight], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(history) - 1))
    bulk = compute_features(InsightColumns.from_insights(history))[place]
    upto = history[: place + 1]
    np.testing.assert_array_equal(compute_window(data.draw(st.permutations(upto))), bulk)
    newest = upto[-1]
    window = [r for r in upto if (newest.timestamp - r.timestamp).total_seconds() < 11.5 * newest.interval_seconds]
    alerts = [r.timestamp for r in upto[:-1] if r.alert]
    last = max(alerts) if alerts else None
    np.testing.assert_array_equal(compute_window(window, last_alert_at=last), bulk)


@given(st.tuples(histories(device_id="a"), histories(device_id="b")), st.integers(1, 9), st.integers(1, 3))
def test_no_value_depends_on_threads_or_on_where_a_task_begins(
    pair: tuple[list[Insight], list[Insight]], chunk_rows: int, threads: int
) -> None:
    columns = InsightColumns.from_insights([r for history in pair for r in history])
    whole = compute_features(columns, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("insights.features.CHUNK_ROWS", chunk_rows)
        np.testing.assert_array_equal(compute_features(columns, threads=threads), whole)
        single = compute_features(columns, threads=threads, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, whole.astype(np.float32))


@given(histories(), histories(), st.data())
def test_no_feature_moves_when_the_future_changes(
    history: list[Insight], other: list[Insight], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(history) - 1))
    past, now = history[: place + 1], history[place].timestamp
    future = [replace(r, timestamp=now + (r.timestamp - other[0].timestamp) + timedelta(seconds=1)) for r in other]
    with_one = compute_features(InsightColumns.from_insights(history))[: place + 1]
    with_other = compute_features(InsightColumns.from_insights(past + future))[: place + 1]
    np.testing.assert_array_equal(with_one, with_other)


@given(histories())
def test_every_value_lies_in_the_range_that_the_table_gives(history: list[Insight]) -> None:
    computed = compute_features(InsightColumns.from_insights(history))
    for column, entry in enumerate(FEATURES):
        known = computed[~np.isnan(computed[:, column]), column]
        assert ((known >= entry.minimum) & (known <= entry.maximum)).all(), entry.name


def test_hand_computed_values_of_a_plain_window() -> None:
    """Three rows, Tuesday 2026-01-06 13:55 to 14:05 UTC; every number worked out on paper."""
    common = {"provisioned_iops": 400.0, "sequential_ratio": 0.25, "p95_latency_ms": 3.0}
    moment = datetime(2026, 1, 6, 13, 55, tzinfo=UTC)
    rows = [
        row(timestamp=moment + timedelta(minutes=5 * i), read_iops=r, write_iops=w, avg_latency_ms=a, p99_latency_ms=p,
            bandwidth_mbps=b, error_rate=e, queue_depth=0.4, io_size_kib=s, alert=i == 0, **common)
        for i, (r, w, a, p, b, e, s) in enumerate([
            (60.0, 40.0, 1.0, math.exp(1), 2.0, 0.01, 4.0),
            (100.0, 100.0, 2.0, math.exp(2), 4.0, 0.02, 8.0),
            (200.0, 100.0, 4.0, math.exp(3), 9.0, 0.06, 12.0),
        ])
    ]  # fmt: skip
    expected = {
        "read_iops": 200,
        "write_iops": 100,
        "total_iops": 300,
        "iops_variance": 20_000 / 3,  # 100, 200, 300
        "avg_latency": 4,
        "p95_latency": 3,
        "p99_latency": 20.085536923187668,
        "latency_spike_count": 1,  # e^3 is above 2 e^2, and e is not
        "bandwidth_mbps": 9,
        "throughput_variance": 26 / 3,  # 2, 4, 9: mean 5
        "error_rate": 0.06,
        "error_trend": 0.025,  # (0.06 - 0.01) / 2
        "hour_of_day": 14,
        "day_of_week": 1,
        "time_since_last_alert": 600,
        "sequential_access_ratio": 0.25,
        "random_access_ratio": 0.75,
        "queue_depth": 0.4,
        "io_size_avg": 12,
        "io_size_variance": 32 / 3,
        "iops_per_latency": 75,
        # deviations e^2 - e = 4.6708, 0, e^3 - e^2 = 12.6965: MAD 4.6708
        "anomaly_score": 12.696480824257016 / (1.4826 * 4.670774270471604),
        "trend_score": 1,
        "capacity_utilization": 75,
        "efficiency_ratio": 0.03,
    }
    computed = dict(zip(FEATURE_NAMES, compute_window(rows).tolist(), strict=True))
    assert computed == pytest.approx(expected, rel=1e-9)


def test_a_row_of_nulls_gives_nan_and_never_zero() -> None:
    computed = dict(zip(FEATURE_NAMES, compute_window([row(read_iops=0, write_iops=0)]).tolist(), strict=True))
    missing = {name for name, value in computed.items() if math.isnan(value)}
    assert missing == {
        "avg_latency", "p95_latency", "p99_latency", "latency_spike_count", "error_rate", "error_trend",
        "sequential_access_ratio", "random_access_ratio", "queue_depth", "io_size_avg", "io_size_variance",
        "iops_per_latency", "anomaly_score", "trend_score", "capacity_utilization", "efficiency_ratio",
    }  # fmt: skip


@pytest.mark.parametrize(("age", "variance"), [(0.5, 2500.0), (11.49, 2500.0), (11.5, 0.0), (12, 0.0)])
def test_the_window_is_open_at_eleven_and_a_half_intervals(age: float, variance: float) -> None:
    rows = [row(0, read_iops=0, write_iops=0), row(age, read_iops=100, write_iops=0)]
    assert feature("iops_variance", rows) == variance


def test_the_window_is_measured_by_the_rows_own_interval() -> None:
    rows = [row(0, read_iops=0, write_iops=0), row(10, read_iops=100, write_iops=0, interval_seconds=60)]
    assert feature("iops_variance", rows) == 0


@pytest.mark.parametrize(
    ("latencies", "score"),
    [
        ([5, 5, 5], 0),  # MAD 0, x is the median
        ([5, 5, 5, 6], 10),  # MAD 0, x is not
        ([1, 2, 3, 1000], 10),  # at most 10
        ([3, 1, 2], 0),  # x is the median
        ([4, 2, 1, 3], 0.5 / 1.4826),  # median 2.5, deviations 0.5 0.5 1.5 1.5: MAD 1
    ],
)
def test_anomaly_score_of_the_newest_latency(latencies: list[float], score: float) -> None:
    rows = [row(i, avg_latency_ms=value) for i, value in enumerate(latencies)]
    assert feature("anomaly_score", rows) == pytest.approx(score)


def test_latency_is_one_measure_per_window_and_never_a_mixture() -> None:
    rows = [row(0, avg_latency_ms=1, p99_latency_ms=9), row(1, avg_latency_ms=2), row(2, avg_latency_ms=4)]
    assert feature("trend_score", rows) == 0  # one p99 alone has no slope
    assert feature("latency_spike_count", rows) == 0
    assert math.isnan(feature("anomaly_score", rows))
    later = [*rows, row(12, avg_latency_ms=8)]  # the row with p99 has left the window
    assert feature("latency_spike_count", later) == 0  # 2, 4, 8: 8 is not above twice 4
    assert feature("anomaly_score", later) == pytest.approx(4 / (1.4826 * 2))


def test_an_alert_counts_from_the_rows_after_it() -> None:
    rows = [row(0, alert=True), row(1), row(2, alert=True)]
    assert compute_features(InsightColumns.from_insights(rows))[:, 14].tolist() == [WEEK, 300, 600]


def test_the_last_alert_may_lie_before_the_rows_but_not_after_them() -> None:
    rows = [row(100), row(101)]
    newest = rows[1].timestamp
    assert feature("time_since_last_alert", rows, newest - timedelta(days=1)) == 86_400
    assert feature("time_since_last_alert", rows, newest - timedelta(days=8)) == WEEK
    assert feature("time_since_last_alert", rows, newest) == WEEK
    assert feature("time_since_last_alert", rows, newest + timedelta(days=1)) == WEEK
    assert feature("time_since_last_alert", [row(100, alert=True), rows[1]], newest - timedelta(days=1)) == 300


def test_equal_values_have_no_variance_and_no_slope_whatever_their_size() -> None:
    rows = [
        row(i, read_iops=0.1, write_iops=0.2, error_rate=0.1, io_size_kib=0.3, p99_latency_ms=0.7) for i in range(12)
    ]
    for name in ("iops_variance", "error_trend", "io_size_variance", "trend_score"):
        assert feature(name, rows) == 0


def test_a_crowded_window_is_computed_like_any_other() -> None:
    rows = [row(i / 100, avg_latency_ms=(7 * i) % 97 + 1.0) for i in range(600)]
    np.testing.assert_allclose(compute_window(rows), reference(rows, rows[-1]), rtol=1e-7, atol=1e-9)
    bulk = compute_features(
        InsightColumns.from_insights(rows + [row(6 + i / 5, avg_latency_ms=3.0) for i in range(60)])
    )
    np.testing.assert_array_equal(bulk[599], compute_window(rows))
    np.testing.assert_array_equal(bulk[300], compute_window(rows[:301]))


def test_threads_are_one_or_more() -> None:
    with pytest.raises(ValueError, match="threads is 0"):
        compute_features(InsightColumns.from_insights([row()]), threads=0)


def test_no_row_two_devices_and_a_naive_alert_are_refused() -> None:
    with pytest.raises(ValueError, match="none"):
        compute_window([])
    with pytest.raises(ValueError, match=r"2 devices, a, b"):
        compute_window([row(0, "a"), row(0, "b")])
    with pytest.raises(ValueError, match="offset"):
        compute_window([row()], last_alert_at=datetime(2026, 1, 1))
    assert compute_features(InsightColumns.from_insights([])).shape == (0, 25)
