"""The 25 features of insights/feature_table.py, by one kernel for a fleet's history and for one window."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.columns import Floats, InsightColumns
from insights.feature_kernels import Rows, fill, fill_newest
from insights.feature_table import FEATURE_NAMES
from insights.schema import Insight

WINDOW_FIELDS: Final = (
    "interval_seconds",
    "read_iops",
    "write_iops",
    "avg_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "bandwidth_mbps",
    "error_rate",
    "queue_depth",
    "io_size_kib",
    "sequential_ratio",
    "provisioned_iops",
)
"""The numbers of an insight that features read, in the order of the kernel's columns."""
CHUNK_ROWS: Final = 16_384
"""Rows of one task of a thread: 3 MB of features, milliseconds of work."""


def compute_features(
    columns: InsightColumns, *, threads: int | None = None, dtype: type[np.floating[Any]] = np.float64
) -> npt.NDArray[Any]:
    """The features of every row, shape (len(columns), 25) in the table's order, NaN where an input is unknown.

    No value depends on `threads` (None: OMP_NUM_THREADS, else one per core); ValueError below 1. `dtype` float32 rounds
    each value once, without a float64 copy of the whole; one beyond its range becomes infinite.
    """
    threads = _default_threads() if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads is {threads}; give 1 or more, or None for one per core")
    rows, count = _rows(columns), len(columns)
    out = np.empty((count, len(FEATURE_NAMES)), dtype)

    def fill_chunk(begin: int) -> None:
        chunk = out[begin : begin + CHUNK_ROWS]
        exact = chunk if dtype is np.float64 else np.empty(chunk.shape)
        fill(rows, begin, begin + len(chunk), -math.inf, exact)
        if exact is not chunk:
            with np.errstate(over="ignore"):
                chunk[:] = exact

    chunks = range(0, count, CHUNK_ROWS)
    if min(threads, len(chunks)) < 2:
        for begin in chunks:
            fill_chunk(begin)
    else:
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            list(pool.map(fill_chunk, chunks))
    return out


def compute_window(insights: Sequence[Insight], *, last_alert_at: datetime | None = None) -> Floats:
    """The features, shape (25,), of the newest of one device's insights (any order, earlier rows may be there).

    `last_alert_at` is the device's last alert where it lies before the given rows; one that is not earlier than the
    newest row is ignored. ValueError where there is no insight or more than one device.
    """
    columns = InsightColumns.from_insights(insights)
    if len(columns.devices) != 1:
        found = "none" if not columns.devices else f"{len(columns.devices)} devices, {', '.join(columns.devices[:3])}"
        raise ValueError(f"a window is the insights of one device, at least one of them, but there are {found}")
    out = np.empty((1, len(FEATURE_NAMES)))
    fill(_rows(columns), len(columns) - 1, len(columns), _seconds(last_alert_at), out)
    return out[0]


def newest_features(
    timestamps: bytes, numbers: Floats, *, last_alert_seconds: float, out: npt.NDArray[np.float32], place: int
) -> bool:
    """compute_window of rows as they come off the wire: out[place], (25,) of float32, becomes the features of the newest.

    The rows are one device's, at least one, in any order; of rows with one time the last wins. `timestamps` are their
    texts one after the other, `numbers` their WINDOW_FIELDS and alert (0 or 1) row after row, NaN for null, each within
    its rule's range or between it and zero; `last_alert_seconds` is -inf for none. False, with `out` meaning nothing, where
    a timestamp has another form than timestamp_text's, a number is too near to zero, or a feature is beyond float32.
    """
    is_certain: bool = fill_newest(timestamps, numbers, last_alert_seconds, out, place)
    return is_certain


def warm_up() -> None:
    """Compiles (or loads from the cache) the kernels, so that no request pays for it."""
    numbers = np.frombuffer(np.ones(len(WINDOW_FIELDS) + 1).tobytes())  # read-only, as a request gives them
    out = np.empty((1, len(FEATURE_NAMES)), np.float32)
    newest_features(b"2026-01-01T00:00:00.000Z", numbers, last_alert_seconds=-math.inf, out=out, place=0)
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


def _rows(columns: InsightColumns) -> Rows:
    return Rows(
        device=columns.device,
        time=columns.time_seconds,
        interval=columns.interval_seconds,
        read_iops=columns.read_iops,
        write_iops=columns.write_iops,
        avg_latency=columns.avg_latency_ms,
        p95_latency=columns.p95_latency_ms,
        p99_latency=columns.p99_latency_ms,
        bandwidth=columns.bandwidth_mbps,
        errors=columns.error_rate,
        queue=columns.queue_depth,
        io_size=columns.io_size_kib,
        sequential=columns.sequential_ratio,
        provisioned=columns.provisioned_iops,
        alert=columns.alert,
    )


def _default_threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else os.cpu_count() or 1


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        return -math.inf
    if moment.tzinfo is None:
        raise ValueError(f"last_alert_at is {moment.isoformat()}; it must name its offset from UTC")
    return moment.timestamp()
