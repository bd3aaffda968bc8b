"""training-stats.json: counts and shares of a generated fleet, and how often its oracle was right, a cohort at a time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np

from insights.columns import InsightColumns, Int8s
from insights.oracle import Foretold
from insights.schema import RISK_LEVELS, WORKLOAD_TYPES, timestamp_text


class FleetStatistics:
    """Accumulates over cohorts, whose devices differ."""

    def __init__(self) -> None:
        self._rows = self._devices = self._anomalies = self._right = 0
        self._span = (np.inf, -np.inf)
        self._scores = (0, 0.0)
        self._squares = (0, 0.0)
        self._levels: Counter[int] = Counter()
        self._classes: Counter[str] = Counter()
        self._workloads: Counter[str] = Counter()
        self._judged = 0

    def add(self, columns: InsightColumns, foretold: Foretold | None = None) -> None:
        if len(columns) == 0:
            return
        self._rows += len(columns)
        self._devices += len(np.unique(columns.device))
        self._anomalies += int((columns.is_anomaly == 1).sum())
        time = columns.time_seconds
        self._span = (min(self._span[0], float(time.min())), max(self._span[1], float(time.max())))
        known = columns.score[~np.isnan(columns.score)]
        self._scores = (self._scores[0] + len(known), self._scores[1] + float(known.sum()))
        self._levels.update(columns.risk.tolist())
        self._classes.update(_counted(columns.device_class, columns.device_classes))
        self._workloads.update(_counted(columns.workload_type, WORKLOAD_TYPES))
        if foretold is not None:
            self._judge(columns, *foretold.of(columns))

    def _judge(self, columns: InsightColumns, risk: Int8s, score: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        rows = (risk >= 0) & (columns.risk >= 0)
        self._judged += int(rows.sum())
        self._right += int((risk[rows] == columns.risk[rows]).sum())
        rows &= ~np.isnan(columns.score) & ~np.isnan(score)
        errors = (score - columns.score)[rows]
        self._squares = (self._squares[0] + len(errors), self._squares[1] + float(errors @ errors))

    def to_json(self) -> dict[str, Any]:
        """ValueError where nothing was added."""
        if self._rows == 0:
            raise ValueError("no insights to count")
        counts = {level: self._levels[code] for code, level in enumerate(RISK_LEVELS)}
        labelled = sum(counts.values())
        first, last = (timestamp_text(datetime.fromtimestamp(second, UTC)) for second in self._span)
        squares, errors = self._squares
        return {
            "records": self._rows,
            "devices": self._devices,
            "first_timestamp": first,
            "last_timestamp": last,
            "labelled": labelled,
            "labelled_share": labelled / self._rows,
            "anomaly_share": self._anomalies / self._rows,
            "risk_counts": counts,
            "risk_shares": {level: count / max(1, labelled) for level, count in counts.items()},
            "performance_score_mean": self._scores[1] / self._scores[0] if self._scores[0] else None,
            "device_classes": dict(sorted(self._classes.items())),
            "workload_types": dict(sorted(self._workloads.items())),
            "oracle_rows": self._judged,
            "oracle_accuracy": self._right / self._judged if self._judged else None,
            "oracle_rmse": (errors / squares) ** 0.5 if squares else None,
        }


def _counted(codes: np.ndarray[Any, Any], names: tuple[str, ...]) -> dict[str, int]:
    values, counts = np.unique(codes, return_counts=True)
    return {(*names, "None")[value]: count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}
