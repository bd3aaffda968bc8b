"""Is a row's own arithmetic possible? Rules between fields that both are known, so that a wrong unit is refused, not learnt.

Each field has its range in insights/schema.py; these are what no single range can see: milliseconds given as seconds,
bits as bytes, a count per interval as one per second. A limit is as far off as measured rows never come (docs/collectors.md
says how near they come); rows that are null on one side, and idle ones, break no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from insights.schema import Insight, InvalidInsight, timestamp_text

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
# What two decimals leave of a small number, in MB/s, operations/s and I/Os in flight.
BANDWIDTH_SLACK_MBPS: Final = 0.05
IOPS_SLACK: Final = 0.01
QUEUE_SLACK: Final = 0.1


@dataclass(frozen=True, slots=True)
class ConsistencyRule:
    """`broken` tells what is wrong with a row, or None; `field` is the one that is reported and usually at fault."""

    name: str
    field: str
    broken: Callable[[Insight], str | None]


def inconsistency(row: Insight) -> InvalidInsight | None:
    """The refusal of the first rule that the row breaks."""
    for rule in RULES:
        reason = rule.broken(row)
        if reason is not None:
            value = getattr(row, rule.field)
            shown = timestamp_text(value) if isinstance(value, datetime) else value
            record = f"insight of device {row.device_id!r} at {timestamp_text(row.timestamp)}"
            sentence = f"{reason}; is a unit wrong? ({rule.name})"
            return InvalidInsight(record=record, field=rule.field, value=shown, rule=sentence)
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


def _total(row: Insight) -> float:
    return row.read_iops + row.write_iops


def _times_apart(one: float, other: float, slack: float) -> float:
    return (max(one, other) + slack) / (min(one, other) + slack)


def _measured_in_our_time(row: Insight) -> str | None:
    if row.timestamp >= EARLIEST_MEASURED:
        return None
    return f"it lies before {EARLIEST_MEASURED.year}, when nothing was measured yet"


def _bandwidth_is_iops_times_size(row: Insight) -> str | None:
    if row.io_size_kib is None or _total(row) == 0:
        return None
    made = _total(row) * row.io_size_kib * 1024 / 1e6
    if _times_apart(row.bandwidth_mbps, made, BANDWIDTH_SLACK_MBPS) <= SIZE_FACTOR:
        return None
    size = f"{_total(row):g} operations/s of io_size_kib {row.io_size_kib:g}"
    return f"{size} make {made:.4g} MB/s, more than {SIZE_FACTOR:g} times apart"


def _operations_have_a_possible_size(row: Insight) -> str | None:
    least = _total(row) * SMALLEST_IO_BYTES / 1e6 - BANDWIDTH_SLACK_MBPS
    most = (_total(row) + IOPS_SLACK) * LARGEST_IO_BYTES / 1e6 + BANDWIDTH_SLACK_MBPS
    if least <= row.bandwidth_mbps <= most:
        return None
    between = f"{SMALLEST_IO_BYTES} B and {LARGEST_IO_BYTES >> 20} MiB"
    return f"at {_total(row):g} operations/s an operation would not have between {between}"


def _percentiles_are_in_order(row: Insight) -> str | None:
    if row.p95_latency_ms is None or row.p99_latency_ms is None:
        return None
    if row.p95_latency_ms <= ROUNDING * row.p99_latency_ms:
        return None
    return f"it is above p99_latency_ms {row.p99_latency_ms:g}"


def _mean_is_near_p99(row: Insight) -> str | None:
    if row.avg_latency_ms is None or row.p99_latency_ms is None:
        return None
    if row.avg_latency_ms <= MEAN_FACTOR * row.p99_latency_ms:
        return None
    return f"it is more than {MEAN_FACTOR:g} times p99_latency_ms {row.p99_latency_ms:g}"


def _below_markov(percentile: float | None, mean: float | None, most: float) -> str | None:
    """Markov's inequality: where a share s of values is at least x, their mean is at least s times x."""
    if percentile is None or mean is None or percentile <= ROUNDING * most * mean:
        return None
    return f"it is more than {most:g} times avg_latency_ms {mean:g}, which no set of latencies gives"


def _p99_is_possible_with_the_mean(row: Insight) -> str | None:
    return _below_markov(row.p99_latency_ms, row.avg_latency_ms, 100)


def _p95_is_possible_with_the_mean(row: Insight) -> str | None:
    return _below_markov(row.p95_latency_ms, row.avg_latency_ms, 20)


def _little(row: Insight) -> str | None:
    """An I/O that began before the interval counts in one of the two only, so a latency near its length widens the limit."""
    if row.avg_latency_ms is None or row.queue_depth is None or _total(row) == 0:
        return None
    expected = _total(row) * row.avg_latency_ms / 1000
    limit = LITTLE_FACTOR * (1 + row.avg_latency_ms / 1000 / row.interval_seconds)
    if _times_apart(expected, row.queue_depth, QUEUE_SLACK) <= limit:
        return None
    load = f"{_total(row):g} operations/s of avg_latency_ms {row.avg_latency_ms:g}"
    return f"{load} keep {expected:.4g} in flight (Little's law), more than {limit:.3g} times apart"


def _within_provisioned(row: Insight) -> str | None:
    if row.provisioned_iops is None or _total(row) <= BURST_FACTOR * row.provisioned_iops:
        return None
    return f"{_total(row):g} operations/s are more than {BURST_FACTOR:g} times as many"


RULES: Final = (
    ConsistencyRule("measured_in_our_time", "timestamp", _measured_in_our_time),
    ConsistencyRule("bandwidth_is_iops_times_size", "bandwidth_mbps", _bandwidth_is_iops_times_size),
    ConsistencyRule("operations_have_a_possible_size", "bandwidth_mbps", _operations_have_a_possible_size),
    ConsistencyRule("percentiles_are_in_order", "p95_latency_ms", _percentiles_are_in_order),
    ConsistencyRule("mean_is_near_p99", "avg_latency_ms", _mean_is_near_p99),
    ConsistencyRule("p99_is_possible_with_the_mean", "p99_latency_ms", _p99_is_possible_with_the_mean),
    ConsistencyRule("p95_is_possible_with_the_mean", "p95_latency_ms", _p95_is_possible_with_the_mean),
    ConsistencyRule("littles_law", "queue_depth", _little),
    ConsistencyRule("within_provisioned", "provisioned_iops", _within_provisioned),
)
