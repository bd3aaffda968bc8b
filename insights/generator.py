"""A synthetic fleet with physics: queues that fill as devices saturate, and incidents that build up, peak and recover.

Everything is planned in cohorts of 80 devices, each from its own seed, so a fleet of any size streams and is the same
bytes for a seed. The labels are the rule of insights/labels.py on what the simulated device did next; none is drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.columns import InsightColumns
from insights.fleet_plan import ROWS_PER_DEVICE, WORKLOADS, Incident, class_of, plan, unrecorded_stretches
from insights.labels import DEFAULT_SLO_MS, label
from insights.schema import RISK_LEVELS, Insight, timestamp_text

Floats = npt.NDArray[np.float64]

START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
INTERVAL_SECONDS: Final = 300.0
DEVICES_PER_COHORT: Final = 80
ROWS_PER_WEEK: Final = 2016
"""Each device's history starts somewhere in one week, so that every hour and day occurs."""
HORIZON_MARGIN: Final = 6
"""Rows simulated past the last one kept, so that its label has a future too."""
TAIL: Final = math.log(100)
"""p99 over mean of an exponential response time, the M/M/1 queue's: P(T > t) = exp(-t / mean)."""
TAIL_95: Final = math.log(20)
CALM: Final = 0.38
"""p99 over SLO of a calm device at mean load; with the diurnal swing and the noise it stays below 1."""
MEAN_UTILISATION: Final = 0.4
HIGHEST_UTILISATION: Final = 0.75
"""Of a calm device: its owner would have moved load away above it."""


CHECKPOINT_PERIODS: Final = (3, 4, 5)
BLIP_PROBABILITY: Final = 0.0012
"""A row that breaches out of nothing: what nobody could have foreseen."""
SUDDEN_SHARE: Final = 0.08
SUDDEN_ROWS: Final = 2.0
"""Some incidents give next to no warning; no honest model foresees them."""
LOST_SHARE: Final = 0.005
LOST_MARGIN: Final = 10
"""Rows that never arrived, and how many more are simulated in their stead."""
BLIND_SHARE: Final = 0.1
"""Devices whose source does not know how sequential the access is."""
NOISE: Final = 0.07
ANOMALY_DEPTH: Final = 0.35
"""How far an incident must have come before the source flags it."""
ALERT_RATIO: Final = 2.0


def generate(records: int = 10_000, seed: int = 7) -> Iterator[Insight]:
    """`records` insights by device and time, labelled where their outcome was recorded; the same for a seed."""
    if records < 1 or seed < 0:
        raise ValueError(f"records is {records} and seed {seed}; at least 1 and 0 are needed")
    devices = math.ceil(records / ROWS_PER_DEVICE)
    left = records
    for first in range(0, devices, DEVICES_PER_COHORT):
        numbers = range(first, min(first + DEVICES_PER_COHORT, devices))
        for rows in _cohort(numbers, seed):
            yield from rows[:left]
            left -= min(left, len(rows))


def statistics(insights: Sequence[Insight]) -> dict[str, Any]:
    """training-stats.json: counts and shares of what was generated."""
    if not insights:
        raise ValueError("no insights to count")
    labelled = [insight.risk_level for insight in insights if insight.risk_level is not None]
    scores = [insight.performance_score for insight in insights if insight.performance_score is not None]
    levels = Counter(labelled)
    return {
        "records": len(insights),
        "devices": len({insight.device_id for insight in insights}),
        "first_timestamp": timestamp_text(min(insight.timestamp for insight in insights)),
        "last_timestamp": timestamp_text(max(insight.timestamp for insight in insights)),
        "labelled": len(labelled),
        "labelled_share": len(labelled) / len(insights),
        "anomaly_share": sum(insight.is_anomaly is True for insight in insights) / len(insights),
        "risk_counts": {level: levels[level] for level in RISK_LEVELS},
        "performance_score_mean": sum(scores) / len(scores) if scores else None,
        "risk_shares": {level: levels[level] / max(1, len(labelled)) for level in RISK_LEVELS},
        "device_classes": dict(sorted(Counter(str(insight.device_class) for insight in insights).items())),
        "workload_types": dict(sorted(Counter(str(insight.workload_type) for insight in insights).items())),
    }


def _cohort(numbers: range, seed: int) -> Iterator[list[Insight]]:
    """The labelled rows of each device of a cohort."""
    random = np.random.default_rng([seed, numbers.start])
    plans = plan(numbers, random)
    unrecorded = unrecorded_stretches(len(numbers), random)
    for number, incidents, hidden in zip(numbers, plans, unrecorded, strict=True):
        device = _Device(f"synthetic-{seed}-{number:04d}", number, np.random.default_rng([seed, numbers.start, number]))
        yield _labelled(device.insights(incidents), hidden)


