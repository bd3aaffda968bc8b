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
    phrase: str
    """What an explanation calls it, in the middle of a sentence."""


_INF: Final = math.inf

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("read_iops", "operations/s", 0, _INF, "reads per second, as measured", "read load"),
    Feature("write_iops", "operations/s", 0, _INF, "writes per second, as measured", "write load"),
    Feature("total_iops", "operations/s", 0, _INF, "read_iops + write_iops", "load"),
    Feature("iops_variance", "(operations/s)^2", 0, _INF, "variance of total_iops over the window", "load"),
    Feature("avg_latency", "ms", 0, _INF, "mean latency, as measured", "mean latency"),
    Feature("p95_latency", "ms", 0, _INF, "95th percentile of latency, as measured", "p95 latency"),
    Feature("p99_latency", "ms", 0, _INF, "99th percentile of latency, as measured", "p99 latency"),
    Feature(
        "latency_spike_count",
        "rows",
        0,
        _INF,
        "rows whose latency exceeds twice the window's median latency",
        "latency spikes",
    ),
    Feature("bandwidth_mbps", "MB/s", 0, _INF, "10^6 bytes per second, as measured", "bandwidth"),
    Feature("throughput_variance", "(MB/s)^2", 0, _INF, "variance of bandwidth_mbps over the window", "bandwidth"),
    Feature("error_rate", "errors per operation", 0, 1, "as measured", "error rate"),
    Feature(
        "error_trend",
        "errors per operation per interval",
        -_INF,
        _INF,
        "slope of error_rate over the window",
        "error rate",
    ),
    Feature("hour_of_day", "h", 0, 23, "hour of the timestamp, UTC", "the hour of the day"),
    Feature("day_of_week", "day", 0, 6, "day of the timestamp, UTC, Monday 0", "the day of the week"),
    Feature(
        "time_since_last_alert",
        "s",
        0,
        LONGEST_ALERT_AGE_SECONDS,
        "since the device's last earlier alert; 7 days also stands for none",
        "the last alert",
    ),
    Feature("sequential_access_ratio", "share", 0, 1, "sequential_ratio, as measured", "sequential share"),
    Feature("random_access_ratio", "share", 0, 1, "1 - sequential_ratio", "random share"),
    Feature("queue_depth", "I/Os", 0, _INF, "mean I/Os in flight, as measured", "queue depth"),
    Feature("io_size_avg", "KiB", 0, _INF, "io_size_kib, as measured", "I/O size"),
    Feature("io_size_variance", "KiB^2", 0, _INF, "variance of io_size_kib over the window", "I/O size"),
    Feature("iops_per_latency", "operations/s/ms", 0, _INF, "total_iops / avg_latency", "load per latency"),
    Feature(
        "anomaly_score",
        "robust standard deviations",
        0,
        10,
        "distance of the row's latency from the window's median, in 1.4826 x MAD",
        "latency",
    ),
    Feature(
        "trend_score",
        "1 per interval",
        -_INF,
        _INF,
        "slope of ln(latency) over the window; above 0 gets worse",
        "latency",
    ),
    Feature(
        "capacity_utilization", "percent", 0, _INF, "100 x total_iops / provisioned_iops", "use of the provisioned IOPS"
    ),
    Feature("efficiency_ratio", "MB per operation", 0, _INF, "bandwidth_mbps / total_iops", "bytes per operation"),
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
DRIFT_COLUMNS: Final[tuple[str, ...]] = (*FEATURE_NAMES, "prediction")
"""What a watch compares with the training: the features, and what the model makes of them."""


def table_hash(features: Sequence[Feature]) -> str:
    """Of names, order, units, ranges and meanings, and of the window that they look at; not of an explanation's words."""
    lines = [repr((WINDOW_ROWS, WINDOW_SPAN)), *(repr(tuple(feature)[:-1]) for feature in features)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# Stored with every model: a model of another table must not be served by this one.
FEATURE_TABLE_HASH: Final = table_hash(FEATURES)
