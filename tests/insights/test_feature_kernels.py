"""The kernels one by one, against plain Python; test_features.py asks what they say together."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from insights import feature_kernels as kernels
from insights.columns import InsightColumns
from insights.feature_table import FEATURE_NAMES
from insights.features import compute_features, compute_window, newest_features
from insights.schema import Insight
from tests.insights.insight_strategies import row

NAN = math.nan


def seconds_of(text: str, at: int = 0) -> float:
    return float(kernels.seconds_of(text.encode("ascii"), at))


def array(*values: float) -> Any:
    return np.array(values, np.float64)


def numbers_of(insight: Insight) -> list[float]:
    """A row as it comes off the wire: its numbers in the kernel's order and its alert."""
    given = (
        insight.interval_seconds, insight.read_iops, insight.write_iops, insight.avg_latency_ms, insight.p95_latency_ms,
        insight.p99_latency_ms, insight.bandwidth_mbps, insight.error_rate, insight.queue_depth, insight.io_size_kib,
        insight.sequential_ratio, insight.provisioned_iops, insight.alert,
    )  # fmt: skip
    return [NAN if value is None else float(value) for value in given]


def newest(rows: Sequence[Insight], last_alert_seconds: float = -math.inf, **changed: float) -> Any:
    """The features of the newest row, None where they are not certain; `changed` are numbers of the last row, by place."""
    text = "".join(insight.timestamp.isoformat(timespec="milliseconds")[:23] + "Z" for insight in rows)
    numbers = [numbers_of(insight) for insight in rows]
    for place, value in changed.items():
        numbers[-1][int(place[1:])] = value
    out = np.full((3, 25), -7.0, np.float32)
    is_certain = newest_features(
        text.encode(), np.array(numbers).ravel(), last_alert_seconds=last_alert_seconds, out=out, place=1
    )
    assert (out[[0, 2]] == -7).all()  # the places of other windows
    return out[1] if is_certain else None


def days() -> list[datetime]:
    """Every month's ends, in leap years and others of each kind, and any time of day."""
    seeded = random.Random(4)
    found = []
    for year in (1970, 1971, 1972, 1999, 2000, 2001, 2024, 2026, 2096, 2100, 2199):
        firsts = [datetime(year, month, 1, tzinfo=UTC) for month in range(1, 13)]
        for first in (*firsts, *(first + timedelta(days=27) for first in firsts)):
            milliseconds = seeded.randrange(86_400_000)
            found += [first + timedelta(milliseconds=milliseconds), first - timedelta(milliseconds=1)]
    return [moment for moment in found if 1970 <= moment.year <= 2199]


def test_a_timestamp_is_read_to_the_millisecond() -> None:
    for moment in days():
        text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        assert seconds_of(text) == whole / 1000, text
        assert seconds_of("2026-01-01T" + text, at=11) == whole / 1000, text


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59.999Z", "2200-01-01T00:00:00.000Z",
        "2026-00-10T00:00:00.000Z", "2026-13-10T00:00:00.000Z", "2026-01-00T00:00:00.000Z", "2026-01-32T00:00:00.000Z",
        "2026-04-31T00:00:00.000Z", "2026-06-31T00:00:00.000Z", "2026-09-31T00:00:00.000Z", "2026-11-31T00:00:00.000Z",
        "2026-02-29T00:00:00.000Z", "2024-02-30T00:00:00.000Z", "2100-02-29T00:00:00.000Z",
        "2026-01-05T24:00:00.000Z", "2026-01-05T00:60:00.000Z", "2026-01-05T00:00:60.000Z",
        "2026-01-05T00:00:00.0-1Z", "2026-01-05T00:00:00.00:Z", "2026-01-05T00:00:00./00Z", "2026-01-05T0a:00:00.000Z",
        "2026-01-05T00:0 :00.000Z", "2026-01-05T00:00:-1.000Z", "202x-01-05T00:00:00.000Z", "2026-0x-05T00:00:00.000Z",
        "2026-01-x5T00:00:00.000Z",
    ],
)  # fmt: skip
def test_no_time_and_no_digits_are_no_timestamp(text: str) -> None:
    assert math.isnan(seconds_of(text))


@pytest.mark.parametrize("place", [4, 7, 10, 13, 16, 19, 23])
def test_each_mark_of_a_timestamp_is_needed(place: int) -> None:
    text = "2026-01-05T11:12:13.456Z"
    assert math.isnan(seconds_of(text[:place] + "_" + text[place + 1 :]))


