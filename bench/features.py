"""Rows/s of the 25 features beside a straightforward pandas version and the memory-bandwidth limit.

10^4 to BENCH_ROWS rows (10^6), one thread and two; the limit is numpy's copy of the finished array. `streamed` computes a
cohort at a time and keeps none: its peak memory is a cohort's. pandas is measured up to 10^5 rows, where its values are
held against ours first.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.material.table import keep, show
from insights.columns import ARRAY_COLUMNS, InsightColumns
from insights.feature_table import FEATURE_NAMES, LONGEST_ALERT_AGE_SECONDS
from insights.features import compute_features, compute_window
from insights.generator import generate_cohorts

REPEATS = 5
LARGEST_FOR_PANDAS = 100_000
WINDOW_REPEATS = 2_000
SEED = 7


def main() -> None:
    largest = int(os.environ.get("BENCH_ROWS", "1000000"))
    sizes = [size for size in (10**exponent for exponent in range(4, 10)) if size <= largest]
    cohort = next(iter(generate_cohorts(10_000, SEED, futures=0))).columns
    difference = largest_difference(cohort)
    rows = [measured(cohort, size) for size in sizes]
    show("features, rows/s (medians of paired runs)", rows)
    window = window_microseconds(cohort)
    print(f"one window of 12 insights: {window:.0f} microseconds")
    print(f"largest relative difference from pandas on {len(cohort)} rows: {difference:.1e}")
    keep("features", {"sizes": rows, "window_microseconds": window, "largest_difference_from_pandas": difference})


def measured(cohort: InsightColumns, size: int) -> dict[str, Any]:
    columns = tiled(cohort, size)
    result = compute_features(columns)
    ways: dict[str, Callable[[], Any]] = {
        "1 thread": lambda: compute_features(columns, threads=1),
        "2 threads": lambda: compute_features(columns, threads=2),
        "2 threads float32": lambda: compute_features(columns, threads=2, dtype=np.float32),
        "streamed": lambda: [compute_features(part, threads=2).shape for part in stream(cohort, size)],
        "copy": result.copy,
    }
    if size <= LARGEST_FOR_PANDAS:
        frame = as_frame(columns)
        ways["pandas"] = lambda: pandas_features(frame)
        ways["pandas, 23 of 25"] = lambda: pandas_features(frame, applied=False)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    speed = {name: round(size / median(taken)) for name, taken in seconds.items()}
    return {
        "rows": size,
        **{name: speed.get(name, "-") for name in (*ways, "pandas", "pandas, 23 of 25")},
        "times pandas": round(speed["2 threads"] / speed["pandas"], 1) if "pandas" in speed else "-",
        "share of copy": round(speed["2 threads"] / speed["copy"], 3),
        "peak MB streamed": peak_megabytes(ways["streamed"]),
        "peak MB whole": peak_megabytes(ways["2 threads"]),
    }


def tiled(cohort: InsightColumns, size: int) -> InsightColumns:
    """The cohort's devices over and over under other names, cut to `size` rows."""
    copies = -(-size // len(cohort))
    arrays = {name: np.tile(getattr(cohort, name), copies)[:size] for name in ARRAY_COLUMNS}
    shift = np.repeat(np.arange(copies, dtype=np.int32) * len(cohort.devices), len(cohort))[:size]
    names = tuple(f"{copy:06d}/{device}" for copy in range(copies) for device in cohort.devices)
    return replace(cohort, **{**arrays, "devices": names, "device": arrays["device"] + shift})


def stream(cohort: InsightColumns, size: int) -> Iterator[InsightColumns]:
    """The same rows, a cohort at a time; each is a fresh copy, as one that was just read would be."""
    for begin in range(0, size, len(cohort)):
        yield cohort.take(np.arange(min(len(cohort), size - begin)))


def peak_megabytes(run: Callable[[], Any]) -> float:
    """The most that numpy holds at once above what was there before."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return round(peak, 1)


def window_microseconds(cohort: InsightColumns) -> float:
    window = list(cohort.take(np.arange(12)).insights())
    taken = []
    for _ in range(WINDOW_REPEATS):
        started = time.perf_counter()
        compute_window(window)
        taken.append(time.perf_counter() - started)
    return round(1e6 * median(taken), 1)


def largest_difference(cohort: InsightColumns) -> float:
    """Between pandas' values and ours, relative to the larger of 1 and ours; AssertionError where one has NaN alone."""
    ours, theirs = compute_features(cohort), pandas_features(as_frame(cohort))
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-6)
    return float(np.nanmax(np.abs(theirs - ours) / np.maximum(1.0, np.abs(ours))))


