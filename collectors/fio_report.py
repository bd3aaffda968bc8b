"""fio's JSON (`--output-format=json` or json+): a job is a device, its whole run one interval.

The latency is `lat` (submission included) where the job was told lat_percentiles=1, else `clat`, one measure for mean,
percentiles and queue. Of a job that both read and wrote, fio prints percentiles of each direction; the device's own are
known only where it merged them too (unified_rw_reporting=both) or printed the histograms (json+), and null otherwise.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from collectors.device_facts import DeviceFacts, significant
from insights.files import RawRecord, UnreadableFile
from insights.schema import WHOLE_RECORD, InvalidInsight

HOW: Final = "run fio with --output-format=json and --output=FILE"
DIRECTIONS: Final = ("read", "write")


def report_records(text: str, *, source: str, facts: DeviceFacts) -> Iterator[RawRecord | InvalidInsight]:
    """One record for each job; a job that fio ended for an error is refused, as its rates are those of a run cut short."""
    report = _parsed(text, source)
    at = datetime.fromtimestamp(report["timestamp_ms"] / 1000, UTC)
    for job in report["jobs"]:
        name = f"job {job.get('jobname')!r} of {source}"
        reason = _reason_to_refuse(job)
        if reason:
            yield InvalidInsight(record=name, field=WHOLE_RECORD, value=job.get("jobname"), rule=reason)
        else:
            yield RawRecord(name, {**facts.of(str(job["jobname"])), "timestamp": at.isoformat(), **_values(job)})


def _reason_to_refuse(job: Mapping[str, Any]) -> str:
    """Why a job is no insight; empty if it is one."""
    if job.get("error") and not job.get("total_err"):
        return f"it ended with the error {job['error']}; repeat it, or let it go on with continue_on_error=io"
    if not all(name in job for name in DIRECTIONS):
        return (
            "its reads and writes are merged, of which nothing tells the shares; run it with unified_rw_reporting=both"
        )
    return ""


def _parsed(text: str, source: str) -> dict[str, Any]:
    """fio may print notes before the JSON."""
    try:
        report = json.loads(text[text.index("{") :])
        if "timestamp_ms" in report and "jobs" in report:
            return dict(report)
        raise UnreadableFile(source, "it has no timestamp_ms and jobs", HOW)
    except ValueError as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(source, f"it is not fio's JSON ({error})", HOW) from error


def _values(job: Mapping[str, Any]) -> dict[str, Any]:
    sides = [job[name] for name in DIRECTIONS if job[name]["total_ios"]]
    seconds = max((side["runtime"] for side in sides), default=job["job_runtime"]) / 1000
    operations = sum(side["total_ios"] for side in sides)
    size_bytes = sum(side["io_bytes"] for side in sides)
    measure = "lat_ns" if any("percentile" in side["lat_ns"] for side in sides) else "clat_ns"
    waited_ns = sum(side[measure]["mean"] * side["total_ios"] for side in sides)
    merged = [job["mixed"]] if len(sides) > 1 and "mixed" in job else sides
    return {
        "interval_seconds": seconds,
        "read_iops": significant(job["read"]["total_ios"] / seconds),
        "write_iops": significant(job["write"]["total_ios"] / seconds),
        "bandwidth_mbps": significant(size_bytes / 1e6 / seconds),
        "avg_latency_ms": significant(waited_ns / operations / 1e6) if operations else None,
        "p95_latency_ms": _percentile(merged, measure, 95),
        "p99_latency_ms": _percentile(merged, measure, 99),
        "error_rate": _error_rate(job, operations),
        "queue_depth": significant(waited_ns / 1e9 / seconds),
        "io_size_kib": significant(size_bytes / 1024 / operations) if operations else None,
    }


def _error_rate(job: Mapping[str, Any], operations: int) -> float | None:
    """fio counts errors only where it was told to go on after one; a job that ended well without that had none."""
    errors = job.get("total_err", 0)
    return significant(errors / (operations + errors)) if operations + errors else None


def _percentile(sides: Sequence[Mapping[str, Any]], measure: str, rank: int) -> float | None:
    """In ms; of one direction as fio says, of two by nearest rank over both histograms."""
    if len(sides) == 1:
        known = sides[0][measure].get("percentile", {}).get(f"{rank}.000000")
        return None if known is None else significant(known / 1e6)
    if not sides or not all("bins" in side[measure] for side in sides):
        return None
    bins: Counter[int] = Counter()
    for side in sides:
        bins.update({int(nanoseconds): count for nanoseconds, count in side[measure]["bins"].items()})
    last = math.ceil(rank / 100 * bins.total())
    for nanoseconds in sorted(bins):
        last -= bins[nanoseconds]
        if last <= 0:
            return significant(nanoseconds / 1e6)
    return None