def test_the_last_and_the_first_of_each_field_are_times() -> None:
    assert seconds_of("1970-01-01T00:00:00.000Z") == 0
    assert seconds_of("1970-01-01T23:59:59.999Z") == 86_399.999
    assert seconds_of("1970-12-31T00:00:00.000Z") == 364 * 86_400
    assert seconds_of("2000-02-29T00:00:00.000Z") == 951_782_400


def test_spread_and_slope_of_what_is_known() -> None:
    values = array(99, 4, NAN, 7, 13, 98)
    assert kernels.variance(values, 1, 5) == pytest.approx(statistics.pvariance([4, 7, 13]))
    assert kernels.variance(array(NAN, 5), 0, 2) == 0
    assert math.isnan(kernels.variance(array(1, NAN, 1), 1, 2))
    time = array(0, 10, 20, 40, 50, 60)
    expected = statistics.linear_regression([10, 40, 50], [4, 7, 13]).slope
    assert kernels.slope(time, values, 1, 5) == pytest.approx(expected)
    assert kernels.slope(time, values, 1, 2) == 0
    assert kernels.slope(array(5, 5), array(1, 2), 0, 2) == 0
    assert math.isnan(kernels.slope(time, array(1, NAN), 1, 2))


def test_large_values_close_together_keep_their_spread_and_slope() -> None:
    values = array(*(1e9 + step for step in (0, 1, 2, 4)))
    time = array(*(1.7e9 + 300 * step for step in range(4)))
    assert kernels.variance(values, 0, 4) == pytest.approx(2.1875, rel=1e-9)  # 0 1 2 4: mean 1.75
    assert kernels.slope(time, values, 0, 4) == pytest.approx(1.3 / 300, rel=1e-9)


def test_equal_values_have_a_slope_of_exactly_zero_at_whatever_times() -> None:
    seeded = random.Random(6)
    for size in range(2, 14):
        time = np.sort([1.7e9 + seeded.uniform(0, 3600) for _ in range(size)])
        assert kernels.slope(time, np.full(size, 0.3), 0, size) == 0


def test_rows_within_a_second_have_a_slope_too() -> None:
    assert kernels.slope(array(7, 7.5), array(1, 2), 0, 2) == 2


def test_the_slope_over_thousands_of_rows_keeps_its_digits() -> None:
    seeded = random.Random(8)
    time = [float(place) for place in range(5_000)]
    values = [1e-6 * place + seeded.random() + 100 * (place > 0) for place in range(5_000)]
    expected = statistics.linear_regression(time, values).slope
    assert kernels.slope(array(*time), array(*values), 0, 5_000) == pytest.approx(expected, rel=1e-11)


def test_a_sorted_window_takes_values_in_and_gives_them_back() -> None:
    seeded = random.Random(1)
    ordered, known, plain = np.empty(40), 0, list[float]()
    for _ in range(400):
        value = seeded.choice([NAN, *map(float, range(9))])
        if len(plain) < 30 and seeded.random() < 0.6:
            known = kernels.insert(ordered, known, value)
            plain += [] if math.isnan(value) else [value]
        elif math.isnan(value) or value in plain:
            known = kernels.remove(ordered, known, value)
            plain = plain if math.isnan(value) else [*plain[: plain.index(value)], *plain[plain.index(value) + 1 :]]
        assert ordered[:known].tolist() == sorted(plain)


@pytest.mark.parametrize("size", [1, 5, 30, 31, 32, 33, 34, 60])
def test_a_window_of_any_size_is_sorted_without_its_unknown_values(size: int) -> None:
    seeded = random.Random(size)
    values = [seeded.choice([NAN, seeded.random()]) for _ in range(size)]
    ordered = np.full(size + 4, -1.0)
    count = kernels.sort_known(array(0.5, *values, 0.5), 1, 1 + size, ordered)
    assert ordered[:count].tolist() == sorted(value for value in values if not math.isnan(value))
    assert (ordered[size:] == -1).all()