def as_frame(columns: InsightColumns) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(columns, name) for name in ARRAY_COLUMNS})
    frame["moment"] = pd.to_datetime(frame["time_seconds"], unit="s")
    return frame


def pandas_features(frame: pd.DataFrame, *, applied: bool = True) -> npt.NDArray[np.float64]:
    """The table as one writes it with groupby and rolling; for rows that all have p99 and one interval.

    Two features need a Python function per window; without `applied` they are left out (NaN).
    """
    interval = float(frame["interval_seconds"].iloc[0])
    data = frame.assign(
        total=frame["read_iops"] + frame["write_iops"],
        x=frame["time_seconds"] / interval - frame.groupby("device")["time_seconds"].transform("first") / interval,
        log_latency=np.log(frame["p99_latency_ms"]),
    )
    span = pd.Timedelta(seconds=11.5 * interval)
    rolling = data.groupby("device").rolling(span, on="moment")

    def slope(name: str) -> npt.NDArray[np.float64]:
        data["xy"], data["xx"] = data["x"] * data[name], data["x"] ** 2
        mean = data.groupby("device").rolling(span, on="moment")[["x", "xx", "xy", name]].mean()
        spread = (mean["xx"] - mean["x"] ** 2).to_numpy()
        together = (mean["xy"] - mean["x"] * mean[name]).to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-9, together / spread, 0.0)

    def apply(function: Callable[[npt.NDArray[np.float64]], float]) -> npt.NDArray[np.float64]:
        if not applied:
            return np.full(len(data), np.nan)
        return rolling["p99_latency_ms"].apply(function, raw=True).to_numpy()

    mad = apply(lambda window: np.median(np.abs(window - np.median(window))))
    spikes = apply(lambda window: np.sum(window > 2 * np.median(window)))
    distance = np.abs(data["p99_latency_ms"].to_numpy() - rolling["p99_latency_ms"].median().to_numpy())
    with np.errstate(invalid="ignore", divide="ignore"):
        anomaly = np.where(mad > 0, np.minimum(distance / (1.4826 * mad), 10.0), np.where(distance > 0, 10.0, 0.0))
    alerted = data["time_seconds"].where(data["alert"]).groupby(data["device"]).shift().groupby(data["device"]).ffill()
    age = (data["time_seconds"] - alerted).fillna(LONGEST_ALERT_AGE_SECONDS).clip(upper=LONGEST_ALERT_AGE_SECONDS)
    busy = data["total"].where(data["total"] > 0)
    values = {
        "read_iops": data["read_iops"],
        "write_iops": data["write_iops"],
        "total_iops": data["total"],
        "iops_variance": rolling["total"].var(ddof=0),
        "avg_latency": data["avg_latency_ms"],
        "p95_latency": data["p95_latency_ms"],
        "p99_latency": data["p99_latency_ms"],
        "latency_spike_count": spikes,
        "bandwidth_mbps": data["bandwidth_mbps"],
        "throughput_variance": rolling["bandwidth_mbps"].var(ddof=0),
        "error_rate": data["error_rate"],
        "error_trend": slope("error_rate"),
        "hour_of_day": data["moment"].dt.hour,
        "day_of_week": data["moment"].dt.day_of_week,
        "time_since_last_alert": age,
        "sequential_access_ratio": data["sequential_ratio"],
        "random_access_ratio": 1 - data["sequential_ratio"],
        "queue_depth": data["queue_depth"],
        "io_size_avg": data["io_size_kib"],
        "io_size_variance": rolling["io_size_kib"].var(ddof=0),
        "iops_per_latency": data["total"] / data["avg_latency_ms"].where(data["avg_latency_ms"] > 0),
        "anomaly_score": anomaly,
        "trend_score": slope("log_latency"),
        "capacity_utilization": 100 * data["total"] / data["provisioned_iops"],
        "efficiency_ratio": data["bandwidth_mbps"] / busy,
    }
    return np.column_stack([np.asarray(values[name], np.float64) for name in FEATURE_NAMES])
