"""Is a row's own arithmetic possible? Rules between fields that both are known, so that a wrong unit is refused, not learnt.

Each field has its range in insights/schema.py; these are what no single range can see: milliseconds given as seconds,
bits as bytes, a count per interval as one per second. A limit is as far off as measured rows never come (docs/collectors.md
says how near they come); rows that are null on one side, and idle ones, break no rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from insights.schema import Insight, InvalidInsight, record_name, timestamp_text

EARLIEST_MEASURED: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""Epoch seconds read as milliseconds fall into January 1970, which the schema's range allows."""
SIZE_FACTOR: Final = 3.0
"""Below the 8 of bits for bytes; MB for MiB (1.05) is within what sources round."""
SMALLEST_IO_BYTES: Final = 256
LARGEST_IO_BYTES: Final = 32 << 20
"""Half a sector, and Linux's largest request (max_hw_sectors_kb is at most 32,767 for the drivers in its tree)."""
LITTLE_FACTOR: Final = 10.0
BURST_FACTOR: Final = 100.0
"""A volume with burst credits does 30 times its baseline (gp2: 100 and 3,000); thousands given as units are 1,000 off."""
MEAN_FACTOR: Final = 100.0
"""A few stalls above the 99th percentile lift a mean far over it, a thousandfold they do not."""
ROUNDING: Final = 1.1
# What two decimals leave of a small number, in MB/s, operations/s, I/Os in flight and ms.
BANDWIDTH_SLACK_MBPS: Final = 0.05
IOPS_SLACK: Final = 0.01
QUEUE_SLACK: Final = 0.1
LATENCY_SLACK_MS: Final = 0.01


@dataclass(frozen=True, slots=True)
class ConsistencyRule:
    """`strain` is a row's share of what the rule allows: broken above 1, 0 where a side is unknown. `field` is the one that
    is reported and usually at fault; `reason` says what is wrong with a row that breaks the rule."""

    name: str
    field: str
    strain: Callable[[Insight], float]
    reason: Callable[[Insight], str]


def inconsistency(row: Insight) -> InvalidInsight | None:
    """The refusal of the first rule that the row breaks."""
    for rule in RULES:
        if rule.strain(row) > 1:
            return _refusal(rule, row)
    return None


def consistent(rows: Iterable[Insight], *, on_invalid: Callable[[InvalidInsight], None] | None) -> Iterator[Insight]:
    """The rows that break no rule; the others' refusals go to `on_invalid`, or are raised without one."""
    for row in rows:
        refusal = inconsistency(row)
        if refusal is None:
            yield row
        elif on_invalid is None:
            raise refusal
        else:
            on_invalid(refusal)


def _refusal(rule: ConsistencyRule, row: Insight) -> InvalidInsight:
    value = getattr(row, rule.field)
    shown = timestamp_text(value) if isinstance(value, datetime) else value
    record = record_name(row.device_id, row.timestamp)
    sentence = f"{rule.reason(row)}; is a unit wrong? ({rule.name})"
    return InvalidInsight(record=record, field=rule.field, value=shown, rule=sentence)


def _total(row: Insight) -> float:
    return row.read_iops + row.write_iops


def _share(value: float | None, limit: float | None) -> float:
    if value is None or limit is None or value == 0:
        return 0.0
    return value / limit if limit > 0 else math.inf


def _times_apart(one: float, other: float, slack: float) -> float:
    return (max(one, other) + slack) / (min(one, other) + slack)


def _times(factor: float, value: float | None, slack: float = 0.0) -> float | None:
    return None if value is None else factor * (value + slack)


def _too_early(row: Insight) -> float:
    return math.inf if row.timestamp < EARLIEST_MEASURED else 0.0


def _made_mbps(row: Insight) -> float:
    return _total(row) * (row.io_size_kib or 0.0) * 1024 / 1e6


def _bandwidth_apart(row: Insight) -> float:
    if row.io_size_kib is None or _total(row) == 0:
        return 0.0
    return _times_apart(row.bandwidth_mbps, _made_mbps(row), BANDWIDTH_SLACK_MBPS) / SIZE_FACTOR