class _Device:
    """One device. Calm, its p99 follows the load as an M/M/1 queue's does, service / (1 - utilisation); an incident
    takes the response time from there to its peak, and queue depth follows by Little's law."""

    def __init__(self, device_id: str, number: int, random: np.random.Generator) -> None:
        self.device_id = device_id
        self.random = random
        self.device_class = class_of(number)
        self.workload = WORKLOADS[int(random.integers(len(WORKLOADS)))]
        self.slo = DEFAULT_SLO_MS[self.device_class.name]
        self.size = float(random.uniform(0.75, 1.25))
        self.calm = CALM * float(random.uniform(0.9, 1.1))
        self.phase = float(random.uniform(-2, 2))
        self.is_blind = bool(random.random() < BLIND_SHARE)
        self.start = int(random.integers(ROWS_PER_WEEK))

    def insights(self, incidents: Sequence[Incident]) -> list[Insight]:
        """ROWS_PER_DEVICE + HORIZON_MARGIN rows without labels, those that arrived of a few more."""
        count = ROWS_PER_DEVICE + HORIZON_MARGIN + LOST_MARGIN
        jitter = np.exp(self.random.normal(0, self.workload.swing, count))
        utilisation = np.minimum(MEAN_UTILISATION * self._diurnal(count) * jitter, HIGHEST_UTILISATION)
        ratio, factor, errors, anomalous = self._hidden(incidents, utilisation)
        p99 = ratio * self.slo * np.exp(self.random.normal(0, NOISE, count))
        average = p99 / TAIL * np.exp(self.random.normal(0, 0.04, count))
        p95 = np.minimum(average * TAIL_95 * np.exp(self.random.normal(0, 0.03, count)), p99)
        total = np.minimum(self.device_class.iops * self.size * utilisation * factor, 1.02 * self._limit())
        reads = np.clip(self.random.normal(self.workload.reads, 0.03, count), 0.05, 0.95)
        sizes = self.workload.io_size_kib * np.exp(self.random.normal(0, 0.06, count))
        sequential = np.clip(self.random.normal(self.workload.sequential, 0.03, count), 0, 1)
        measured: dict[str, Any] = {
            "read_iops": np.round(total * reads, 2),
            "write_iops": np.round(total * (1 - reads), 2),
            "avg_latency_ms": np.round(average, 4),
            "p95_latency_ms": np.round(p95, 4),
            "p99_latency_ms": np.round(p99, 4),
            "error_rate": np.round(errors, 6),
            "io_size_kib": np.round(sizes, 2),
            "sequential_ratio": np.round(sequential, 3),
        }
        rows = zip(*(column.tolist() for column in measured.values()), strict=True)
        arrived = (self.random.random(count) >= LOST_SHARE).tolist()
        everything = [
            self._insight(row, bool(anomalous[row]), dict(zip(measured, values, strict=True)))
            for row, values in enumerate(rows)
            if arrived[row]
        ]
        return everything[: ROWS_PER_DEVICE + HORIZON_MARGIN]

    def _limit(self) -> float:
        """What a provisioned device may complete; others complete what they can."""
        limit = round(0.6 * self.device_class.iops * self.size)
        return float(limit) if self.device_class.provisioned else math.inf

    def _diurnal(self, count: int) -> Floats:
        """Load over its mean: a peak in the afternoon, quieter at the weekend."""
        hours = (self.start + np.arange(count)) * INTERVAL_SECONDS / 3600
        weekend = np.where((hours // 24) % 7 >= 5, 0.75, 1.0)
        swing: Floats = (1 + 0.25 * np.sin(2 * np.pi * (hours - 9 + self.phase) / 24)) * weekend
        return swing

    def _hidden(
        self, incidents: Sequence[Incident], utilisation: Floats
    ) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
        """The hidden state: p99 over SLO before noise, factor on completed operations, error rate, in an incident."""
        count = len(utilisation)
        ratio = self.calm * (1 - MEAN_UTILISATION) / (1 - utilisation)
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
        if self.random.random() < SUDDEN_SHARE:
            up = SUDDEN_ROWS
        since, until = rows - incident.start + 1, incident.start + incident.rows - rows
        course: Floats = np.clip(np.minimum(since / up, until / down), 0, 1)
        return course

    def _insight(self, row: int, anomalous: bool, measured: dict[str, Any]) -> Insight:
        """Little's law (queue = throughput x response time) and bandwidth = operations x size hold to the last bit."""
        total = measured["read_iops"] + measured["write_iops"]
        known = measured | {"sequential_ratio": None} if self.is_blind else measured
        return Insight(
            device_id=self.device_id,
            timestamp=START + timedelta(seconds=(self.start + row + 1) * INTERVAL_SECONDS),
            interval_seconds=INTERVAL_SECONDS,
            bandwidth_mbps=total * measured["io_size_kib"] * 1024 / 1e6,
            queue_depth=total * measured["avg_latency_ms"] / 1000,
            provisioned_iops=self._limit() if self.device_class.provisioned else None,
            latency_slo_ms=self.slo,
            device_class=self.device_class.name,
            workload_type=self.workload.name,
            alert=measured["p99_latency_ms"] > ALERT_RATIO * self.slo,
            is_anomaly=anomalous,
            **known,
        )


def _labelled(insights: Sequence[Insight], hidden: tuple[int, int]) -> list[Insight]:
    """The rows that are kept, with what happened next except in the stretch that nobody recorded."""
    labels = label(InsightColumns.from_insights(insights))
    return [
        insight
        if hidden[0] <= row < hidden[1] or labels.risk[row] < 0
        else replace(
            insight,
            risk_level=RISK_LEVELS[int(labels.risk[row])],
            performance_score=round(float(labels.score[row]), 3),
            label_source="auto",
        )
        for row, insight in enumerate(insights[:ROWS_PER_DEVICE])
    ]
