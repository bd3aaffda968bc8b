"""fio's logs: single I/Os (`--write_lat_log` with log_avg_msec=0) or averages over a window, by device and interval.

Of single I/Os everything is computed here, percentiles too; of averages only what fio kept: IOPS, bandwidth and the mean
latency, from the `_iops`, `_bw` and `_lat` (else `_clat`) logs of one job. data/measure.py measures with the first kind.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

from collectors.device_facts import DeviceFacts, significant
from insights.files import RawRecord, UnreadableFile

SEQUENTIAL_LOOKBACK: Final = 32
"""Completions can overtake each other by at most the I/O depth."""
EPOCH_BEGINS_MS: Final = 1_000_000_000_000  # September 2001; a log that counts from its own start stays far below
STAMPS_APART_MS: Final = 5  # of one window, in several logs and directions
READ, WRITE = 0, 1
LOG_NAME: Final = re.compile(r"(?P<prefix>.*)_(?P<what>lat|clat|slat|iops|bw)(\.(?P<job>\d+))?\.log$")
HOW: Final = (
    "run fio with --log_unix_epoch=1, --per_job_logs=1 and --write_lat_log=PREFIX (and _iops_, _bw_ for averages)"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """`is_sequential` is None where the log has no offsets (log_offset=0)."""

    completed_ms: int
    latency_ms: float
    is_write: bool
    size_bytes: int
    is_sequential: bool | None


@dataclass(frozen=True, slots=True)
class LogLine:
    milliseconds: int
    value: int
    direction: int
    size_bytes: int
    offset: int | None


@dataclass
class JobLogs:
    """The logs of one job by what they are of."""

    device: str
    paths: dict[str, Path] = field(default_factory=dict)


def log_records(
    paths: Iterable[Path], *, facts: DeviceFacts, interval_seconds: float | None, start: datetime | None
) -> Iterator[RawRecord]:
    """Each job's intervals as values of an insight. `start` is when a log began whose times are its own.

    Of single I/Os, whole intervals of the clock (1 s if nothing is said) between the first and the last of them.
    """
    for job in job_logs(paths):
        lines = {what: read_lines(path, start) for what, path in job.paths.items()}
        latencies = lines.get("lat") or lines.get("clat") or []
        name = f"job {job.device!r} of {next(iter(job.paths.values())).parent}"
        if latencies and latencies[0].size_bytes:
            intervals = _of_operations(operations(latencies), interval_seconds or 1.0)
        else:
            intervals = _of_averages(lines, latencies, interval_seconds, name)
        for end_ms, values in intervals:
            at = datetime.fromtimestamp(end_ms / 1000, UTC).isoformat()
            yield RawRecord(f"{name} at {at}", {**facts.of(job.device), "timestamp": at, **values})


def job_logs(paths: Iterable[Path]) -> list[JobLogs]:
    """The logs of each job, which fio numbers: `<prefix>_lat.<job>.log`."""
    jobs: dict[str, JobLogs] = {}
    for path in sorted(paths):
        match = LOG_NAME.match(path.name)
        if match is None:
            raise UnreadableFile(str(path), "it is not named as fio names its logs, <prefix>_lat.<job>.log", HOW)
        device = f"{match['prefix']}.{match['job']}" if match["job"] else match["prefix"]
        jobs.setdefault(device, JobLogs(device)).paths[match["what"]] = path
    return list(jobs.values())


def read_lines(path: Path, start: datetime | None = None) -> list[LogLine]:
    """A line: ms, value, direction, bytes, then the offset (log_offset=1) and the priority, or the priority alone."""
    began = 0 if start is None else round(start.timestamp() * 1000)
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            ms, value, direction, size, *more = (int(part) for part in text.split(","))
        except ValueError as error:
            raise UnreadableFile(str(path), f"line {number} is no line of a log ({text[:40]!r})", HOW) from error
        if ms < EPOCH_BEGINS_MS and start is None:
            raise UnreadableFile(str(path), "its times count from its own start", f"give --start TIME, or {HOW}")
        stamp = ms if ms >= EPOCH_BEGINS_MS else began + ms
        lines.append(LogLine(stamp, value, direction, size, more[0] if len(more) > 1 else None))
    return lines


def operations(lines: Iterable[LogLine]) -> list[Operation]:
    """One job's reads and writes in the order of their completion."""
    found = []
    ends: deque[int] = deque(maxlen=SEQUENTIAL_LOOKBACK)
    for line in lines:
        if line.direction not in (READ, WRITE):
            continue
        is_sequential = None if line.offset is None else line.offset in ends
        if line.offset is not None:
            ends.append(line.offset + line.size_bytes)
        is_write = line.direction == WRITE
        found.append(Operation(line.milliseconds, line.value / 1e6, is_write, line.size_bytes, is_sequential))
    return found


