"""The 25 features of insights/feature_table.py: a small compiled function each, the same for bulk and one window.

Every function has the signature f(rows, i, first, latency, ordered, known): the row is i, its window is rows
first..i, `latency[k]` is the window's latency measure of row first + k (NaN where null), `ordered[:known]` holds the
known ones in ascending order. Nothing at a place above i is ever read, so the future cannot enter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numba import literal_unroll

from insights.columns import Floats, InsightColumns
from insights.compiled import compiled
from insights.feature_table import FEATURE_NAMES, LONGEST_ALERT_AGE_SECONDS, WINDOW_SPAN
from insights.schema import Insight

NAN: Final = math.nan
SPIKE_FACTOR: Final = 2.0
ANOMALY_LIMIT: Final = 10.0
MAD_TO_DEVIATION: Final = 1.4826  # of a normal distribution
_INSERTION_SORT_LIMIT: Final = 32


class Rows(NamedTuple):
    """What the functions read of the columns, as the compiler takes it."""

    time: Any
    interval: Any
    read_iops: Any
    write_iops: Any
    avg: Any
    p95: Any
    p99: Any
    bandwidth: Any
    errors: Any
    queue: Any
    io_size: Any
    sequential: Any
    provisioned: Any
    last_alert: Any


@compiled
def variance(values, first, end):  # type: ignore[no-untyped-def]
    """Population variance of the known values; shifted by the first one, so that equal values give exactly 0."""
    count, total, shift = 0, 0.0, NAN
    for j in range(first, end):
        if not math.isnan(values[j]):
            shift = values[j] if count == 0 else shift
            count += 1
            total += values[j] - shift
    if count == 0:
        return NAN
    mean, squares = total / count, 0.0
    for j in range(first, end):
        if not math.isnan(values[j]):
            squares += (values[j] - shift - mean) ** 2
    return squares / count


@compiled
def slope(rows, i, first, values, offset, logarithm):  # type: ignore[no-untyped-def]
    """Least-squares slope per interval of values[j - offset] (or of the ln of those above 0) over the window."""
    count, x_sum, y_sum, shift = 0, 0.0, 0.0, 0.0
    for j in range(first, i + 1):
        y = values[j - offset]
        if math.isnan(y) or (logarithm and y <= 0.0):
            continue
        y = math.log(y) if logarithm else y
        shift = y if count == 0 else shift
        count += 1
        x_sum += (rows.time[j] - rows.time[i]) / rows.interval[i]
        y_sum += y - shift
    if count == 0:
        return NAN
    x_mean, y_mean, xx, xy = x_sum / count, y_sum / count, 0.0, 0.0
    for j in range(first, i + 1):
        y = values[j - offset]
        if math.isnan(y) or (logarithm and y <= 0.0):
            continue
        y = (math.log(y) if logarithm else y) - shift - y_mean
        x = (rows.time[j] - rows.time[i]) / rows.interval[i] - x_mean
        xx += x * x
        xy += x * y
    return xy / xx if count > 1 and xx > 0.0 else 0.0


@compiled
def sort(values, count):  # type: ignore[no-untyped-def]
    """Sorts values[:count] in place; a window is a dozen rows, where insertion beats everything."""
    if count > _INSERTION_SORT_LIMIT:
        values[:count].sort()
        return
    for j in range(1, count):
        value = values[j]
        k = j - 1
        while k >= 0 and values[k] > value:
            values[k + 1] = values[k]
            k -= 1
        values[k + 1] = value


@compiled
def median_of_sorted(ordered, count):  # type: ignore[no-untyped-def]
    middle = count // 2
    return ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


@compiled
def mad_of_sorted(ordered, count, center):  # type: ignore[no-untyped-def]
    """Median of abs(x - center): the deviations of a sorted array are two runs, merged up to the middle."""
    right = 0
    while right < count and ordered[right] < center:
        right += 1
    left = right - 1
    middle, previous, current = count // 2, 0.0, 0.0
    for _ in range(middle + 1):
        previous = current
        if left < 0 or (right < count and ordered[right] - center <= center - ordered[left]):
            current = ordered[right] - center
            right += 1
        else:
            current = center - ordered[left]
            left -= 1
    return current if count % 2 else (previous + current) / 2.0


@compiled
def read_iops(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.read_iops[i]


@compiled
def write_iops(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.write_iops[i]


@compiled
def total_iops(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.read_iops[i] + rows.write_iops[i]


@compiled
def iops_variance(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    """Two passes like `variance`; total_iops is never null and stands in no array of its own."""
    count, total, squares = i + 1 - first, 0.0, 0.0
    shift = rows.read_iops[i] + rows.write_iops[i]
    for j in range(first, i + 1):
        total += rows.read_iops[j] + rows.write_iops[j] - shift
    mean = total / count
    for j in range(first, i + 1):
        squares += (rows.read_iops[j] + rows.write_iops[j] - shift - mean) ** 2
    return squares / count


@compiled
def avg_latency(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.avg[i]


@compiled
def p95_latency(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.p95[i]


@compiled
def p99_latency(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.p99[i]


@compiled
def latency_spike_count(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    if known == 0:
        return NAN
    limit, count = SPIKE_FACTOR * median_of_sorted(ordered, known), 0
    while count < known and ordered[known - 1 - count] > limit:
        count += 1
    return float(count)


@compiled
def bandwidth_mbps(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.bandwidth[i]


@compiled
def throughput_variance(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return variance(rows.bandwidth, first, i + 1)


@compiled
def error_rate(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.errors[i]


@compiled
def error_trend(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return slope(rows, i, first, rows.errors, 0, False)


@compiled
def hour_of_day(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return math.floor(rows.time[i] % 86_400.0 / 3_600.0) * 1.0


@compiled
def day_of_week(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    """1970-01-01 was a Thursday, 3 where Monday is 0."""
    return (math.floor(rows.time[i] / 86_400.0) + 3.0) % 7.0


@compiled
def time_since_last_alert(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    since = rows.time[i] - rows.last_alert[i]
    return since if since < LONGEST_ALERT_AGE_SECONDS else LONGEST_ALERT_AGE_SECONDS


@compiled
def sequential_access_ratio(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.sequential[i]


@compiled
def random_access_ratio(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return 1.0 - rows.sequential[i]


@compiled
def queue_depth(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.queue[i]


@compiled
def io_size_avg(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return rows.io_size[i]


@compiled
def io_size_variance(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return variance(rows.io_size, first, i + 1)


@compiled
def iops_per_latency(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return (rows.read_iops[i] + rows.write_iops[i]) / rows.avg[i] if rows.avg[i] > 0.0 else NAN


@compiled
def anomaly_score(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    x = latency[i - first]
    if math.isnan(x):
        return NAN
    center = median_of_sorted(ordered, known)
    spread = MAD_TO_DEVIATION * mad_of_sorted(ordered, known, center)
    distance = abs(x - center)
    if spread == 0.0:
        return 0.0 if distance == 0.0 else ANOMALY_LIMIT
    return min(distance / spread, ANOMALY_LIMIT)


@compiled
def trend_score(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return slope(rows, i, first, latency, first, True)


@compiled
def capacity_utilization(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    return 100.0 * (rows.read_iops[i] + rows.write_iops[i]) / rows.provisioned[i]


@compiled
def efficiency_ratio(rows, i, first, latency, ordered, known):  # type: ignore[no-untyped-def]
    total = rows.read_iops[i] + rows.write_iops[i]
    return rows.bandwidth[i] / total if total > 0.0 else NAN


# In the order of FEATURE_NAMES: each function bears its feature's name, and a test holds the two together.
FEATURE_FUNCTIONS: Final = (
    read_iops,
    write_iops,
    total_iops,
    iops_variance,
    avg_latency,
    p95_latency,
    p99_latency,
    latency_spike_count,
    bandwidth_mbps,
    throughput_variance,
    error_rate,
    error_trend,
    hour_of_day,
    day_of_week,
    time_since_last_alert,
    sequential_access_ratio,
    random_access_ratio,
    queue_depth,
    io_size_avg,
    io_size_variance,
    iops_per_latency,
    anomaly_score,
    trend_score,
    capacity_utilization,
    efficiency_ratio,
)


@compiled
def window_starts(device, time, interval, start):  # type: ignore[no-untyped-def]
    """start[i] = first row of row i's window: same device, time above time[i] - 11.5 intervals of row i."""
    widest = 0
    for i in range(len(time)):
        first, edge = i, time[i] - WINDOW_SPAN * interval[i]
        while first > 0 and device[first - 1] == device[i] and time[first - 1] > edge:
            first -= 1
        start[i] = first
        widest = max(widest, i + 1 - first)
    return widest


