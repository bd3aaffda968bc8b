"""The one ordered table of the 25 features: names, units, ranges, order. Training, serving, docs and tests read it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

WINDOW_ROWS: Final = 12
WINDOW_SPAN: Final = 11.5  # in intervals: twelve rows, jitter forgiven
HORIZON_ROWS: Final = 6
HORIZON_SPAN: Final = 6.5
LONGEST_ALERT_AGE_SECONDS: Final = 604_800.0


class Feature(NamedTuple):
    """A column of the model's input; a value outside [minimum, maximum] cannot come from valid insights."""

    name: str
    unit: str
    minimum: float
    maximum: float
    description: str


_INF: Final = math.inf

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("read_iops", "operations/s", 0, _INF, "reads per second, as measured"),
    Feature("write_iops", "operations/s", 0, _INF, "writes per second, as measured"),
    Feature("total_iops", "operations/s", 0, _INF, "read_iops + write_iops"),
    Feature("iops_variance", "(operations/s)^2", 0, _INF, "variance of total_iops over the window"),
    Feature("avg_latency", "ms", 0, _INF, "mean latency, as measured"),
    Feature("p95_latency", "ms", 0, _INF, "95th percentile of latency, as measured"),
    Feature("p99_latency", "ms", 0, _INF, "99th percentile of latency, as measured"),
    Feature("latency_spike_count", "rows", 0, _INF, "rows whose latency exceeds twice the window's median latency"),
    Feature("bandwidth_mbps", "MB/s", 0, _INF, "10^6 bytes per second, as measured"),
    Feature("throughput_variance", "(MB/s)^2", 0, _INF, "variance of bandwidth_mbps over the window"),
    Feature("error_rate", "errors per operation", 0, 1, "as measured"),
    Feature("error_trend", "errors per operation per interval", -_INF, _INF, "slope of error_rate over the window"),
    Feature("hour_of_day", "h", 0, 23, "hour of the timestamp, UTC"),
    Feature("day_of_week", "day", 0, 6, "day of the timestamp, UTC, Monday 0"),
    Feature(
        "time_since_last_alert",
        "s",
        0,
        LONGEST_ALERT_AGE_SECONDS,
        "since the device's last earlier alert; 7 days also stands for none",
    ),
    Feature("sequential_access_ratio", "share", 0, 1, "sequential_ratio, as measured"),
    Feature("random_access_ratio", "share", 0, 1, "1 - sequential_ratio"),
    Feature("queue_depth", "I/Os", 0, _INF, "mean I/Os in flight, as measured"),
    Feature("io_size_avg", "KiB", 0, _INF, "io_size_kib, as measured"),
    Feature("io_size_variance", "KiB^2", 0, _INF, "variance of io_size_kib over the window"),
    Feature("iops_per_latency", "operations/s/ms", 0, _INF, "total_iops / avg_latency"),
    Feature(
        "anomaly_score",
        "robust standard deviations",
        0,
        10,
        "distance of the row's latency from the window's median, in 1.4826 x MAD",
    ),
    Feature("trend_score", "1 per interval", -_INF, _INF, "slope of ln(latency) over the window; above 0 gets worse"),
    Feature("capacity_utilization", "percent", 0, _INF, "100 x total_iops / provisioned_iops"),
    Feature("efficiency_ratio", "MB per operation", 0, _INF, "bandwidth_mbps / total_iops"),
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)


def table_hash(features: Sequence[Feature]) -> str:
    """Of names, order, units, ranges and meanings, and of the window that they look at."""
    lines = [repr((WINDOW_ROWS, WINDOW_SPAN)), *(repr(tuple(feature)) for feature in features)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# Stored with every model: a model of another table must not be served by this one.
FEATURE_TABLE_HASH: Final = table_hash(FEATURES)
