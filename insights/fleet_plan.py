"""What the synthetic fleet consists of and what happens to it: device classes, workloads, incidents and their schedule.

The mix of risk levels comes from the shares in KINDS, never from a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

ROWS_PER_DEVICE: Final = 64


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
CLASS_NAMES: Final = tuple(found.name for found in CLASSES)


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
    """An incident: its share of a cohort's recorded rows, lengths in rows, and the p99 over SLO that its peak reaches."""

    name: str
    share: float
    rows: tuple[int, int]
    build_up: tuple[int, int]
    recovery: tuple[int, int]
    peak: tuple[float, float]
    load: float
    """Factor on the completed operations at the peak."""
    errors: float = 0.0
    """Errors per operation at the peak; a saturated device times out, a dying one fails."""
    classes: tuple[str, ...] = CLASS_NAMES
    is_periodic: bool = False
    """Spikes every few rows instead of a plateau; the source does not flag them."""


# Shares are of the recorded rows; a build-up's first half and a recovery's second half are not yet, or no more, at the level.
KINDS: Final = (
    Kind("failing media", 0.036, (28, 38), (13, 17), (7, 10), (2.6, 3.6), 0.80, 0.035, ("nvme", "hdd")),
    Kind("saturation", 0.0275, (32, 42), (13, 17), (7, 10), (6.5, 9.5), 0.70, 0.006),
    Kind("burst credits spent", 0.05, (46, 72), (14, 18), (8, 11), (2.0, 3.0), 0.55, 0.0, ("ssd-burst",)),
    Kind("provisioned cap hit", 0.05, (46, 72), (14, 18), (8, 11), (2.0, 3.0), 1.80, 0.0, ("provisioned",)),
    Kind("noisy neighbour", 0.066, (46, 72), (14, 18), (8, 11), (2.0, 2.9), 0.85),
    Kind("checkpoints", 0.284, (90, 180), (1, 1), (1, 1), (1.4, 1.65), 1.35, is_periodic=True),
)


CALM_ROWS_BETWEEN: Final = 6
UNRECORDED_SHARE: Final = 0.20
RECORDED: Final = (round(UNRECORDED_SHARE * ROWS_PER_DEVICE), ROWS_PER_DEVICE + 3)
"""Rows of a device that the labels of its recorded part are about, in the mean: what the mix is planned for."""
LEAST_WANTED: Final = 16
"""Rows that a kind may lack in a cohort: less than what one more incident would add."""
CHECKPOINT_PERIODS: Final = (3, 4, 5)
SUDDEN_SHARE: Final = 0.08
SUDDEN_ROWS: Final = 2
"""Some incidents give next to no warning; no honest model foresees them."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What is scheduled, in rows of the device's history: it may begin before the first and end after the last."""

    kind: Kind
    start: int
    rows: int


@dataclass(frozen=True, slots=True)
class Course:
    """How an incident goes: rows to its peak and from it, p99 over SLO there, and rows between spikes (1: every row)."""

    incident: Incident
    build_up: int
    recovery: int
    peak: float
    period: int


def course_of(incident: Incident, random: np.random.Generator) -> Course:
    kind = incident.kind
    build_up = int(random.integers(kind.build_up[0], kind.build_up[1] + 1))
    recovery = int(random.integers(kind.recovery[0], kind.recovery[1] + 1))
    peak = float(random.uniform(*kind.peak))
    period = CHECKPOINT_PERIODS[int(random.integers(len(CHECKPOINT_PERIODS)))] if kind.is_periodic else 1
    is_sudden = random.random() < SUDDEN_SHARE
    return Course(incident, min(SUDDEN_ROWS, build_up) if is_sudden else build_up, recovery, peak, period)


def onset_rates(device_class: str) -> list[float]:
    """Per kind, how often a calm row of the class is followed by its first: the schedule's shares as rates."""
    share_of = {c.name: c.share for c in CLASSES}
    shares = [
        kind.share / sum(share_of[name] for name in kind.classes) if device_class in kind.classes else 0.0
        for kind in KINDS
    ]
    calm = max(1 - sum(shares), 0.05)
    return [share / (sum(kind.rows) / 2) / calm for share, kind in zip(shares, KINDS, strict=True)]


def plan(numbers: range, random: np.random.Generator) -> list[list[Incident]]:
    """Incidents per device: each kind's share of the cohort's rows, worst first, on devices of the kind's classes."""
    plans: list[list[Incident]] = [[] for _ in numbers]
    for kind in KINDS:
        hosts = [place for place, number in enumerate(numbers) if class_of(number).name in kind.classes]
        wanted = kind.share * len(numbers) * (RECORDED[1] - RECORDED[0])
        while wanted >= LEAST_WANTED:
            placed = _place(plans, hosts, kind, random)
            if placed is None:
                break
            wanted -= max(0, min(placed.start + placed.rows, RECORDED[1]) - max(placed.start, RECORDED[0]))
    return plans


def _place(
    plans: list[list[Incident]], hosts: Sequence[int], kind: Kind, random: np.random.Generator
) -> Incident | None:
    """Puts an incident on a device with room for it, a critical one where none is yet: levels should meet in few groups."""
    rows = int(random.integers(kind.rows[0], kind.rows[1] + 1))
    for host in sorted(random.permutation(hosts).tolist(), key=lambda host: kind.errors > 0 and bool(plans[host])):
        starts = [start for start in _starts(rows) if _is_free(plans[host], start, rows)]
        if starts:
            incident = Incident(kind, int(random.choice(starts)), rows)
            plans[host].append(incident)
            return incident
    return None


def _starts(rows: int) -> range:
    """An incident may have begun before the first row or end after the last; a long one covers every row."""
    if rows >= ROWS_PER_DEVICE:
        return range(ROWS_PER_DEVICE - rows, 1)
    return range(-rows // 2, ROWS_PER_DEVICE - rows // 2)


def _is_free(incidents: Sequence[Incident], start: int, rows: int) -> bool:
    gap = CALM_ROWS_BETWEEN
    return all(start >= other.start + other.rows + gap or start + rows + gap <= other.start for other in incidents)


def unrecorded_rows(devices: int, random: np.random.Generator) -> list[int]:
    """Per device how many of its first rows nobody recorded the outcome of (recording begins some time after a device
    has joined), a fifth of all rows together."""
    shares = random.uniform(0.05, 0.35, devices)
    shares *= UNRECORDED_SHARE / shares.mean()
    rows: list[int] = np.round(shares * ROWS_PER_DEVICE).astype(int).tolist()
    return rows


def class_of(number: int) -> DeviceClass:
    """A low-discrepancy choice by the device's number (golden ratio), so that small fleets have every class too."""
    place = (number * 0.6180339887498949) % 1
    return CLASSES[int(np.searchsorted(np.cumsum([c.share for c in CLASSES]), place, side="right"))]
