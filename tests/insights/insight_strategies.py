"""Insights for property tests: any valid one, and one device's history with gaps, jitter, nulls and alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from insights.schema import LABEL_SOURCES, NUMBER_RULES, RISK_LEVELS, SMALLEST_NUMBER, WORKLOAD_TYPES, Insight

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128).filter(str.strip)


def numbers(high: float, zero: bool, nullable: bool) -> st.SearchStrategy[Any]:
    choices: list[st.SearchStrategy[Any]] = [
        st.floats(SMALLEST_NUMBER, high),
        st.integers(1, max(1, int(min(high, 1e6)))),
    ]
    if zero:
        choices += [st.just(0.0), st.just(0)]
    if nullable:
        choices += [st.none()]
    return st.one_of(choices)


INSIGHTS = st.builds(
    Insight,
    device_id=TEXTS,
    timestamp=st.datetimes(
        datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=st.sampled_from([UTC])
    ),
    device_class=st.none() | TEXTS,
    workload_type=st.sampled_from([None, *WORKLOAD_TYPES]),
    alert=st.booleans(),
    is_anomaly=st.sampled_from([None, True, False]),
    risk_level=st.sampled_from([None, *RISK_LEVELS]),
    label_source=st.sampled_from([None, *LABEL_SOURCES]),
    **{rule.name: numbers(rule.high, rule.zero, rule.nullable) for rule in NUMBER_RULES},
)  # fmt: skip


def row(index: float = 0, device_id: str = "disk", **values: Any) -> Insight:
    """A plain insight `index` intervals of 300 s after Monday midnight; override what the test is about."""
    plain: dict[str, Any] = {
        "device_id": device_id,
        "timestamp": MONDAY + timedelta(seconds=300 * index),
        "interval_seconds": 300.0,
        "read_iops": 60.0,
        "write_iops": 40.0,
        "bandwidth_mbps": 2.0,
    }
    return Insight(**(plain | values))


@st.composite
def histories(draw: st.DrawFn, max_rows: int = 40, device_id: str = "disk") -> list[Insight]:
    """One device's rows in time order: gaps, jitter, repeats of the same value, nulls, zeros, changing intervals."""
    value = st.none() | st.sampled_from([0.0, 1.0, 2.0, 2.0, 8.0]) | st.floats(0.001, 1000)
    share = st.none() | st.sampled_from([0.0, 0.001]) | st.floats(0.001, 1)
    has_p99 = draw(st.booleans())
    rows, place = [], 0.0
    for _ in range(draw(st.integers(1, max_rows))):
        place += draw(st.sampled_from([1.0, 1.0, 1.0, 0.98, 1.03, 0.5, 0.1, 4.0, 11.5, 30.0]))
        known = draw(st.sampled_from([0.0, 0.5, 100.0]) | st.floats(0.001, 1e5))
        rows.append(
            row(
                place,
                device_id,
                interval_seconds=draw(st.sampled_from([300.0, 300.0, 300.0, 290.5, 600.0])),
                read_iops=known,
                write_iops=draw(st.sampled_from([0.0, 40.0])),
                avg_latency_ms=draw(value),
                p95_latency_ms=draw(value),
                p99_latency_ms=draw(value) if has_p99 else None,
                bandwidth_mbps=draw(st.sampled_from([0.0, 1.0]) | st.floats(0.001, 1e4)),
                error_rate=draw(share),
                queue_depth=draw(value),
                io_size_kib=draw(value),
                sequential_ratio=draw(share),
                provisioned_iops=draw(st.none() | st.floats(1, 1e5)),
                latency_slo_ms=draw(st.none() | st.sampled_from([2.0, 100.0])),
                device_class=draw(st.sampled_from([None, "nvme", "unheard of"])),
                alert=draw(st.integers(0, 5)) == 0,
            )
        )
    return rows
