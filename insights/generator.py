"""A synthetic fleet of any size: planned in cohorts of about 156 devices, each from its own seed, so that it streams.

The labels are the rule of insights/labels.py on what the simulated device did next; none is drawn. What the collector
loses or blurs comes after the physics, from a seed of its own: the same fleet, seen worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.columns import InsightColumns
from insights.fleet_physics import INTERVAL_SECONDS, Device, telemetry
from insights.fleet_plan import CLASSES, ROWS_PER_DEVICE, Course, Incident, course_of, plan, unrecorded_rows
from insights.label_rule import UNLABELLED
from insights.labels import SOURCE_AUTO, SOURCE_NONE, label
from insights.oracle import FUTURES, Foretold, HiddenState, foretell
from insights.schema import WORKLOAD_TYPES, Insight

START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
DEVICES_PER_COHORT: Final = 156
HORIZON_MARGIN: Final = 6
"""Rows simulated past the last one kept, so that its label has a future too."""
OUTAGE_ROWS: Final = (3, 24)
NULLABLE: Final = ("avg_latency_ms", "p95_latency_ms", "p99_latency_ms", "error_rate", "queue_depth", "io_size_kib")
SKEW_JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Collector:
    """How telemetry is lost and blurred on its way; the defaults are a good collector's, REALISTIC an ordinary one's.

    Shares are of rows: `lost` single rows, `outages` stretches of 3 to 24; `nulls` of the cells that may be null.
    `skew_seconds`: each device's clock is off by a constant up to it, and every stamp by a tenth of that.
    """

    lost: float = 0.005
    outages: float = 0.0
    nulls: float = 0.0
    skew_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lost", "outages", "nulls"):
            share = getattr(self, name)
            if not 0 <= share <= 0.5:
                raise ValueError(f"collector share {name} is {share}; give 0 to 0.5")
        if not 0 <= self.skew_seconds < INTERVAL_SECONDS / 2:
            raise ValueError(f"skew_seconds is {self.skew_seconds}; give 0 to below half an interval")


GOOD: Final = Collector()
REALISTIC: Final = Collector(lost=0.005, outages=0.01, nulls=0.02, skew_seconds=2.0)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Some devices' labelled rows, and what the oracle foretold of them (nothing where it was not asked)."""

    columns: InsightColumns
    foretold: Foretold


def generate(records: int = 10_000, seed: int = 7, *, collector: Collector = GOOD) -> Iterator[Insight]:
    """`records` insights by device and time, labelled where their outcome was recorded; the same for a seed."""
    for cohort in generate_cohorts(records, seed, collector=collector, futures=0):
        yield from cohort.columns.insights()


def generate_cohorts(
    records: int = 10_000, seed: int = 7, *, collector: Collector = GOOD, futures: int = FUTURES
) -> Iterator[Cohort]:
    """The same as columns, a cohort at a time; `futures` simulated for each row give the oracle (0: none)."""
    if records < 1 or seed < 0 or futures < 0:
        raise ValueError(f"records is {records}, seed {seed}, futures {futures}; at least 1, 0 and 0 are needed")
    left, first = records, 0
    while left > 0:
        wanted = math.ceil(left / ROWS_PER_DEVICE)
        cohorts = max(1, round(wanted / DEVICES_PER_COHORT))
        numbers = range(first, first + math.ceil(wanted / cohorts))
        cohort = _cohort(numbers, seed, collector, futures)
        if len(cohort.columns) > left:
            kept = np.arange(left)
            cohort = Cohort(cohort.columns.take(kept).compact(), cohort.foretold.take(kept))
        yield cohort
        left -= len(cohort.columns)
        first = numbers.stop