def read_log(path: Path) -> list[Operation]:
    """One job's log of single I/Os."""
    return operations(read_lines(path))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: always a latency that was measured."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def interval_values(found: Sequence[Operation], seconds: float, *, digits: int = 6) -> dict[str, Any]:
    """What one device did in one interval; an idle one has no latency, size or pattern, not zero. The queue is the sum of
    latencies over the interval (Little's law). An I/O that failed ends its job, so that those of a log have no error."""
    latencies = sorted(operation.latency_ms for operation in found)
    count, size_bytes = len(found), sum(operation.size_bytes for operation in found)
    writes = sum(operation.is_write for operation in found)
    patterns = [operation.is_sequential for operation in found if operation.is_sequential is not None]
    return {
        "interval_seconds": seconds,
        "read_iops": significant((count - writes) / seconds, digits),
        "write_iops": significant(writes / seconds, digits),
        "avg_latency_ms": significant(sum(latencies) / count, digits) if count else None,
        "p95_latency_ms": significant(percentile(latencies, 0.95), digits) if count else None,
        "p99_latency_ms": significant(percentile(latencies, 0.99), digits) if count else None,
        "bandwidth_mbps": significant(size_bytes / 1e6 / seconds, digits),
        "error_rate": 0.0 if count else None,
        "queue_depth": significant(sum(latencies) / 1000 / seconds, digits),
        "io_size_kib": significant(size_bytes / count / 1024, digits) if count else None,
        "sequential_ratio": round(sum(patterns) / len(patterns), 3) if patterns else None,
    }


def _of_operations(found: Sequence[Operation], seconds: float) -> Iterator[tuple[int, dict[str, Any]]]:
    length_ms = round(seconds * 1000)
    by_interval: dict[int, list[Operation]] = defaultdict(list)
    for operation in found:
        by_interval[operation.completed_ms // length_ms].append(operation)
    if not by_interval:  # a log of trims alone: the job neither read nor wrote
        return
    # The first and the last are cut by the run's own beginning and end.
    for number in range(min(by_interval) + 1, max(by_interval)):
        yield (number + 1) * length_ms, interval_values(by_interval.get(number, []), seconds)


def _of_averages(
    lines: Mapping[str, Sequence[LogLine]], latencies: Sequence[LogLine], told: float | None, name: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """fio logs each window at its end, for each direction that had an I/O in it."""
    if not lines.get("iops") or not lines.get("bw"):
        raise UnreadableFile(name, "averages without an _iops and a _bw log do not tell what a device did", HOW)
    stamps = sorted({line.milliseconds for line in lines["iops"]})
    steps = [after - before for before, after in pairwise(stamps) if after - before > STAMPS_APART_MS]
    if not told and not steps:
        raise UnreadableFile(name, "a single window does not tell its length", "give --interval SECONDS")
    length_ms = round(told * 1000) if told else round(median(steps))
    first = stamps[0]
    by_window = {
        what: _by_window(given, first, length_ms)
        for what, given in (("iops", lines["iops"]), ("bw", lines["bw"]), ("latency", latencies))
    }
    for window in sorted(by_window["iops"]):
        values = _average_values(*(by_window[what].get(window, {}) for what in ("iops", "bw", "latency")))
        yield first + window * length_ms, {"interval_seconds": length_ms / 1000, **values}


def _by_window(lines: Iterable[LogLine], first: int, length_ms: int) -> dict[int, dict[int, int]]:
    """Window -> direction -> value; fio's stamps of one window differ by a millisecond or two."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for line in lines:
        found[round((line.milliseconds - first) / length_ms)][line.direction] = line.value
    return found


def _average_values(iops: Mapping[int, int], bw: Mapping[int, int], latency: Mapping[int, int]) -> dict[str, Any]:
    reads, writes = iops.get(READ, 0), iops.get(WRITE, 0)
    total, kib = reads + writes, bw.get(READ, 0) + bw.get(WRITE, 0)
    is_known = bool(total) and all(direction in latency for direction in (READ, WRITE) if iops.get(direction))
    waited_ns = sum(iops.get(direction, 0) * latency.get(direction, 0) for direction in (READ, WRITE))
    return {
        "read_iops": float(reads),
        "write_iops": float(writes),
        "bandwidth_mbps": significant(kib * 1024 / 1e6),
        "avg_latency_ms": significant(waited_ns / total / 1e6) if is_known else None,
        "queue_depth": significant(waited_ns / 1e9) if is_known else None,
        "io_size_kib": significant(kib / total) if total else None,
    }