def test_a_median_and_the_median_distance_from_it() -> None:
    seeded = random.Random(2)
    assert math.isnan(kernels.median_of_sorted(array(), 0))
    for size in range(1, 14):
        for _ in range(20):
            values = sorted(seeded.choice([float(seeded.randrange(5)), seeded.random() * 9]) for _ in range(size))
            middle = statistics.median(values)
            padded = array(*values, -50)  # past the known ones
            assert kernels.median_of_sorted(padded, size) == middle
            expected = statistics.median(abs(value - middle) for value in values)
            assert kernels.mad_of_sorted(padded, size, middle) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "count"), [((1, 2, 2, 2, 4, 4.1, 9), 2), ((1, 2, 2, 4), 0), ((0, 0, 0, 1, 1), 2), ((7,), 0)]
)
def test_a_spike_is_above_twice_the_median(values: tuple[float, ...], count: int) -> None:
    assert kernels.latency_spike_count(array(*values, 99), len(values), float(statistics.median(values))) == count


def test_of_no_known_latency_there_is_no_count_of_spikes() -> None:
    assert math.isnan(kernels.latency_spike_count(array(1), 0, NAN))


@pytest.mark.parametrize(
    ("latency", "values", "score"),
    [
        (NAN, (1, 2, 3), NAN),
        (2, (2, 2, 2), 0),
        (3, (2, 2, 3), 10),
        (6, (1, 2, 3, 4, 6), 3 / 1.4826),  # median 3, distances 0 1 1 2 3
        (1, (1, 2, 3, 4, 6), 2 / 1.4826),
        (99, (1, 2, 3, 4, 99), 10),
    ],
)
def test_an_anomaly_is_how_far_a_latency_lies_from_the_windows_median(
    latency: float, values: tuple[float, ...], score: float
) -> None:
    ordered, median = array(*values, 77), float(statistics.median(values))
    found = kernels.anomaly_score(float(latency), ordered, len(values), median)
    assert found == pytest.approx(score, nan_ok=True)


def test_hours_and_days_are_those_of_the_calendar() -> None:
    for moment in days():
        assert kernels.hour_of_day(moment.timestamp()) == moment.hour
        assert kernels.day_of_week(moment.timestamp()) == moment.weekday()


def test_a_ratio_to_nothing_is_unknown() -> None:
    assert kernels.iops_per_latency(6.0, 0.5) == 12
    assert math.isnan(kernels.iops_per_latency(6.0, 0.0))
    assert kernels.efficiency_ratio(6.0, 0.5) == 12
    assert math.isnan(kernels.efficiency_ratio(6.0, 0.0))
    assert kernels.logarithms(array(math.e**2, 0, NAN, 1)).tolist() == pytest.approx([2, NAN, NAN, 0], nan_ok=True)


def test_windows_begin_where_the_rows_own_span_ends_and_never_at_another_device() -> None:
    """Intervals of 10 s: a row exactly 115 s back is out. A longer interval than the row's before goes back again."""
    device = np.array([0, 0, 0, 0, 0, 1, 1], np.int32)
    time = array(0, 5, 100, 115, 120, 121, 400)
    interval = array(10, 10, 10, 10, 100, 1000, 10)
    start = np.empty(7, np.int64)
    assert kernels.window_starts(device, time, interval, 0, 7, start) == (0, 5)
    assert start.tolist() == [0, 0, 0, 1, 0, 5, 6]
    some = np.empty(2, np.int64)
    assert kernels.window_starts(device, time, interval, 3, 5, some) == (0, 5)
    assert some.tolist() == [1, 0]
    assert kernels.window_starts(device, time, interval, 6, 7, some) == (6, 1)


def test_the_last_alert_is_the_devices_own_and_earlier() -> None:
    device = np.array([0, 0, 1, 1, 1, 1], np.int32)
    alert = np.array([True, True, False, True, False, True])
    time = array(1, 2, 3, 4, 5, 6)
    found = [kernels.last_alert_before(device, time, alert, place) for place in range(6)]
    assert found == [-math.inf, 1, -math.inf, -math.inf, 4, 4]


def test_rows_of_one_time_count_as_the_last_given() -> None:
    order = kernels.time_order(array(5, 3, 5, 1, 3, 5))
    assert order.tolist() == [3, 4, 5]
    assert kernels.time_order(array(1)).tolist() == [0]


def test_a_task_that_begins_after_a_gap_knows_the_devices_last_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insights.features.CHUNK_ROWS", 2)
    rows = [row(0, "a", alert=True), row(1, "a"), row(30, "a"), row(0, "b")]
    age = compute_features(InsightColumns.from_insights(rows), threads=1)[
        :, FEATURE_NAMES.index("time_since_last_alert")
    ]
    assert age.tolist() == [604_800, 300, 9_000, 604_800]


