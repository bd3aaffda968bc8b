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


NO_PERCENTILES = {"p95_latency_ms": None, "p99_latency_ms": None}
NO_QUEUE = {"queue_depth": None}
# Worked out on paper from the rule's sentence: what the row has besides, the last value that passes, the first that does not.
LIMITS: list[tuple[str, dict[str, Any], str, Any, Any]] = [
    (
        "measured_in_our_time", {}, "timestamp",
        datetime(1990, 1, 1, tzinfo=UTC), datetime(1989, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ),
    # 400 operations/s of 16 KiB are 6.5536 MB/s: 3 x 6.6036 - 0.05 and 6.6036 / 3 - 0.05
    ("bandwidth_is_iops_times_size", {}, "bandwidth_mbps", 19.7607, 19.7609),
    ("bandwidth_is_iops_times_size", {}, "bandwidth_mbps", 2.1513, 2.1511),
    # 400.01 x 33.554432 + 0.05, of an idle row 0.01 x 33.554432 + 0.05; 400 x 0.000256 - 0.05
    ("operations_have_a_possible_size", {"io_size_kib": None}, "bandwidth_mbps", 13_422.158, 13_422.159),
    (
        "operations_have_a_possible_size", {"read_iops": 0.0, "write_iops": 0.0, "io_size_kib": None}, "bandwidth_mbps",
        0.3855, 0.3856,
    ),
    ("operations_have_a_possible_size", {"io_size_kib": None}, "bandwidth_mbps", 0.0525, 0.0523),
    ("percentiles_are_in_order", {}, "p95_latency_ms", 9.899, 9.901),
    # 100 x (0.01 + 0.01)
    ("mean_is_near_p99", {"p99_latency_ms": 0.01, "p95_latency_ms": None} | NO_QUEUE, "avg_latency_ms", 1.999, 2.001),
    # 1.1 x 100 x (0.05 + 0.01) and 1.1 x 20 x (2 + 0.01)
    (
        "p99_is_possible_with_the_mean", {"avg_latency_ms": 0.05, "p95_latency_ms": None} | NO_QUEUE, "p99_latency_ms",
        6.599, 6.601,
    ),
    ("p95_is_possible_with_the_mean", {"p99_latency_ms": None}, "p95_latency_ms", 44.21, 44.23),
    # 10 x (0.8 + 0.1) - 0.1; 20 ms keep 8 in flight: 8.1 / 10 - 0.1
    ("littles_law", NO_PERCENTILES, "queue_depth", 8.9, 8.9001),
    ("littles_law", {"avg_latency_ms": 20.0} | NO_PERCENTILES, "queue_depth", 0.71, 0.7099),
    # An interval as long as the latency doubles the limit: (400 + 0.1) / 20 - 0.1
    ("littles_law", {"avg_latency_ms": 1000.0, "interval_seconds": 1.0} | NO_PERCENTILES, "queue_depth", 19.906, 19.904),
    ("within_provisioned", {}, "provisioned_iops", 4.0, 3.999),
]  # fmt: skip


def sound(**changes: Any) -> Insight:
    return row(**(SOUND | changes))


@pytest.mark.parametrize(("rule", "changes"), MISTAKES)
def test_a_mistaken_unit_is_refused_by_field_and_rule(rule: str, changes: dict[str, Any]):
    refusal = inconsistency(sound(**changes))

    assert refusal is not None
    assert rule in str(refusal)
    assert refusal.field == next(known.field for known in RULES if known.name == rule)
    assert "'disk'" in refusal.record


@pytest.mark.parametrize(("rule", "besides", "field", "allowed", "refused"), LIMITS)
def test_a_rule_refuses_from_its_limit_on(rule: str, besides: dict[str, Any], field: str, allowed: Any, refused: Any):
    refusal = inconsistency(sound(**besides, **{field: refused}))

    assert inconsistency(sound(**besides, **{field: allowed})) is None
    assert refusal is not None
    assert refusal.rule.endswith(f"({rule})")


def test_a_percentile_above_one_of_zero_is_refused_and_two_of_zero_are_not():
    assert inconsistency(sound(p99_latency_ms=0.0, p95_latency_ms=0.0, avg_latency_ms=0.0, **NO_QUEUE)) is None
    refusal = inconsistency(sound(p99_latency_ms=0.0, p95_latency_ms=1.0, **NO_QUEUE))
    assert refusal is not None
    assert "percentiles_are_in_order" in refusal.rule


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"bandwidth_mbps": 6553.6},
            "400 operations/s of io_size_kib 16 make 6.554 MB/s, more than 3 times apart; is a unit wrong? "
            "(bandwidth_is_iops_times_size)",
        ),
        (
            {"bandwidth_mbps": 1e5, "io_size_kib": None},
            "at 400 operations/s one would not have from 256 B to 32 MiB; is a unit wrong? "
            "(operations_have_a_possible_size)",
        ),
        (
            {"queue_depth": 90.0},
            "400 operations/s of avg_latency_ms 2 keep 0.8 in flight (Little's law), more than 10 times apart; "
            "is a unit wrong? (littles_law)",
        ),
        (
            {"timestamp": datetime(1970, 1, 21, 4, tzinfo=UTC)},
            "it lies before 1990, when nothing was measured yet; is a unit wrong? (measured_in_our_time)",
        ),
    ],
)
def test_a_refusal_says_what_the_fields_make_of_each_other(changes: dict[str, Any], sentence: str):
    refusal = inconsistency(sound(**changes))

    assert refusal is not None
    assert refusal.rule == sentence


def test_a_refused_time_is_shown_as_a_row_writes_it():
    refusal = inconsistency(sound(timestamp=datetime(1970, 1, 21, 4, tzinfo=UTC)))

    assert refusal is not None
    assert refusal.value == "1970-01-21T04:00:00.000Z"
    assert refusal.record == "insight of device 'disk' at 1970-01-21T04:00:00.000Z"


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
