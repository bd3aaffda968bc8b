"""A synthetic fleet with physics: queues that fill as devices saturate, and incidents that build up, peak and recover.

Everything is planned in cohorts of 80 devices, each from its own seed, so a fleet of any size streams and is the same
bytes for a seed. The labels are the rule of insights/labels.py on what the simulated device did next; none is drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from insights.columns import InsightColumns
from insights.labels import DEFAULT_SLO_MS, label
from insights.schema import RISK_LEVELS, Insight

Floats = npt.NDArray[np.float64]

START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
INTERVAL_SECONDS: Final = 300.0
ROWS_PER_DEVICE: Final = 125
DEVICES_PER_COHORT: Final = 80
HORIZON_MARGIN: Final = 6
"""Rows simulated past the last one kept, so that its label has a future too."""
TAIL: Final = math.log(100)
"""p99 over mean of an exponential response time, the M/M/1 queue's: P(T > t) = exp(-t / mean)."""
TAIL_95: Final = math.log(20)
CALM: Final = 0.42
"""p99 over SLO of a calm device at mean load; with the diurnal swing and the noise it stays below 1."""


class DeviceClass(NamedTuple):
    name: str
    share: float
    iops: float
    """Operations per second that the device completes when saturated."""
    provisioned: bool


CLASSES: Final = (
    DeviceClass("nvme", 0.30, 60_000, provisioned=False),
    DeviceClass("ssd-burst", 0.30, 3_000, provisioned=True),
    DeviceClass("provisioned", 0.25, 8_000, provisioned=True),
    DeviceClass("hdd", 0.15, 180, provisioned=False),
)


class Workload(NamedTuple):
    name: str
    io_size_kib: float
    sequential: float
    reads: float
    swing: float
    """Standard deviation of the load's logarithm from row to row."""


WORKLOADS: Final = (
    Workload("sequential", 128, 0.92, 0.65, 0.03),
    Workload("random", 8, 0.06, 0.70, 0.04),
    Workload("mixed", 32, 0.45, 0.55, 0.05),
    Workload("burst", 16, 0.25, 0.60, 0.12),
)


class Kind(NamedTuple):
    """An incident: its share of a cohort's rows, lengths in rows, and the p99 over SLO that its peak reaches."""

    name: str
    share: float
    rows: tuple[int, int]
    build_up: tuple[int, int]
    recovery: tuple[int, int]
    peak: tuple[float, float]
    load: float
    """Factor on the completed operations at the peak."""
    errors: float = 0.0


# Shares are of all rows; a build-up's first half and a recovery's second half are not yet, or no more, at the level.
KINDS: Final = (
    Kind("failing media", 0.050, (36, 48), (14, 18), (8, 11), (2.6, 3.6), 0.80, errors=0.035),
    Kind("saturation", 0.018, (36, 48), (14, 18), (8, 11), (6.0, 9.0), 0.70),
    Kind("noisy neighbour", 0.092, (46, 72), (14, 18), (8, 11), (1.9, 2.9), 0.85),
    Kind("burst credits spent", 0.05, (46, 72), (14, 18), (8, 11), (2.0, 3.0), 0.55),
    Kind("provisioned cap hit", 0.05, (46, 72), (14, 18), (8, 11), (2.0, 3.0), 1.25),
    Kind("checkpoints", 0.335, (90, 190), (10, 14), (8, 12), (1.4, 1.65), 1.05),
)
CHECKPOINT_PERIODS: Final = (3, 4, 5)
CALM_ROWS_BETWEEN: Final = 6
UNRECORDED_SHARE: Final = 0.20
BLIP_PROBABILITY: Final = 0.0012
"""A row that breaches out of nothing: what nobody could have foreseen."""
NOISE: Final = 0.07
ANOMALY_DEPTH: Final = 0.3
"""How far an incident must have come before the source flags it."""
ALERT_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Incident:
    kind: Kind
    start: int
    rows: int


def generate(records: int = 10_000, seed: int = 7) -> Iterator[Insight]:
    """`records` insights by device and time, labelled where their outcome was recorded; the same for a seed."""
    if records < 1:
        raise ValueError(f"records is {records}; it must be at least 1")
    devices = math.ceil(records / ROWS_PER_DEVICE)
    left = records
    for first in range(0, devices, DEVICES_PER_COHORT):
        numbers = range(first, min(first + DEVICES_PER_COHORT, devices))
        for rows in _cohort(numbers, seed):
            yield from rows[:left]
            left -= min(left, len(rows))


def statistics(insights: Sequence[Insight]) -> dict[str, Any]:
    """training-stats.json: counts and shares of what was generated."""
    labelled = [insight.risk_level for insight in insights if insight.risk_level is not None]
    levels = Counter(labelled)
    return {
        "records": len(insights),
        "devices": len({insight.device_id for insight in insights}),
        "labelled_share": len(labelled) / len(insights),
        "anomaly_share": sum(insight.is_anomaly is True for insight in insights) / len(insights),
        "risk_shares": {level: levels[level] / max(1, len(labelled)) for level in RISK_LEVELS},
        "device_classes": dict(sorted(Counter(str(insight.device_class) for insight in insights).items())),
        "workload_types": dict(sorted(Counter(str(insight.workload_type) for insight in insights).items())),
    }