@compiled
def last_alerts(device, time, alert, known_alert, last):  # type: ignore[no-untyped-def]
    """last[i] = time of the device's last alert before row i, -inf for none; `known_alert` reaches past the rows."""
    latest = -math.inf
    for i in range(len(time)):
        if i == 0 or device[i] != device[i - 1]:
            latest = -math.inf
        last[i] = max(latest, known_alert) if known_alert < time[i] else latest
        if alert[i]:
            latest = time[i]


@compiled
def fill(rows, start, begin, widest, out):  # type: ignore[no-untyped-def]
    """out[k] = the features of row begin + k, to the last row."""
    latency, ordered = np.empty(widest), np.empty(widest)
    for i in range(begin, len(rows.time)):
        first, known, has_p99 = start[i], 0, False
        for j in range(first, i + 1):
            has_p99 = has_p99 or not math.isnan(rows.p99[j])
        for j in range(first, i + 1):
            value = rows.p99[j] if has_p99 else rows.avg[j]
            latency[j - first] = value
            if not math.isnan(value):
                ordered[known] = value
                known += 1
        sort(ordered, known)
        column = 0
        for feature in literal_unroll(FEATURE_FUNCTIONS):
            out[i - begin, column] = feature(rows, i, first, latency, ordered, known)
            column += 1  # noqa: SIM113 - the unrolled loop has no enumerate()