def history(count: int = 13) -> list[Insight]:
    """Fields mostly known, the last row's all of them; an alert in the fifth."""
    seeded = random.Random(9)
    names = (
        "avg_latency_ms", "p95_latency_ms", "p99_latency_ms", "error_rate", "queue_depth", "io_size_kib",
        "sequential_ratio", "provisioned_iops",
    )  # fmt: skip
    return [
        row(
            index + seeded.randrange(60) / 300,
            interval_seconds=290.0,
            read_iops=seeded.uniform(1, 500),
            write_iops=seeded.uniform(1, 500),
            bandwidth_mbps=seeded.uniform(1, 50),
            alert=index == 4,
            **{
                name: seeded.uniform(0.1, 0.9) if index == count - 1 or seeded.random() < 0.8 else None
                for name in names
            },
        )
        for index in range(count)
    ]


def test_rows_off_the_wire_have_the_features_of_the_same_rows_whatever_their_order() -> None:
    rows = history()
    expected = compute_window(rows).astype(np.float32)
    assert not np.isnan(expected).any()
    seeded = random.Random(3)
    for _ in range(4):
        np.testing.assert_array_equal(newest(rows), expected)
        seeded.shuffle(rows)
    superseded = replace(rows[0], read_iops=7.0)
    np.testing.assert_array_equal(newest([superseded, *rows]), expected)
    np.testing.assert_array_equal(newest([*rows[1:], superseded, rows[0]]), expected)


def test_a_last_alert_before_rows_off_the_wire_counts() -> None:
    rows = [row(100), row(101)]
    age = FEATURE_NAMES.index("time_since_last_alert")
    assert newest(rows, rows[1].timestamp.timestamp() - 86_400)[age] == 86_400
    assert newest(rows)[age] == 604_800


def test_minus_zero_off_the_wire_is_zero_and_what_is_nearer_to_it_than_an_insight_is_uncertain() -> None:
    rows = [row(0), row(1, read_iops=5.0)]
    zero = newest(rows, _1=-0.0)
    assert zero[0] == 0
    assert not np.signbit(zero[0])
    assert newest(rows, _1=1e-12)[0] == np.float32(1e-12)
    assert newest(rows, _1=9e-13) is None


def test_a_feature_that_the_trees_cannot_compare_is_uncertain() -> None:
    largest = 3.4028234663852886e38  # of float32
    assert newest([row(0)], _8=largest)[FEATURE_NAMES.index("queue_depth")] == np.float32(largest)
    assert newest([row(0)], _8=1.01 * largest) is None


def test_rows_with_an_unreadable_time_are_uncertain() -> None:
    text = b"2026-01-05T00:00:00.000Z" + b"2026-01-05 00:05:00.000Z"
    numbers = np.array([numbers_of(row(0)), numbers_of(row(1))]).ravel()
    out = np.empty((1, 25), np.float32)
    assert not newest_features(text, numbers, last_alert_seconds=-math.inf, out=out, place=0)


def test_a_window_that_changes_its_measure_or_its_start_is_sorted_like_any_other() -> None:
    """p99 comes and goes, intervals grow and shrink, devices follow each other: each row alone says the same."""
    seeded = random.Random(5)
    rows = [
        row(
            place,
            device,
            interval_seconds=seeded.choice([300.0, 300.0, 300.0, 900.0]),
            avg_latency_ms=seeded.choice([None, 1.0, 2.0, seeded.random()]),
            p99_latency_ms=seeded.choice([3.0, seeded.random()]) if place % 40 == 7 else None,
            alert=seeded.random() < 0.1,
        )
        for device in ("a", "b", "c")
        for place in range(60)
    ]
    bulk = compute_features(InsightColumns.from_insights(rows))
    for place, newest_row in enumerate(rows):
        upto = [r for r in rows[: place + 1] if r.device_id == newest_row.device_id]
        np.testing.assert_array_equal(bulk[place], compute_window(upto))
        window = [
            r for r in upto if (newest_row.timestamp - r.timestamp).total_seconds() < 11.5 * newest_row.interval_seconds
        ]
        measured = [r.p99_latency_ms for r in window if r.p99_latency_ms is not None]
        measured = measured or [r.avg_latency_ms for r in window if r.avg_latency_ms is not None]
        middle = statistics.median(measured) if measured else NAN
        spikes = sum(value > 2 * middle for value in measured) if measured else NAN
        assert bulk[place, FEATURE_NAMES.index("latency_spike_count")] == pytest.approx(spikes, nan_ok=True)