def _cohort(numbers: range, seed: int) -> Iterator[list[Insight]]:
    """The labelled rows of each device of a cohort."""
    random = np.random.default_rng([seed, numbers.start])
    plans = _plan(len(numbers), random)
    unrecorded = _unrecorded(len(numbers), random)
    for number, incidents, hidden in zip(numbers, plans, unrecorded, strict=True):
        device = _Device(f"synthetic-{seed}-{number:04d}", number, np.random.default_rng([seed, numbers.start, number]))
        yield _labelled(device.insights(incidents), hidden)


def _plan(devices: int, random: np.random.Generator) -> list[list[Incident]]:
    """Incidents per device: each kind's share of the cohort's rows, longest first, each where there is most room."""
    plans: list[list[Incident]] = [[] for _ in range(devices)]
    for kind in KINDS:
        budget = kind.share * devices * ROWS_PER_DEVICE
        while budget >= kind.rows[0] / 2:
            rows = int(random.integers(kind.rows[0], kind.rows[1] + 1))
            if not _place(plans, kind, rows, random):
                break
            budget -= min(rows, ROWS_PER_DEVICE)
    return plans


def _place(plans: list[list[Incident]], kind: Kind, rows: int, random: np.random.Generator) -> bool:
    for device in random.permutation(len(plans)).tolist():
        starts = [start for start in _starts(rows) if _is_free(plans[device], start, rows)]
        if starts:
            plans[device].append(Incident(kind, int(random.choice(starts)), rows))
            return True
    return False