def _size_strain(row: Insight) -> float:
    least = _total(row) * SMALLEST_IO_BYTES / 1e6
    most = (_total(row) + IOPS_SLACK) * LARGEST_IO_BYTES / 1e6 + BANDWIDTH_SLACK_MBPS
    return max(row.bandwidth_mbps / most, least / (row.bandwidth_mbps + BANDWIDTH_SLACK_MBPS))


def _expected_queue(row: Insight) -> float:
    return _total(row) * (row.avg_latency_ms or 0.0) / 1000


def _little_factor(row: Insight) -> float:
    """An I/O that began before the interval counts in one of the two only, so a latency near its length widens the limit."""
    return LITTLE_FACTOR * (1 + (row.avg_latency_ms or 0.0) / 1000 / row.interval_seconds)


def _little_strain(row: Insight) -> float:
    if row.avg_latency_ms is None or row.queue_depth is None or _total(row) == 0:
        return 0.0
    return _times_apart(_expected_queue(row), row.queue_depth, QUEUE_SLACK) / _little_factor(row)


RULES: Final = (
    ConsistencyRule(
        "measured_in_our_time",
        "timestamp",
        _too_early,
        lambda row: f"it lies before {EARLIEST_MEASURED.year}, when nothing was measured yet",
    ),
    ConsistencyRule(
        "bandwidth_is_iops_times_size",
        "bandwidth_mbps",
        _bandwidth_apart,
        lambda row: (
            f"{_total(row):g} operations/s of io_size_kib {row.io_size_kib:g} make {_made_mbps(row):.4g} MB/s, "
            f"more than {SIZE_FACTOR:g} times apart"
        ),
    ),
    ConsistencyRule(
        "operations_have_a_possible_size",
        "bandwidth_mbps",
        _size_strain,
        lambda row: (
            f"at {_total(row):g} operations/s one would not have from {SMALLEST_IO_BYTES} B to "
            f"{LARGEST_IO_BYTES >> 20} MiB"
        ),
    ),
    ConsistencyRule(
        "percentiles_are_in_order",
        "p95_latency_ms",
        lambda row: _share(row.p95_latency_ms, _times(ROUNDING, row.p99_latency_ms)),
        lambda row: f"it is above p99_latency_ms {row.p99_latency_ms:g}",
    ),
    ConsistencyRule(
        "mean_is_near_p99",
        "avg_latency_ms",
        lambda row: _share(row.avg_latency_ms, _times(MEAN_FACTOR, row.p99_latency_ms, LATENCY_SLACK_MS)),
        lambda row: f"it is more than {MEAN_FACTOR:g} times p99_latency_ms {row.p99_latency_ms:g}",
    ),
    # Markov's inequality: where a share s of values is at least x, their mean is at least s times x.
    ConsistencyRule(
        "p99_is_possible_with_the_mean",
        "p99_latency_ms",
        lambda row: _share(row.p99_latency_ms, _times(ROUNDING * 100, row.avg_latency_ms, LATENCY_SLACK_MS)),
        lambda row: f"no latencies of the mean avg_latency_ms {row.avg_latency_ms:g} have a p99 of 100 times it",
    ),
    ConsistencyRule(
        "p95_is_possible_with_the_mean",
        "p95_latency_ms",
        lambda row: _share(row.p95_latency_ms, _times(ROUNDING * 20, row.avg_latency_ms, LATENCY_SLACK_MS)),
        lambda row: f"no latencies of the mean avg_latency_ms {row.avg_latency_ms:g} have a p95 of 20 times it",
    ),
    ConsistencyRule(
        "littles_law",
        "queue_depth",
        _little_strain,
        lambda row: (
            f"{_total(row):g} operations/s of avg_latency_ms {row.avg_latency_ms:g} keep {_expected_queue(row):.4g} "
            f"in flight (Little's law), more than {_little_factor(row):.3g} times apart"
        ),
    ),
    ConsistencyRule(
        "within_provisioned",
        "provisioned_iops",
        lambda row: _share(_total(row), _times(BURST_FACTOR, row.provisioned_iops)),
        lambda row: f"{_total(row):g} operations/s are more than {BURST_FACTOR:g} times as many",
    ),
)
