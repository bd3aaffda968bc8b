"""One synthetic device: queues that fill as it saturates, incidents that take it from calm to their peak and back.

Calm, p99 follows the load as an M/M/1 queue's does, service / (1 - utilisation); an incident moves it, in the logarithm,
towards its peak. Queue depth follows by Little's law, bandwidth from operations x size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.columns import Bools, Floats
from insights.fleet_plan import WORKLOADS, Course, DeviceClass, Workload, class_of
from insights.label_rule import DEFAULT_SLO_MS

INTERVAL_SECONDS: Final = 300.0
ROWS_PER_WEEK: Final = 2016
"""Each device's history starts somewhere in one week, so that every hour and day occurs."""
TAIL: Final = math.log(100)
"""p99 over mean of an exponential response time, the M/M/1 queue's: P(T > t) = exp(-t / mean)."""
TAIL_95: Final = math.log(20)
CALM: Final = 0.38
"""p99 over SLO of a calm device at mean load; with the diurnal swing and the noise it stays below 1."""
MEAN_UTILISATION: Final = 0.4
HIGHEST_UTILISATION: Final = 0.75
"""Of a calm device: its owner would have moved load away above it."""
BLIP_PROBABILITY: Final = 0.0012
BLIP: Final = (1.3, 1.8)
"""A row that breaches out of nothing: what nobody could have foreseen."""
BLIND_SHARE: Final = 0.1
"""Devices whose source does not know how sequential the access is."""
NOISE: Final = 0.07
AVERAGE_NOISE: Final = 0.04
ERROR_NOISE: Final = 2e-5
ANOMALY_DEPTH: Final = 0.35
"""How far an incident must have come before the source flags it."""
ALERT_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Device:
    """What stays with a device: its class, size over the class's, calm p99 over SLO, and how its load goes."""

    number: int
    device_class: DeviceClass
    workload: Workload
    size: float
    calm: float
    phase: float
    is_blind: bool
    start: int

    @classmethod
    def drawn(cls, number: int, random: np.random.Generator) -> Device:
        return cls(
            number=number,
            device_class=class_of(number),
            workload=WORKLOADS[int(random.integers(len(WORKLOADS)))],
            size=float(random.uniform(0.75, 1.25)),
            calm=CALM * float(random.uniform(0.9, 1.1)),
            phase=float(random.uniform(-2, 2)),
            is_blind=bool(random.random() < BLIND_SHARE),
            start=int(random.integers(ROWS_PER_WEEK)),
        )

    @property
    def slo_ms(self) -> float:
        return DEFAULT_SLO_MS[self.device_class.name]

    @property
    def limit_iops(self) -> float:
        """What a provisioned device may complete; others complete what they can."""
        limit = round(0.6 * self.device_class.iops * self.size)
        return float(limit) if self.device_class.provisioned else math.inf

    def load(self, count: int) -> Floats:
        """Expected utilisation per row: a peak in the afternoon, quieter at the weekend."""
        hours = (self.start + np.arange(count)) * INTERVAL_SECONDS / 3600
        weekend = np.where((hours // 24) % 7 >= 5, 0.75, 1.0)
        expected: Floats = MEAN_UTILISATION * (1 + 0.25 * np.sin(2 * np.pi * (hours - 9 + self.phase) / 24)) * weekend
        return expected


_Draws = Iterator[np.random.Generator]


def _streams(seed: Sequence[int]) -> _Draws:
    return (np.random.default_rng([*seed, number]) for number in itertools.count())


def depth_of(course: Course, rows: npt.NDArray[np.int64]) -> Floats:
    """0 outside, 1 at the peak: straight lines up and down, in the logarithm of the latency."""
    start, end = course.incident.start, course.incident.start + course.incident.rows
    depth: Floats = np.clip(np.minimum((rows - start + 1) / course.build_up, (end - rows) / course.recovery), 0, 1)
    return depth


def hidden_state(
    device: Device, courses: Sequence[Course], utilisation: Floats, draws: _Draws
) -> tuple[Floats, Floats, Floats, Bools]:
    """Per row, before noise: p99 over SLO, factor on completed operations, error rate, whether the source flags it."""
    count = len(utilisation)
    ratio = device.calm * (1 - MEAN_UTILISATION) / (1 - utilisation)
    factor, anomalous = np.ones(count), np.zeros(count, np.bool_)
    errors = np.abs(next(draws).normal(0, ERROR_NOISE, count))
    blips = next(draws).random(count) < BLIP_PROBABILITY
    ratio[blips] = next(draws).uniform(*BLIP, int(blips.sum()))
    for course in courses:
        incident, kind = course.incident, course.incident.kind
        rows = np.arange(max(0, incident.start), min(count, incident.start + incident.rows))
        rows = rows[(rows - incident.start) % course.period == 0]
        depth = depth_of(course, rows)
        ratio[rows] = ratio[rows] ** (1 - depth) * course.peak**depth
        factor[rows] = 1 + (kind.load - 1) * depth
        errors[rows] += kind.errors * depth**2
        anomalous[rows] = (not kind.is_periodic) & (depth > ANOMALY_DEPTH)
    return ratio, factor, errors, anomalous


def telemetry(
    device: Device, courses: Sequence[Course], count: int, seed: Sequence[int]
) -> dict[str, npt.NDArray[Any]]:
    """`count` rows as a collector without faults writes them: a column per measured field of the insight.

    Each column draws from a stream of its own, so that more rows change none of the first.
    """
    draws = _streams(seed)
    swing = np.exp(next(draws).normal(0, device.workload.swing, count))
    utilisation = np.minimum(device.load(count) * swing, HIGHEST_UTILISATION)
    ratio, factor, errors, anomalous = hidden_state(device, courses, utilisation, draws)
    p99 = ratio * device.slo_ms * np.exp(next(draws).normal(0, NOISE, count))
    average = p99 / TAIL * np.exp(next(draws).normal(0, AVERAGE_NOISE, count))
    p95 = np.minimum(average * TAIL_95 * np.exp(next(draws).normal(0, 0.03, count)), p99)
    total = np.minimum(device.device_class.iops * device.size * utilisation * factor, 1.02 * device.limit_iops)
    reads = np.clip(next(draws).normal(device.workload.reads, 0.03, count), 0.05, 0.95)
    sizes = np.round(device.workload.io_size_kib * np.exp(next(draws).normal(0, 0.06, count)), 2)
    sequential = np.clip(next(draws).normal(device.workload.sequential, 0.03, count), 0, 1)
    read_iops, write_iops, average = np.round(total * reads, 2), np.round(total * (1 - reads), 2), np.round(average, 4)
    completed, p99 = read_iops + write_iops, np.round(p99, 4)
    return {
        "read_iops": read_iops,
        "write_iops": write_iops,
        "avg_latency_ms": average,
        "p95_latency_ms": np.round(p95, 4),
        "p99_latency_ms": p99,
        "bandwidth_mbps": completed * sizes * 1024 / 1e6,
        "error_rate": np.round(errors, 6),
        "queue_depth": completed * average / 1000,
        "io_size_kib": sizes,
        "sequential_ratio": np.full(count, np.nan) if device.is_blind else np.round(sequential, 3),
        "alert": p99 > ALERT_RATIO * device.slo_ms,
        "is_anomaly": anomalous.astype(np.int8),
    }