def _starts(rows: int) -> range:
    """An incident may have begun before the first row or end after the last; a long one covers every row."""
    if rows >= ROWS_PER_DEVICE:
        return range(ROWS_PER_DEVICE - rows, 1)
    return range(-rows // 2, ROWS_PER_DEVICE - rows // 2)


def _is_free(incidents: Sequence[Incident], start: int, rows: int) -> bool:
    gap = CALM_ROWS_BETWEEN
    return all(start >= other.start + other.rows + gap or start + rows + gap <= other.start for other in incidents)


def _unrecorded(devices: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Per device the stretch of rows whose outcome nobody recorded, a fifth of all rows together."""
    shares = random.uniform(0.05, 0.35, devices)
    shares *= UNRECORDED_SHARE / shares.mean()
    lengths = np.round(shares * ROWS_PER_DEVICE).astype(int)
    starts = [int(random.integers(0, ROWS_PER_DEVICE - length + 1)) for length in lengths]
    return [(start, start + int(length)) for start, length in zip(starts, lengths, strict=True)]


class _Device:
    """One device's physics. Utilisation follows from p99 = TAIL x service / (1 - utilisation), the M/M/1 response time."""

    def __init__(self, device_id: str, number: int, random: np.random.Generator) -> None:
        self.device_id = device_id
        self.random = random
        self.device_class = CLASSES[_pick([c.share for c in CLASSES], number)]
        self.workload = WORKLOADS[int(random.integers(len(WORKLOADS)))]
        self.slo = DEFAULT_SLO_MS[self.device_class.name]
        self.size = float(random.uniform(0.75, 1.25))
        self.calm = CALM * float(random.uniform(0.9, 1.1))
        self.phase = float(random.uniform(-2, 2))

    def insights(self, incidents: Sequence[Incident]) -> list[Insight]:
        """ROWS_PER_DEVICE + HORIZON_MARGIN rows without labels."""
        count = ROWS_PER_DEVICE + HORIZON_MARGIN
        load = self._diurnal(count)
        ratio, factor, errors, anomalous = self._hidden(incidents, count, load)
        p99 = ratio * self.slo * np.exp(self.random.normal(0, NOISE, count))
        average = p99 / TAIL * np.exp(self.random.normal(0, 0.04, count))
        p95 = np.minimum(average * TAIL_95 * np.exp(self.random.normal(0, 0.03, count)), p99)
        jitter = np.exp(self.random.normal(0, self.workload.swing, count))
        total = 0.5 * self.device_class.iops * self.size * load * factor * jitter
        total = np.minimum(total, 1.02 * self._limit())
        reads = np.clip(self.random.normal(self.workload.reads, 0.03, count), 0.05, 0.95)
        sizes = self.workload.io_size_kib * np.exp(self.random.normal(0, 0.06, count))
        sequential = np.clip(self.random.normal(self.workload.sequential, 0.03, count), 0, 1)
        columns = np.round(np.column_stack([total * reads, total * (1 - reads)]), 2)
        return [
            self._insight(i, *columns[i].tolist(), round(float(average[i]), 4), round(float(p95[i]), 4),
                          round(float(p99[i]), 4), round(float(sizes[i]), 2), round(float(sequential[i]), 3),
                          round(float(errors[i]), 6), bool(anomalous[i]))
            for i in range(count)
        ]  # fmt: skip

    def _limit(self) -> float:
        """What a provisioned device may complete; others complete what they can."""
        return 0.8 * self.device_class.iops * self.size if self.device_class.provisioned else math.inf

    def _diurnal(self, count: int) -> Floats:
        """Load over its mean: a peak in the afternoon, quieter at the weekend."""
        hours = np.arange(count) * INTERVAL_SECONDS / 3600 + START.hour
        weekend = np.where((hours // 24) % 7 >= 5, 0.75, 1.0)
        swing: Floats = (1 + 0.25 * np.sin(2 * np.pi * (hours - 9 + self.phase) / 24)) * weekend
        return swing

    def _hidden(
        self, incidents: Sequence[Incident], count: int, load: Floats
    ) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
        """The hidden state: p99 over SLO before noise, factor on completed operations, error rate, in an incident."""
        ratio = self.calm * (1 + 0.6 * (load - 1))
        factor, anomalous = np.ones(count), np.zeros(count, np.bool_)
        errors = np.abs(self.random.normal(0, 2e-5, count))
        blips = self.random.random(count) < BLIP_PROBABILITY
        ratio[blips] = self.random.uniform(1.3, 1.8, int(blips.sum()))
        for incident in incidents:
            kind = incident.kind
            rows = np.arange(max(0, incident.start), min(count, incident.start + incident.rows))
            peak = float(self.random.uniform(*kind.peak))
            if kind.name == "checkpoints":
                period = CHECKPOINT_PERIODS[int(self.random.integers(len(CHECKPOINT_PERIODS)))]
                rows = rows[(rows - incident.start) % period == 0]
            depth = self._course(incident, rows)
            ratio[rows] = ratio[rows] ** (1 - depth) * peak**depth
            factor[rows] = 1 + (kind.load - 1) * depth
            errors[rows] += kind.errors * depth**2
            anomalous[rows] = (kind.name != "checkpoints") & (depth > ANOMALY_DEPTH)
        return ratio, factor, errors, anomalous

    def _course(self, incident: Incident, rows: npt.NDArray[np.int64]) -> Floats:
        """0 outside, 1 at the peak: straight lines up and down, in the logarithm of the latency."""
        up = float(self.random.integers(incident.kind.build_up[0], incident.kind.build_up[1] + 1))
        down = float(self.random.integers(incident.kind.recovery[0], incident.kind.recovery[1] + 1))
        since, until = rows - incident.start + 1, incident.start + incident.rows - rows
        course: Floats = np.clip(np.minimum(since / up, until / down), 0, 1)
        return course

    def _insight(
        self,
        row: int,
        reads: float,
        writes: float,
        average: float,
        p95: float,
        p99: float,
        size: float,
        sequential: float,
        errors: float,
        anomalous: bool,
    ) -> Insight:
        """Little's law (queue = throughput x response time) and bandwidth = operations x size hold to the last bit."""
        total = reads + writes
        return Insight(
            device_id=self.device_id,
            timestamp=START + timedelta(seconds=(row + 1) * INTERVAL_SECONDS),
            interval_seconds=INTERVAL_SECONDS,
            read_iops=reads,
            write_iops=writes,
            avg_latency_ms=average,
            p95_latency_ms=p95,
            p99_latency_ms=p99,
            bandwidth_mbps=total * size * 1024 / 1e6,
            error_rate=errors,
            queue_depth=total * average / 1000,
            io_size_kib=size,
            sequential_ratio=sequential,
            provisioned_iops=self._limit() if self.device_class.provisioned else None,
            latency_slo_ms=self.slo,
            device_class=self.device_class.name,
            workload_type=self.workload.name,
            alert=p99 > ALERT_RATIO * self.slo,
            is_anomaly=anomalous,
        )


def _labelled(insights: Sequence[Insight], hidden: tuple[int, int]) -> list[Insight]:
    """The rows that are kept, with what happened next except in the stretch that nobody recorded."""
    from dataclasses import replace

    labels = label(InsightColumns.from_insights(insights))
    kept = insights[:ROWS_PER_DEVICE]
    return [
        insight
        if hidden[0] <= row < hidden[1]
        else replace(
            insight,
            risk_level=RISK_LEVELS[int(labels.risk[row])],
            performance_score=round(float(labels.score[row]), 3),
            label_source="auto",
        )
        for row, insight in enumerate(kept)
    ]


def _pick(shares: Sequence[float], number: int) -> int:
    """A low-discrepancy choice by the device's number (golden ratio), so that small fleets have every class too."""
    place = (number * 0.6180339887498949) % 1
    return int(np.searchsorted(np.cumsum(shares), place, side="right"))