def _cohort(numbers: range, seed: int, collector: Collector, futures: int) -> Cohort:
    random = np.random.default_rng([seed, numbers.start])
    plans = plan(numbers, random)
    hidden = unrecorded_rows(len(numbers), random)
    seen = [_seen(number, incidents, seed, collector) for number, incidents in zip(numbers, plans, strict=True)]
    columns = _columns([one.columns for one in seen], seed)
    labels = label(columns)
    place = np.concatenate([np.arange(len(one.rows)) for one in seen])
    unrecorded = place < np.repeat(hidden, [len(one.rows) for one in seen])
    known = ~unrecorded & (labels.risk >= 0)
    labelled = replace(
        columns,
        risk=np.where(known, labels.risk, UNLABELLED).astype(np.int8),
        score=np.where(known, np.round(labels.score, 3), np.nan),
        label_source=np.where(known, SOURCE_AUTO, SOURCE_NONE).astype(np.int8),
    )
    kept = np.flatnonzero(place < ROWS_PER_DEVICE)
    rows = labelled.take(kept)
    foretold = Foretold.nothing()
    if futures:
        state = HiddenState.concatenate([one.state.take(one.rows) for one in seen]).take(kept)
        foretold = foretell(rows, state, futures=futures, lost=collector.lost, seed=[seed, numbers.start])
    return Cohort(rows, foretold)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One device as its collector saw it: the rows that arrived (places in its history) and their columns."""

    rows: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[Any]]
    state: HiddenState


def _seen(number: int, incidents: Sequence[Incident], seed: int, collector: Collector) -> _Seen:
    random = np.random.default_rng([seed, number, 1])
    device = Device.drawn(number, random)
    courses: list[Course] = [course_of(incident, random) for incident in incidents]
    needed = ROWS_PER_DEVICE + HORIZON_MARGIN
    count = math.ceil(needed / (1 - collector.lost - collector.outages)) + OUTAGE_ROWS[1]
    measured = telemetry(device, courses, count, [seed, number, 2])
    faults = np.random.default_rng([seed, number, 3])
    rows = np.flatnonzero(_arrived(collector, count, faults))[:needed]
    state = HiddenState.of(device, courses, count)
    seconds = START.timestamp() + (device.start + np.arange(count) + 1) * INTERVAL_SECONDS
    if collector.skew_seconds:
        offset = faults.uniform(-collector.skew_seconds, collector.skew_seconds)
        jitter = faults.normal(0, SKEW_JITTER * collector.skew_seconds, count)
        seconds = np.round(seconds + offset + np.clip(jitter, -INTERVAL_SECONDS / 4, INTERVAL_SECONDS / 4), 3)
    for name in NULLABLE if collector.nulls else ():
        measured[name] = np.where(faults.random(count) < collector.nulls, np.nan, measured[name])
    columns: dict[str, npt.NDArray[Any]] = {
        **measured,
        "device": np.full(count, number),
        "time_seconds": seconds,
        "provisioned_iops": np.full(count, device.limit_iops if device.device_class.provisioned else np.nan),
        "latency_slo_ms": np.full(count, device.slo_ms),
        "device_class": np.full(count, _CLASS_NAMES.index(device.device_class.name), np.int32),
        "workload_type": np.full(count, WORKLOAD_TYPES.index(device.workload.name), np.int8),
    }
    return _Seen(rows, {name: values[rows] for name, values in columns.items()}, state)


_CLASS_NAMES: Final = tuple(sorted(c.name for c in CLASSES))


def _arrived(collector: Collector, count: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    arrived = random.random(count) >= collector.lost
    rate = collector.outages / (sum(OUTAGE_ROWS) / 2)
    for start in np.flatnonzero(random.random(count) < rate).tolist():
        arrived[start : start + int(random.integers(OUTAGE_ROWS[0], OUTAGE_ROWS[1] + 1))] = False
    return arrived


def _columns(parts: Sequence[dict[str, npt.NDArray[Any]]], seed: int) -> InsightColumns:
    """Columns of devices in ascending order of number, which is that of their ids (six digits)."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(whole["device"])
    numbers, device = np.unique(whole.pop("device"), return_inverse=True)
    whole["interval_seconds"] = np.full(count, INTERVAL_SECONDS)
    return InsightColumns(
        devices=tuple(f"synthetic-{seed}-{number:06d}" for number in numbers.tolist()),
        device_classes=_CLASS_NAMES,
        device=device.astype(np.int32),
        risk=np.full(count, UNLABELLED, np.int8),
        score=np.full(count, np.nan),
        label_source=np.full(count, SOURCE_NONE, np.int8),
        **whole,
    )
