"""The compiled part of the 25 features: a small function each where it is more than a copy, and `fill`, which calls them.

Nothing at a place above the row is ever read, so the future cannot enter. All kernels stand in this one file: numba's
cache notices a change of the file that holds the outermost one. They take arrays and numbers, never a tuple of arrays,
whose reference counts would cost more than the work.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from insights.compiled import compiled
from insights.feature_table import LONGEST_ALERT_AGE_SECONDS, WINDOW_SPAN
from insights.schema import EARLIEST, LATEST, SMALLEST_NUMBER

NAN: Final = math.nan
SPIKE_FACTOR: Final = 2.0
ANOMALY_LIMIT: Final = 10.0
MAD_TO_DEVIATION: Final = 1.4826  # of a normal distribution
LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)  # what the trees compare in
TIMESTAMP_CHARACTERS: Final = 24
WINDOW_NUMBERS: Final = 12
FIRST_YEAR: Final = EARLIEST.year
END_YEAR: Final = LATEST.year
DAYS_TO_1970: Final = 719_468  # from the first of March of the year 0
_INSERTION_SORT_LIMIT: Final = 32


class Rows(NamedTuple):
    """What the kernels read of the columns, as the compiler takes it."""

    device: Any
    time: Any
    interval: Any
    read_iops: Any
    write_iops: Any
    avg_latency: Any
    p95_latency: Any
    p99_latency: Any
    bandwidth: Any
    errors: Any
    queue: Any
    io_size: Any
    sequential: Any
    provisioned: Any
    alert: Any


class FeatureRow(NamedTuple):
    """One row's features; the fields are FEATURE_NAMES in their order, and a test holds the two together."""

    read_iops: float
    write_iops: float
    total_iops: float
    iops_variance: float
    avg_latency: float
    p95_latency: float
    p99_latency: float
    latency_spike_count: float
    bandwidth_mbps: float
    throughput_variance: float
    error_rate: float
    error_trend: float
    hour_of_day: float
    day_of_week: float
    time_since_last_alert: float
    sequential_access_ratio: float
    random_access_ratio: float
    queue_depth: float
    io_size_avg: float
    io_size_variance: float
    iops_per_latency: float
    anomaly_score: float
    trend_score: float
    capacity_utilization: float
    efficiency_ratio: float


@compiled
def first_known(values, first, end):  # type: ignore[no-untyped-def]
    for j in range(first, end):
        if not math.isnan(values[j]):
            return values[j]
    return NAN


@compiled
def variance(values, first, end):  # type: ignore[no-untyped-def]
    """Population variance of the known values; shifted by the first one, so that equal values give exactly 0."""
    shift, count, total, squares = first_known(values, first, end), 0.0, 0.0, 0.0
    if math.isnan(shift):
        return NAN
    for j in range(first, end):
        y = values[j] - shift
        count += 0.0 if math.isnan(y) else 1.0
        total += 0.0 if math.isnan(y) else y
    mean = total / count
    for j in range(first, end):
        y = values[j] - shift - mean
        squares += 0.0 if math.isnan(y) else y * y
    return squares / count


@compiled
def slope(time, values, first, end):  # type: ignore[no-untyped-def]
    """Least-squares slope per second of the known values; 0 for a single one, and exactly 0 for equal ones."""
    shift, now, count, x_sum, y_sum = first_known(values, first, end), time[end - 1], 0.0, 0.0, 0.0
    if math.isnan(shift):
        return NAN
    for j in range(first, end):
        y = values[j] - shift
        count += 0.0 if math.isnan(y) else 1.0
        x_sum += 0.0 if math.isnan(y) else time[j] - now
        y_sum += 0.0 if math.isnan(y) else y
    x_mean, y_mean, xx, xy = x_sum / count, y_sum / count, 0.0, 0.0
    for j in range(first, end):
        y = values[j] - shift - y_mean
        x = 0.0 if math.isnan(y) else time[j] - now - x_mean
        xx += x * x
        xy += 0.0 if math.isnan(y) else x * y
    return xy / xx if count > 1.0 and xx > 0.0 else 0.0


