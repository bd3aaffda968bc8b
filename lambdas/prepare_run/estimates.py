"""Seconds, memory and disk of a run's steps at a row count, from the measured rates (rates.json).

What no measurement here could tell is an assumption with its name below.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from insights.schema import KINDS
from lambdas.prepare_run.instance_sizes import size_of
from lambdas.prepare_run.rates import Rates

# DynamoDB, "Initial throughput and scaling properties" of on-demand tables: 12,000 read units a second at once, twice the
# last peak after that; "Quotas": 40,000 a table unless raised. A strongly consistent unit reads 4 KiB.
INITIAL_READ_UNITS = 12_000
READ_UNIT_BYTES = 4096

USABLE_MEMORY = 0.8  # of an instance; the rest is the system's, the container's and the page cache's
TEST_SHARE = 0.15  # of the devices (insights/splits.py); training does not read them

# Assumed, as this machine cannot measure it.
TRIAL_ROUNDS = 150  # of boosting in a trial until it stops early
CORES_EXPONENT = 0.7  # n times the vCPUs, over one instance or several, boost n^0.7 times as fast
EXTERNAL_MEMORY_SHARE = 0.25  # of what the rows take in memory when XGBoost pages them from disk
EXTERNAL_MEMORY_SLOWDOWN = 3.0

_GIB_IN_MB = 1073.741824


class Machines(NamedTuple):
    """So many instances of one type; in training, with the rows in memory or paged from disk."""

    instances: int
    instance_type: str
    external_memory: bool = False

    @property
    def memory_mb(self) -> float:
        """Usable memory of each; endless where the type's size is not known, which plans nothing larger."""
        size = size_of(self.instance_type)
        return math.inf if size is None else size.memory_gib * _GIB_IN_MB * USABLE_MEMORY

    @property
    def vcpus(self) -> int | None:
        size = size_of(self.instance_type)
        return None if size is None else size.vcpus

    def __str__(self) -> str:
        return f"{self.instances} x {self.instance_type}"


def scan_seconds(rows: float, rates: Rates) -> float:
    """Of the table's initial read capacity alone, strongly consistent."""
    return rows * rates.bytes_per_row["item"] / READ_UNIT_BYTES / INITIAL_READ_UNITS


def features_seconds(rows: float, instances: int, rates: Rates) -> float:
    """Of each instance; one process, so that its cores count for nothing."""
    return rates.steps["features"].seconds(rows / instances)


def processing_need_mb(rows: float, instances: int, rates: Rates) -> float:
    """The most that a processing job's instance holds: a shard's features, or an evaluation of everything on one."""
    evaluations = [rates.steps[f"evaluate_{kind}"].peak_mb(rows) for kind in KINDS]
    return max(rates.steps["features"].peak_mb(rows / instances), *evaluations)


def training_need_mb(rows: float, machines: Machines, rates: Rates) -> float:
    """Each instance holds its part of the training split, and all of validation and calibration."""
    share = (EXTERNAL_MEMORY_SHARE if machines.external_memory else 1.0) * _held_share(machines.instances, rates)
    return max(rates.steps[f"train_{kind}"].peak_mb(rows * share) for kind in KINDS)


def trial_seconds(rows: float, machines: Machines, rates: Rates) -> float:
    """Of the slower kind."""
    return max(kind_trial_seconds(kind, rows, machines, rates) for kind in KINDS)


def kind_trial_seconds(kind: str, rows: float, machines: Machines, rates: Rates) -> float:
    rate = rates.steps[f"train_{kind}"]
    fixed = rate.seconds(0, rounds=TRIAL_ROUNDS)
    times = machines.instances * (machines.vcpus or rates.cores) / rates.cores
    work = (rate.seconds(rows, rounds=TRIAL_ROUNDS) - fixed) / times**CORES_EXPONENT
    return fixed + work * (EXTERNAL_MEMORY_SLOWDOWN if machines.external_memory else 1.0)


def _held_share(instances: int, rates: Rates) -> float:
    """Of what one instance alone would hold."""
    columnar, train = rates.bytes_per_row["columnar"], rates.bytes_per_row["columnar_train"]
    divided = min(1.0, train / (columnar * (1 - TEST_SHARE)))
    return 1 - divided + divided / instances


def features_bytes(rows: float, rates: Rates) -> float:
    """On a processing instance's disk: what was exported, its columns as they are spooled, and the features folder twice,
    before and after its parts are merged on one instance."""
    size = rates.bytes_per_row
    return rows * (size["raw"] + 2 * size["features"] + size["columnar"])


def channel_bytes(rows: float, machines: Machines, rates: Rates) -> float:
    """On a training instance's disk: its channels, and once more where XGBoost pages them from there."""
    held = rows * rates.bytes_per_row["columnar"] * (1 - TEST_SHARE) * _held_share(machines.instances, rates)
    return held * (2 if machines.external_memory else 1)