def compute_features(columns: InsightColumns) -> Floats:
    """The features of every row, shape (len(columns), 25) in the table's order, NaN where an input is unknown."""
    return _compute(columns, 0, -math.inf)


def compute_window(insights: Sequence[Insight], *, last_alert_at: datetime | None = None) -> Floats:
    """The features, shape (25,), of the newest of one device's insights (any order, earlier rows may be there).

    `last_alert_at` is the device's last alert where it lies before the given rows; one that is not earlier than the
    newest row is ignored. ValueError where there is no insight or more than one device.
    """
    columns = InsightColumns.from_insights(insights)
    if len(columns.devices) != 1:
        found = "none" if not columns.devices else f"{len(columns.devices)} devices, {', '.join(columns.devices[:3])}"
        raise ValueError(f"a window is the insights of one device, at least one of them, but there are {found}")
    return _compute(columns, len(columns) - 1, _seconds(last_alert_at))[0]


def warm_up() -> None:
    """Compiles (or loads from the cache) everything above, so that no request pays for it."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    compute_window(
        [
            Insight(
                device_id="-",
                timestamp=moment,
                interval_seconds=300.0,
                read_iops=0.0,
                write_iops=0.0,
                bandwidth_mbps=0.0,
            )
        ]
    )


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        return -math.inf
    if moment.tzinfo is None:
        raise ValueError(f"last_alert_at is {moment.isoformat()}; it must name its offset from UTC")
    return moment.timestamp()


def _compute(columns: InsightColumns, begin: int, known_alert: float) -> Floats:
    count = len(columns)
    start = np.empty(count, np.int64)
    last_alert = np.empty(count, np.float64)
    time = columns.time_seconds
    widest = window_starts(columns.device, time, columns.interval_seconds, start)
    last_alerts(columns.device, time, columns.alert, known_alert, last_alert)
    rows = Rows(
        time=time,
        interval=columns.interval_seconds,
        read_iops=columns.read_iops,
        write_iops=columns.write_iops,
        avg=columns.avg_latency_ms,
        p95=columns.p95_latency_ms,
        p99=columns.p99_latency_ms,
        bandwidth=columns.bandwidth_mbps,
        errors=columns.error_rate,
        queue=columns.queue_depth,
        io_size=columns.io_size_kib,
        sequential=columns.sequential_ratio,
        provisioned=columns.provisioned_iops,
        last_alert=last_alert,
    )
    out = np.empty((count - begin, len(FEATURE_NAMES)))
    fill(rows, start, begin, widest, out)
    return out
