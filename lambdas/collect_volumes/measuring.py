"""One period of a volume, from CloudWatch's sums and averages to an insight. What is not known is null, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from insights.schema import Insight, InvalidInsight
from lambdas.collect_volumes.volumes import Volume

# A volume without any operation is idle for the whole period; a minute's edge may take a second off.
IDLE_SHARE: Final = 0.99
# With the bucket this empty a gp2, st1 or sc1 volume is at its baseline, or will be within the period.
SPENT_PERCENT: Final = 5.0
_OF_ACTIVITY: Final = ("read_bytes", "write_bytes", "read_seconds", "write_seconds")
_SECONDS_TO_MS: Final = 1000.0


def insight_of(
    volume: Volume, start: datetime, points: Mapping[str, float], *, period_seconds: int, is_settled: bool
) -> Insight | None:
    """None where the volume told nothing; InvalidInsight where what it told is no insight, or none before it `is_settled`:
    as long as points may come, a missing one says nothing.

    CloudWatch stamps a period with its start, an insight bears its end.
    """
    record = f"volume {volume.volume_id}, period from {start.isoformat()}"
    operations = _operations(points, period_seconds, record, is_settled=is_settled)
    if operations is None:
        return None
    total, moved = sum(operations.values()), _bytes_moved(operations, points, record)
    try:
        return Insight(
            device_id=volume.volume_id,
            timestamp=start + timedelta(seconds=period_seconds),
            interval_seconds=float(period_seconds),
            read_iops=operations["read"] / period_seconds,
            write_iops=operations["write"] / period_seconds,
            avg_latency_ms=_latency_ms(operations, points),
            bandwidth_mbps=moved / period_seconds / 1e6,
            queue_depth=points.get("queue"),
            io_size_kib=moved / total / 1024 if total else None,
            provisioned_iops=volume.iops,
            device_class=volume.device_class,
            alert=_has_alert(volume, points),
        )
    except InvalidInsight as refusal:
        raise refusal.at(record) from None


def _operations(
    points: Mapping[str, float], period_seconds: int, record: str, *, is_settled: bool
) -> dict[str, float] | None:
    """Completed reads and writes; none of either where VolumeIdleTime says so; None where nothing is said."""
    known = {way: points[f"{way}_ops"] for way in ("read", "write") if f"{way}_ops" in points}
    if len(known) == 2:
        return known
    if not known:
        others = [points[name] for name in _OF_ACTIVITY if name in points]
        idle_seconds = points.get("idle_seconds")
        if idle_seconds is None and not others:
            return None
        is_idle = idle_seconds is not None and idle_seconds >= IDLE_SHARE * period_seconds
        if is_settled and is_idle and not any(others):
            return {"read": 0.0, "write": 0.0}
    missing = "write" if "read" in known else "read"
    raise InvalidInsight(
        record=record,
        field=f"{missing}_iops",
        value=None,
        rule=f"the period has points ({', '.join(sorted(points))}) but none of how many {missing}s it completed",
    )


def _bytes_moved(operations: Mapping[str, float], points: Mapping[str, float], record: str) -> float:
    """No operation moves no bytes: a Xen instance's volume has no point for bytes and time then."""
    moved = 0.0
    for way, count in operations.items():
        if count and f"{way}_bytes" not in points:
            raise InvalidInsight(
                record=record,
                field="bandwidth_mbps",
                value=None,
                rule=f"the period completed {count:g} {way}s and has no point of the bytes that they moved",
            )
        moved += points[f"{way}_bytes"] if count else 0.0
    return moved


def _latency_ms(operations: Mapping[str, float], points: Mapping[str, float]) -> float | None:
    """Mean over all operations that completed; null without any, and where the time of some is not known."""
    seconds = 0.0
    for way, count in operations.items():
        if count and f"{way}_seconds" not in points:
            return None
        seconds += points[f"{way}_seconds"] if count else 0.0
    total = sum(operations.values())
    return _SECONDS_TO_MS * seconds / total if total else None


def _has_alert(volume: Volume, points: Mapping[str, float]) -> bool:
    """A check that failed in any minute of the period, or credits that are spent."""
    is_spent = volume.spends_credits and points.get("burst", 100.0) <= SPENT_PERCENT
    return is_spent or points.get("failed_checks", 0.0) >= 1.0
