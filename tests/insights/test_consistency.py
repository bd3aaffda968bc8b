from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from insights.consistency import RULES, consistent, inconsistency
from insights.files import read_insights
from insights.generator import REALISTIC, generate
from insights.schema import Insight, InvalidInsight
from tests.insights.insight_strategies import row

SOUND: dict[str, Any] = {
    "read_iops": 300.0,
    "write_iops": 100.0,
    "io_size_kib": 16.0,
    "bandwidth_mbps": 6.5536,
    "avg_latency_ms": 2.0,
    "p95_latency_ms": 5.0,
    "p99_latency_ms": 9.0,
    "queue_depth": 0.8,
    "provisioned_iops": 500.0,
}
MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("measured_in_our_time", {"timestamp": datetime(1970, 1, 21, 4, tzinfo=UTC)}),
    ("bandwidth_is_iops_times_size", {"bandwidth_mbps": 8 * 6.5536}),
    ("bandwidth_is_iops_times_size", {"bandwidth_mbps": 6553.6}),
    ("bandwidth_is_iops_times_size", {"io_size_kib": 16384.0}),
    ("bandwidth_is_iops_times_size", {"bandwidth_mbps": 0.0}),
    ("operations_have_a_possible_size", {"bandwidth_mbps": 1e5, "io_size_kib": None}),
    ("operations_have_a_possible_size", {"bandwidth_mbps": 0.006, "io_size_kib": None}),
    ("operations_have_a_possible_size", {"bandwidth_mbps": 40.0, "read_iops": 0.0, "write_iops": 0.0}),
    ("percentiles_are_in_order", {"p95_latency_ms": 10.0}),
    ("mean_is_near_p99", {"p95_latency_ms": 0.005, "p99_latency_ms": 0.009}),
    ("p99_is_possible_with_the_mean", {"avg_latency_ms": 0.05, "queue_depth": None}),
    ("p95_is_possible_with_the_mean", {"p95_latency_ms": 45.0, "p99_latency_ms": None}),
    ("littles_law", {"avg_latency_ms": 2000.0, "p99_latency_ms": None, "p95_latency_ms": None}),
    ("littles_law", {"avg_latency_ms": 0.002, "p99_latency_ms": None, "p95_latency_ms": None, "queue_depth": 1.2}),
    ("within_provisioned", {"provisioned_iops": 3.0}),
]


def sound(**changes: Any) -> Insight:
    return row(**(SOUND | changes))


@pytest.mark.parametrize(("rule", "changes"), MISTAKES)
def test_a_mistaken_unit_is_refused_by_field_and_rule(rule: str, changes: dict[str, Any]):
    refusal = inconsistency(sound(**changes))

    assert refusal is not None
    assert rule in str(refusal)
    assert refusal.field == next(known.field for known in RULES if known.name == rule)
    assert "'disk'" in refusal.record


def test_every_rule_has_a_mistake_that_it_sees():
    assert {rule.name for rule in RULES} == {name for name, _ in MISTAKES}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"avg_latency_ms": None, "p95_latency_ms": None, "p99_latency_ms": None, "queue_depth": None},
        {"read_iops": 0.0, "write_iops": 0.0, "bandwidth_mbps": 0.0, "queue_depth": 30.0, "io_size_kib": None},
        {"read_iops": 3000.0, "provisioned_iops": 100.0, "bandwidth_mbps": 50.8, "queue_depth": 6.2},
        {"bandwidth_mbps": 6.25},
        {"read_iops": 0.01, "write_iops": 0.0, "bandwidth_mbps": 0.0, "io_size_kib": 4.0},
    ],
)
def test_a_sound_row_one_that_knows_little_and_an_idle_one_pass(changes: dict[str, Any]):
    assert inconsistency(sound(**changes)) is None


def test_an_io_longer_than_its_interval_is_no_mistake():
    """One read of 20 s ends in an interval of 1 s, whose gauge saw one I/O in flight."""
    assert (
        inconsistency(
            row(
                read_iops=1.0,
                write_iops=0.0,
                bandwidth_mbps=0.004,
                interval_seconds=1.0,
                avg_latency_ms=20_000.0,
                queue_depth=1.0,
            )
        )
        is None
    )


@pytest.mark.parametrize("collector", [None, REALISTIC])
def test_generated_rows_pass(collector: Any):
    rows = generate(2_000, 5, **({"collector": collector} if collector else {}))
    assert [inconsistency(insight) for insight in rows if inconsistency(insight)] == []


def test_measured_rows_pass():
    rows = list(read_insights(Path("data/measured.jsonl.gz")))
    assert len(rows) > 7_000
    assert [refusal for refusal in map(inconsistency, rows) if refusal] == []


def test_refused_rows_are_handed_over_or_raised():
    rows = [sound(), sound(bandwidth_mbps=6553.6), sound()]
    refused: list[InvalidInsight] = []

    assert list(consistent(rows, on_invalid=refused.append)) == [rows[0], rows[2]]
    assert [refusal.value for refusal in refused] == [6553.6]
    with pytest.raises(InvalidInsight, match="bandwidth_is_iops_times_size"):
        list(consistent(rows, on_invalid=None))


def test_a_row_far_from_every_limit_stays_sound_when_it_is_labelled():
    assert inconsistency(replace(sound(), risk_level="high", label_source="operator")) is None
