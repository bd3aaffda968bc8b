"""Against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from insights.columns import InsightColumns
from insights.fleet_statistics import FleetStatistics
from insights.oracle import Foretold
from tests.insights.insight_strategies import row

FIRST = [
    row(0, "a", risk_level="low", performance_score=90.0, label_source="auto", device_class="nvme", is_anomaly=True),
    row(1, "a", risk_level="high", performance_score=60.0, label_source="auto", device_class="nvme"),
    row(0, "b", risk_level="low", performance_score=80.0, label_source="auto", workload_type="random"),
    row(5, "b"),
]
SECOND = [row(9, "c", risk_level="critical", label_source="operator", is_anomaly=False)]


def counted() -> dict[str, object]:
    """The oracle says low of the first three rows, nothing of the fourth, and is 3, 4 and 0 points off."""
    columns = InsightColumns.from_insights(FIRST)
    said = Foretold(
        columns.devices,
        columns.device,
        columns.time_seconds,
        np.array([0, 0, 0, -1], np.int8),
        np.array([93.0, 56.0, 80.0, math.nan]),
    )
    statistics = FleetStatistics()
    statistics.add(columns, said)
    statistics.add(InsightColumns.from_insights([]))
    statistics.add(InsightColumns.from_insights(SECOND))
    return statistics.to_json()


def test_every_number_of_two_cohorts() -> None:
    assert counted() == {
        "records": 5,
        "devices": 3,
        "first_timestamp": "2026-01-05T00:00:00.000Z",
        "last_timestamp": "2026-01-05T00:45:00.000Z",
        "labelled": 4,
        "labelled_share": 0.8,
        "anomaly_share": 0.2,
        "risk_counts": {"low": 2, "medium": 0, "high": 1, "critical": 1},
        "risk_shares": {"low": 0.5, "medium": 0.0, "high": 0.25, "critical": 0.25},
        "performance_score_mean": pytest.approx(230 / 3),
        "device_classes": {"None": 3, "nvme": 2},
        "workload_types": {"None": 4, "random": 1},
        "oracle_rows": 3,
        "oracle_accuracy": pytest.approx(2 / 3),
        "oracle_rmse": pytest.approx(math.sqrt(25 / 3)),
    }


def test_what_nobody_knows_is_null() -> None:
    statistics = FleetStatistics()
    statistics.add(InsightColumns.from_insights([row(0)]))
    found = statistics.to_json()
    assert [found[name] for name in ("performance_score_mean", "oracle_accuracy", "oracle_rmse")] == [None] * 3
    assert found["risk_shares"] == dict.fromkeys(("low", "medium", "high", "critical"), 0.0)
