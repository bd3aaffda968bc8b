"""What a set of test rows says nothing about."""

from __future__ import annotations

import numpy as np

from insights.gate import GATE_DEFAULTS
from insights.schema import RISK_LEVELS
from training_container.evaluation.bootstrap import DeviceBootstrap
from training_container.split_file import Split

FEW_GROUPS = 10
FEW_CRITICAL_ROWS = GATE_DEFAULTS["min_critical_rows"]


def cannot_be_judged(kind: str, train: Split, test: Split) -> list[str]:
    """In sentences, for the report and the gate's reader."""
    said = []
    groups, devices = DeviceBootstrap.of(test).groups, len(np.unique(test.device))
    if devices < FEW_GROUPS:
        said.append(f"only {devices} test devices: how the model does on another device may differ much")
    if groups < FEW_GROUPS:
        said.append(f"only {groups} independent groups of test devices: the intervals are too narrow to be believed")
    if np.any(test.oracle_risk < 0):
        said.append("no oracle: how good a forecast of these rows can be at best is not known")
    if kind == "risk" and np.any(test.breach < 0):
        said.append(
            f"{np.sum(test.breach < 0):,} of {len(test):,} rows have no latency or no SLO: they start no lead time"
        )
    if kind == "risk":
        learnt, support = (
            np.bincount(split.risk.astype(np.int64), minlength=len(RISK_LEVELS)) for split in (train, test)
        )
        said.extend(f"no test row is {RISK_LEVELS[level]}" for level in np.flatnonzero(support == 0))
        said.extend(
            f"no training row is {RISK_LEVELS[level]}: the model cannot foresee it"
            for level in np.flatnonzero(learnt == 0)
        )
        if 0 < support[-1] < FEW_CRITICAL_ROWS:
            said.append(f"only {support[-1]} test rows are critical: their recall is a guess")
    return said