@compiled
def insert(ordered, known, value):  # type: ignore[no-untyped-def]
    """Puts a value into ordered[:known]; returns how many are known then. NaN is none."""
    if math.isnan(value):
        return known
    k = known
    while k > 0 and ordered[k - 1] > value:
        ordered[k] = ordered[k - 1]
        k -= 1
    ordered[k] = value
    return known + 1


@compiled
def remove(ordered, known, value):  # type: ignore[no-untyped-def]
    """Takes a value that is there out of ordered[:known]; returns how many are known then. NaN is none."""
    if math.isnan(value):
        return known
    k = 0
    while ordered[k] != value:
        k += 1
    for j in range(k, known - 1):
        ordered[j] = ordered[j + 1]
    return known - 1


@compiled
def sort_known(values, first, end, ordered):  # type: ignore[no-untyped-def]
    """ordered[:n] = the known ones of values[first:end], ascending; returns n."""
    known = 0
    if end - first <= _INSERTION_SORT_LIMIT:
        for j in range(first, end):
            known = insert(ordered, known, values[j])
        return known
    for j in range(first, end):
        if not math.isnan(values[j]):
            ordered[known] = values[j]
            known += 1
    ordered[:known].sort()
    return known


@compiled
def median_of_sorted(ordered, count):  # type: ignore[no-untyped-def]
    if count == 0:
        return NAN
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
def latency_spike_count(ordered, known, median):  # type: ignore[no-untyped-def]
    if known == 0:
        return NAN
    limit, count = SPIKE_FACTOR * median, 0
    while count < known and ordered[known - 1 - count] > limit:
        count += 1
    return float(count)


@compiled
def hour_of_day(time):  # type: ignore[no-untyped-def]
    return math.floor(time % 86_400.0 / 3_600.0) * 1.0


@compiled
def day_of_week(time):  # type: ignore[no-untyped-def]
    """1970-01-01 was a Thursday, 3 where Monday is 0."""
    return (math.floor(time / 86_400.0) + 3.0) % 7.0


@compiled
def iops_per_latency(total, avg_latency):  # type: ignore[no-untyped-def]
    return total / avg_latency if avg_latency > 0.0 else NAN


@compiled
def anomaly_score(latency, ordered, known, median):  # type: ignore[no-untyped-def]
    if math.isnan(latency):
        return NAN
    spread = MAD_TO_DEVIATION * mad_of_sorted(ordered, known, median)
    distance = abs(latency - median)
    if spread == 0.0:
        return 0.0 if distance == 0.0 else ANOMALY_LIMIT
    return min(distance / spread, ANOMALY_LIMIT)


@compiled
def efficiency_ratio(bandwidth, total):  # type: ignore[no-untyped-def]
    return bandwidth / total if total > 0.0 else NAN


@compiled
def window_starts(device, time, interval, begin, end, start):  # type: ignore[no-untyped-def]
    """start[k] = first row of row begin + k's window: same device, time above its own - 11.5 of its own intervals.

    Returns the lowest of them and the most rows in a window.
    """
    first, lowest, widest = begin, begin, 0
    for i in range(begin, end):
        if device[i] != device[first]:
            first = i
        edge = time[i] - WINDOW_SPAN * interval[i]
        while time[first] <= edge:
            first += 1
        while first > 0 and device[first - 1] == device[i] and time[first - 1] > edge:
            first -= 1
        start[i - begin] = first
        lowest, widest = min(lowest, first), max(widest, i + 1 - first)
    return lowest, widest


@compiled
def last_alert_before(device, time, alert, row):  # type: ignore[no-untyped-def]
    """Time of the last alert of the row's device before it, -inf for none."""
    j = row - 1
    while j >= 0 and device[j] == device[row]:
        if alert[j]:
            return time[j]
        j -= 1
    return -math.inf


@compiled
def logarithms(values):  # type: ignore[no-untyped-def]
    """NaN where the value is unknown or 0."""
    logs = np.empty(len(values))
    for j in range(len(values)):
        logs[j] = math.log(values[j]) if values[j] > 0.0 else NAN
    return logs


