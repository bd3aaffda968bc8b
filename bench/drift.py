"""How often does an unchanged fleet raise a drift alarm, and which shifts are found within one period?

TRAININGS models of each kind (20), each on a 10,000-record fleet of its own, watch PERIODS (200) periods of other devices of
the same population: an alarm is a drift found by either model. Then shifts planted into PLANTED (20) periods each.
One day's traffic is what 20% capture keeps of 60 devices with full windows on one day of the week.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.material.fleets import fleet, splits_of
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from insights.columns import InsightColumns
from insights.drift import FALSE_ALARM_RATE, MODELS, compare
from insights.drift_baseline import Baseline
from insights.feature_table import WINDOW_ROWS
from insights.features import compute_features
from insights.fleet_plan import ROWS_PER_DEVICE
from insights.generator import generate_cohorts
from training_container.baseline_file import read_baseline, said
from training_container.predictor import Predictor

TRAINED, KINDS = 10_000, ("risk", "performance")
DEVICES, CAPTURED = 60, 0.2
POOL_SEED, SECONDS_PER_DAY, FIRST_DAY = 90_001, 86_400, 4  # 1970 began on a Thursday

Columns = Callable[[InsightColumns, np.random.Generator], InsightColumns]
Choice = Callable[[InsightColumns, npt.NDArray[Any]], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Watched:
    predictor: Predictor
    baseline: Baseline


@dataclass(frozen=True)
class Shift:
    """What is planted: a change of the insights, or of how often a device is among those asked about."""

    name: str
    change: Columns = lambda columns, random: columns
    weight: Choice = lambda columns, devices: np.ones(len(devices))


def scaled(factor: float, *names: str, share: float = 1.0) -> Columns:
    def change(columns: InsightColumns, random: np.random.Generator) -> InsightColumns:
        hit = (random.random(len(columns.devices)) < share)[columns.device]
        changed: dict[str, Any] = {name: getattr(columns, name) * np.where(hit, factor, 1.0) for name in names}
        return replace(columns, **changed)

    return change


def nulled(share: float, *names: str) -> Columns:
    def change(columns: InsightColumns, random: np.random.Generator) -> InsightColumns:
        lost = random.random(len(columns)) < share
        changed: dict[str, Any] = {name: np.where(lost, np.nan, getattr(columns, name)) for name in names}
        return replace(columns, **changed)

    return change


def more_of(field: str, code: int, times: float) -> Choice:
    def weight(columns: InsightColumns, devices: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        first = np.searchsorted(columns.device, devices)
        return np.where(getattr(columns, field)[first] == code, times, 1.0)

    return weight


LATENCIES = ("avg_latency_ms", "p95_latency_ms", "p99_latency_ms")
HDD, RANDOM = 0, 1  # codes of the generator's device classes (sorted) and of WORKLOAD_TYPES
SHIFTS = (
    Shift("latency x 1.2", scaled(1.2, *LATENCIES)),
    Shift("latency x 1.5", scaled(1.5, *LATENCIES)),
    Shift("latency x 2", scaled(2.0, *LATENCIES)),
    Shift("queue depth x 2", scaled(2.0, "queue_depth")),
    Shift("queue depth x 4", scaled(4.0, "queue_depth")),
    Shift("percentiles missing in 20% of rows", nulled(0.2, "p95_latency_ms", "p99_latency_ms")),
    Shift("percentiles missing in 50% of rows", nulled(0.5, "p95_latency_ms", "p99_latency_ms")),
    Shift("random workloads 4 times as common", weight=more_of("workload_type", RANDOM, 4.0)),
    Shift("random workloads only", weight=more_of("workload_type", RANDOM, 1e9)),
    Shift("hdd 4 times as common", weight=more_of("device_class", HDD, 4.0)),
    Shift("hdd 12 times as common", weight=more_of("device_class", HDD, 12.0)),
    Shift("avg_latency in us, 30% of devices", scaled(1_000.0, "avg_latency_ms", share=0.3)),
    Shift("avg_latency in us", scaled(1_000.0, "avg_latency_ms")),
    Shift("bandwidth in MiB/s", scaled(1e6 / 1024**2, "bandwidth_mbps")),
)


def main() -> None:
    trainings, periods, planted = (
        int(os.environ.get(name, default))
        for name, default in (("TRAININGS", "20"), ("PERIODS", "200"), ("PLANTED", "20"))
    )
    with tempfile.TemporaryDirectory() as folder, silent():
        watched = [models(seed, Path(folder) / str(seed)) for seed in range(1, trainings + 1)]
        pool = days(periods * DEVICES)
    random = np.random.default_rng(POOL_SEED)
    undrifted = {
        traffic.__name__.replace("_", " "): alarms(
            watched, pool, periods if traffic is one_day else periods // 2, traffic, random
        )
        for traffic in (one_day, one_row_a_device, every_row)
    }
    show(f"Undrifted periods; the stated rate is {FALSE_ALARM_RATE:.1%} a period", list(undrifted_rows(undrifted)))
    found = {shift.name: alarms(watched, pool, planted, one_day, random, shift) for shift in SHIFTS}
    show(f"Shifts found within one period, by either of {MODELS} models", list(planted_rows(found)))
    keep(
        "drift",
        {
            "stated_false_alarm_rate": FALSE_ALARM_RATE,
            "devices_a_period": DEVICES,
            "trainings": trainings,
            "undrifted": {name: figures(one) for name, one in undrifted.items()},
            "planted": {name: figures(one) for name, one in found.items()},
        },
    )


def models(seed: int, folder: Path) -> dict[str, Watched]:
    """Of the defaults, without tuning; a baseline is the same for any model of the fleet but for its answers."""
    splits, made = splits_of(fleet(TRAINED, seed)), {}
    for kind in KINDS:
        of_kind = {name: rows.labelled(kind) for name, rows in splits.items()}
        predictor = tuned(kind, of_kind, trials=1).written(of_kind, folder / kind)
        made[kind] = Watched(predictor, read_baseline(folder / kind))
    return made


def days(devices: int) -> list[InsightColumns]:
    """An endless fleet's devices by the day of the week on which their history begins, rows with full windows last."""
    parts: list[list[InsightColumns]] = [[] for _ in range(7)]
    for cohort in generate_cohorts(devices * ROWS_PER_DEVICE, POOL_SEED, futures=0):
        columns = cohort.columns
        first = columns.time_seconds[np.searchsorted(columns.device, np.arange(len(columns.devices)))]
        day = (first // SECONDS_PER_DAY + FIRST_DAY - 1) % 7
        for number in range(7):
            parts[number].append(columns.take(day[columns.device] == number).compact())
    return [InsightColumns.concatenate(part) for part in parts]


def one_day(place: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = (place >= WINDOW_ROWS - 1) & (random.random(len(place)) < CAPTURED)
    return kept


def one_row_a_device(place: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = place == int(random.integers(WINDOW_ROWS - 1, ROWS_PER_DEVICE - 1))
    return kept


def every_row(place: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = place >= WINDOW_ROWS - 1
    return kept


def alarms(
    watched: Sequence[Mapping[str, Watched]],
    pool: Sequence[InsightColumns],
    periods: int,
    traffic: Callable[[npt.NDArray[Any], np.random.Generator], npt.NDArray[np.bool_]],
    random: np.random.Generator,
    shift: Shift = Shift("none"),
) -> list[list[str]]:
    """What each period's alarm was about, by either model; empty: none."""
    found = []
    for period in range(periods):
        columns = pool[period % len(pool)]
        devices = np.arange(len(columns.devices))
        weight = shift.weight(columns, devices)
        chosen = random.choice(devices, DEVICES, replace=False, p=weight / weight.sum())
        columns = shift.change(columns.take(np.isin(columns.device, chosen)).compact(), random)
        place = np.arange(len(columns)) - np.searchsorted(columns.device, columns.device)
        kept = traffic(place, random)
        X, units = compute_features(columns, dtype=np.float32)[kept], columns.device[kept]
        drifted: set[str] = set()
        for model in watched[period % len(watched)].values():
            coded = model.baseline.coded(X, units, said(model.predictor, X))
            drifted |= {column.name for column in compare(model.baseline, coded).drifted}
        found.append(sorted(drifted))
    return found


def figures(found: Sequence[Sequence[str]]) -> dict[str, Any]:
    count = sum(map(bool, found))
    ends = stats.binomtest(count, len(found)).proportion_ci(0.95)
    named = Counter(name for names in found for name in names)
    return {
        "periods": len(found),
        "alarms": count,
        "rate": count / len(found),
        "lower": float(ends.low),
        "upper": float(ends.high),
        "features": dict(named.most_common()),
        "in_periods": [number for number, names in enumerate(found) if names],
    }


def undrifted_rows(found: Mapping[str, Sequence[Sequence[str]]]) -> Iterator[dict[str, Any]]:
    for name, one in found.items():
        told = figures(one)
        yield {
            "traffic": name,
            "periods": told["periods"],
            "false alarms": told["alarms"],
            "rate": f"{told['rate']:.1%}",
            "95% interval": f"{told['lower']:.1%} to {told['upper']:.1%}",
            "about": ", ".join(told["features"]) or "-",
        }


def planted_rows(found: Mapping[str, Sequence[Sequence[str]]]) -> Iterator[dict[str, Any]]:
    for name, one in found.items():
        told = figures(one)
        yield {
            "planted": name,
            "found": f"{told['alarms']} of {told['periods']}",
            "95% interval": f"{told['lower']:.0%} to {told['upper']:.0%}",
            "most often in": ", ".join(list(told["features"])[:4]) or "-",
        }
