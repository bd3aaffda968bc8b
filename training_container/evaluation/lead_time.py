"""How early the model warns: how long before a device breaches its objective the predicted risk had risen.

An onset is a row whose own interval breaches after six that did not. The lead is the number of intervals directly before
it in which at least medium was predicted without a pause: 0 (not foreseen) to 6 (the whole horizon). Rows of a device
that are further apart than one and a half of its intervals are not joined. An onset is sustained when at least three of
the six rows from it on breach: an incident and no flicker.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_table import HORIZON_ROWS
from training_container.evaluation.bootstrap import DeviceBootstrap, intervals
from training_container.split_file import Split

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

SUSTAINED_ROWS = 3
WARNING = 1  # medium


def lead_time(bootstrap: DeviceBootstrap, rows: Split, warnings: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Of each named forecast (levels, one per row): share foreseen, mean lead, how many onsets had which lead.

    `rows` in the order of device and time. `false_alarms` is the share of the forecast's warnings whose half hour
    stayed low: warning always would foresee everything.
    """
    joined = _joined(rows)
    onset = onsets(rows, joined)
    sustained = onset & (_breaching_from(rows, joined) >= SUSTAINED_ROWS)
    return {
        "onsets": int(onset.sum()),
        "sustained": int(sustained.sum()),
        "forecasts": {
            name: {
                **_summary(bootstrap, onset, lead := leads(levels >= WARNING, joined)),
                "of_sustained": _summary(bootstrap, sustained, lead),
                "false_alarms": _mean_or_none((rows.risk == 0)[levels >= WARNING]),
            }
            for name, levels in warnings.items()
        },
    }


def onsets(rows: Split, joined: Mask) -> Mask:
    """(n,) the row breaches and the six before it are there and do not."""
    quiet = np.ones(len(rows), np.bool_)
    for back in range(1, HORIZON_ROWS + 1):
        quiet &= _back(joined, back - 1, missing=False) & (_back(rows.breach, back, missing=-1) == 0)
    onset: Mask = quiet & (rows.breach == 1)
    return onset


def leads(warned: Mask, joined: Mask) -> Counts:
    """(n,) how many rows directly before each one warned without a pause, at most six."""
    unbroken, lead = np.ones(len(warned), np.bool_), np.zeros(len(warned), np.int64)
    for back in range(1, HORIZON_ROWS + 1):
        unbroken &= _back(joined, back - 1, missing=False) & _back(warned, back, missing=False)
        lead += unbroken
    return lead


def _joined(rows: Split) -> Mask:
    """(n,) the row before is the same device's, at most one and a half of its usual steps earlier."""
    joined = np.zeros(len(rows), np.bool_)
    if len(rows) < 2:
        return joined
    step, same = np.diff(rows.time), np.diff(rows.device) == 0
    usual = np.full(len(rows.devices), np.inf)
    devices = rows.device[1:][same]
    order = np.lexsort((step[same], devices))
    codes, first, count = np.unique(devices[order], return_index=True, return_counts=True)
    usual[codes] = step[same][order][first + count // 2]
    joined[1:] = same & (step <= 1.5 * usual[rows.device[1:]])
    return joined


def _breaching_from(rows: Split, joined: Mask) -> Counts:
    breaching, there = np.zeros(len(rows), np.int64), np.ones(len(rows), np.bool_)
    for ahead in range(HORIZON_ROWS):
        if ahead:
            there &= _ahead(joined, ahead, missing=False)
        breaching += there & (_ahead(rows.breach, ahead, missing=-1) == 1)
    return breaching


def _back(values: npt.NDArray[Any], rows: int, *, missing: int | bool) -> npt.NDArray[Any]:
    shifted = np.full_like(values, missing)
    shifted[rows:] = values[: max(len(values) - rows, 0)]
    return shifted


def _ahead(values: npt.NDArray[Any], rows: int, *, missing: int | bool) -> npt.NDArray[Any]:
    shifted = np.full_like(values, missing)
    shifted[: max(len(values) - rows, 0)] = values[rows:]
    return shifted


def _summary(bootstrap: DeviceBootstrap, onset: Mask, lead: Counts) -> dict[str, Any]:
    found = lead[onset]
    return {
        "foreseen": _mean_or_none(found > 0),
        "mean_intervals": _mean_or_none(found),
        "distribution": np.bincount(found, minlength=HORIZON_ROWS + 1).tolist(),
        "intervals": intervals(
            {"foreseen": bootstrap.means(lead > 0, onset), "mean_intervals": bootstrap.means(lead, onset)}
        ),
    }


def _mean_or_none(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