@compiled
def fill(rows, begin, end, known_alert, out):  # type: ignore[no-untyped-def]
    """out[k] = the features of row begin + k, to row end - 1; `known_alert` is an alert before all rows, or -inf."""
    start = np.empty(end - begin, np.int64)
    low, widest = window_starts(rows.device, rows.time, rows.interval, begin, end, start)
    last_alert = last_alert_before(rows.device, rows.time, rows.alert, begin)
    # From here on row numbers count from the lowest row of any window.
    device, time, interval, alert = (
        rows.device[low:end],
        rows.time[low:end],
        rows.interval[low:end],
        rows.alert[low:end],
    )
    avg, p95, p99 = rows.avg_latency[low:end], rows.p95_latency[low:end], rows.p99_latency[low:end]
    read, write, provisioned = rows.read_iops[low:end], rows.write_iops[low:end], rows.provisioned[low:end]
    bandwidth, errors, queue = rows.bandwidth[low:end], rows.errors[low:end], rows.queue[low:end]
    io_size, sequential = rows.io_size[low:end], rows.sequential[low:end]
    iops, p99_logs, avg_logs = read + write, logarithms(p99), logarithms(avg)

    ordered, known, held, held_p99, p99_row = np.empty(widest), 0, end, False, -1
    for j in range(begin - low):
        p99_row = p99_row if math.isnan(p99[j]) else j
    for i in range(begin - low, end - low):
        first = start[low + i - begin] - low
        # One latency measure per window: p99 where any of its rows has it, else the mean.
        p99_row = p99_row if math.isnan(p99[i]) else i
        has_p99 = p99_row >= first
        latency, logs = (p99, p99_logs) if has_p99 else (avg, avg_logs)
        if has_p99 == held_p99 and held <= first < i:
            for j in range(held, first):
                known = remove(ordered, known, latency[j])
            known = insert(ordered, known, latency[i])
        else:
            known = sort_known(latency, first, i + 1, ordered)
        held, held_p99, median = first, has_p99, median_of_sorted(ordered, known)
        if i > 0 and device[i] != device[i - 1]:
            last_alert = -math.inf
        alerted = max(last_alert, known_alert) if known_alert < time[i] else last_alert
        last_alert = time[i] if alert[i] else last_alert
        features = FeatureRow(
            read_iops=read[i],
            write_iops=write[i],
            total_iops=iops[i],
            iops_variance=variance(iops, first, i + 1),
            avg_latency=avg[i],
            p95_latency=p95[i],
            p99_latency=p99[i],
            latency_spike_count=latency_spike_count(ordered, known, median),
            bandwidth_mbps=bandwidth[i],
            throughput_variance=variance(bandwidth, first, i + 1),
            error_rate=errors[i],
            error_trend=interval[i] * slope(time, errors, first, i + 1),
            hour_of_day=hour_of_day(time[i]),
            day_of_week=day_of_week(time[i]),
            time_since_last_alert=min(time[i] - alerted, LONGEST_ALERT_AGE_SECONDS),
            sequential_access_ratio=sequential[i],
            random_access_ratio=1.0 - sequential[i],
            queue_depth=queue[i],
            io_size_avg=io_size[i],
            io_size_variance=variance(io_size, first, i + 1),
            iops_per_latency=iops_per_latency(iops[i], avg[i]),
            anomaly_score=anomaly_score(latency[i], ordered, known, median),
            trend_score=interval[i] * slope(time, logs, first, i + 1),
            capacity_utilization=100.0 * iops[i] / provisioned[i],
            efficiency_ratio=efficiency_ratio(bandwidth[i], iops[i]),
        )
        for column, value in enumerate(features):
            out[low + i - begin, column] = value


@compiled
def digits(text, first, end):  # type: ignore[no-untyped-def]
    """The number that text[first:end] spells; -1 where one is no digit."""
    number = 0
    for k in range(first, end):
        if not 48 <= text[k] <= 57:
            return -1
        number = 10 * number + text[k] - 48
    return number


@compiled
def seconds_of(text, at):  # type: ignore[no-untyped-def]
    """Seconds since 1970 of the ASCII YYYY-MM-DDTHH:MM:SS.mmmZ at a place of the text; NaN for whatever else is there."""
    for k, mark in ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "."), (23, "Z")):
        if text[at + k] != ord(mark):
            return NAN
    year, month, day = digits(text, at, at + 4), digits(text, at + 5, at + 7), digits(text, at + 8, at + 10)
    hour, minute, second = (
        digits(text, at + 11, at + 13),
        digits(text, at + 14, at + 16),
        digits(text, at + 17, at + 19),
    )
    millisecond = digits(text, at + 20, at + 23)
    if not (FIRST_YEAR <= year < END_YEAR and 1 <= month <= 12 and 0 <= hour < 24 and 0 <= minute < 60):
        return NAN
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    month_days = 29 if is_leap and month == 2 else 28 if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if not (1 <= day <= month_days and 0 <= second < 60 and millisecond >= 0):
        return NAN
    # Years from March on, so that the leap day is the last of its year: Hinnant, chrono-Compatible Low-Level Date Algorithms.
    march_year, march_month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    leap_days = march_year // 4 - march_year // 100 + march_year // 400
    days = 365 * march_year + leap_days + (153 * march_month + 2) // 5 + day - 1 - DAYS_TO_1970
    return (1_000 * (86_400 * days + 3_600 * hour + 60 * minute + second) + millisecond) / 1_000.0


@compiled
def time_order(time):  # type: ignore[no-untyped-def]
    """The rows by time, one a time: of rows with one time the last given."""
    order = np.argsort(time, kind="mergesort")  # stable
    kept = 0
    for i in range(len(order)):
        if i + 1 == len(order) or time[order[i]] != time[order[i + 1]]:
            order[kept] = order[i]
            kept += 1
    return order[:kept]


@compiled
def fill_newest(text, numbers, known_alert, out, place):  # type: ignore[no-untyped-def]
    """out[place] = the features of the newest of one device's rows, in any order; False where that is not certain.

    `text` is their timestamps, one after the other, and `numbers` their numeric fields in the order of Rows and their
    alert, row after row: few arguments, because each costs what many rows do. Not certain are a timestamp of another form
    than the fixed one, a number nearer to zero than an insight may hold, and a feature beyond float32.
    """
    count, width = len(text) // TIMESTAMP_CHARACTERS, WINDOW_NUMBERS + 1
    time, is_ordered = np.empty(count), True
    for i in range(count):
        time[i] = seconds_of(text, i * TIMESTAMP_CHARACTERS)
        if math.isnan(time[i]):
            return False
        is_ordered = is_ordered and (i == 0 or time[i] > time[i - 1])
    order = np.arange(count) if is_ordered else time_order(time)
    columns = np.empty((width + 1, len(order)))
    for i in range(len(order)):
        columns[width, i] = time[order[i]]
        for j in range(width):
            value = numbers[width * order[i] + j] + 0.0  # -0.0 becomes 0.0
            columns[j, i] = value
            if 0.0 < value < SMALLEST_NUMBER:
                return False
    rows = Rows(
        device=np.zeros(len(order), np.int32),
        time=columns[width],
        interval=columns[0],
        read_iops=columns[1],
        write_iops=columns[2],
        avg_latency=columns[3],
        p95_latency=columns[4],
        p99_latency=columns[5],
        bandwidth=columns[6],
        errors=columns[7],
        queue=columns[8],
        io_size=columns[9],
        sequential=columns[10],
        provisioned=columns[11],
        alert=columns[12] > 0.0,
    )
    features = np.empty((1, out.shape[1]))
    fill(rows, len(order) - 1, len(order), known_alert, features)
    for j in range(out.shape[1]):
        if abs(features[0, j]) > LARGEST_FLOAT32:
            return False
        out[place, j] = features[0, j]
    return True
