"""What sysstat's tools printed: `iostat -x -y -t` (JSON or plain) and `sadf -j FILE -- -d`, the JSON of `sar -d`.

iostat's rates are over its real interval, of which it prints only the end, in whole seconds. Its first report, without -y,
is about the time since boot, and nothing in the output says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any, Final

from collectors.device_facts import DeviceFacts, significant
from insights.files import RawRecord, UnreadableFile
from insights.schema import InvalidInsight

KIB: Final = 1024
Record = RawRecord | InvalidInsight
HOW_IOSTAT: Final = "record it with: S_TIME_FORMAT=ISO iostat -x -y -t -o JSON SECONDS COUNT"
HOW_SADF: Final = "record it with: sadf -j SA_FILE -- -d"
NEEDED: Final = ("r/s", "w/s", "rkB/s", "wkB/s", "r_await", "w_await", "aqu-sz")


@dataclass(frozen=True)
class Report:
    """One interval of all devices, as it was printed."""

    at: datetime
    disks: Sequence[Mapping[str, Any]]


def iostat_records(text: str, *, source: str, facts: DeviceFacts, interval_seconds: float | None) -> Iterator[Record]:
    """Each report's devices as values of an insight; `interval_seconds` is the one that iostat was told, where it is known."""
    host, reports = _from_json(text, source) if text.lstrip().startswith("{") else _from_plain(text, source)
    facts = facts if facts.host else replace(facts, host=host)
    for report, seconds in zip(reports, _intervals(reports, interval_seconds, source), strict=True):
        for disk in report.disks:
            name = f"{disk.get('disk_device')} at {report.at.isoformat()} in {source}"
            missing = [column for column in NEEDED if column not in disk]
            if missing:
                yield _refused(name, disk, f"it lacks {', '.join(missing)}; {HOW_IOSTAT}")
            else:
                yield RawRecord(name, _stamped(report.at, seconds, _iostat_values(disk, facts)))


def sadf_records(text: str, *, source: str, facts: DeviceFacts) -> Iterator[Record]:
    """The same of sar's, which counts reads, writes and discards together: they are split as their bytes are, and discards
    stay among the writes. The caller has said that this will do."""
    for host in _hosts(text, source, HOW_SADF):
        owned = facts if facts.host else replace(facts, host=str(host.get("nodename", "")))
        for report in host.get("statistics", []):
            stamp = report.get("timestamp", {})
            at = _parsed(f"{stamp.get('date')}T{stamp.get('time')}{'Z' if stamp.get('utc') else ''}", source, HOW_SADF)
            for disk in report.get("disk", []):
                name = f"{disk.get('disk-device')} at {at.isoformat()} in {source}"
                if "tps" not in disk or "rkB" not in disk or "aqu-sz" not in disk:
                    yield _refused(name, disk, f"it lacks tps, rkB or aqu-sz (sysstat 12 has them); {HOW_SADF}")
                else:
                    yield RawRecord(name, _stamped(at, float(stamp["interval"]), _sar_values(disk, owned)))


def _refused(name: str, disk: Mapping[str, Any], rule: str) -> InvalidInsight:
    return InvalidInsight(record=name, field="(record)", value=dict(disk), rule=rule)


def _stamped(at: datetime, seconds: float, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"timestamp": at.isoformat(), "interval_seconds": seconds, **values}


def _iostat_values(disk: Mapping[str, Any], facts: DeviceFacts) -> dict[str, Any]:
    reads, writes = float(disk["r/s"]), float(disk["w/s"])
    waited_ms = reads * float(disk["r_await"]) + writes * float(disk["w_await"])
    others_ms = sum(float(disk.get(f"{kind}/s", 0)) * float(disk.get(f"{kind}_await", 0)) for kind in ("d", "f"))
    kib = float(disk["rkB/s"]) + float(disk["wkB/s"])
    total = reads + writes
    return {
        **facts.of(str(disk["disk_device"])),
        "read_iops": reads,
        "write_iops": writes,
        "bandwidth_mbps": significant(kib * KIB / 1e6),
        "avg_latency_ms": significant(waited_ms / total) if total else None,
        # What a row's operations waited, without discards and flushes, which are not among them.
        "queue_depth": significant(max(0.0, float(disk["aqu-sz"]) - others_ms / 1000)),
        "io_size_kib": significant(kib / total) if total else None,
    }


def _sar_values(disk: Mapping[str, Any], facts: DeviceFacts) -> dict[str, Any]:
    total, read_kib, written_kib = float(disk["tps"]), float(disk["rkB"]), float(disk["wkB"])
    kib = read_kib + written_kib
    read_share = read_kib / kib if kib else 0.0
    return {
        **facts.of(str(disk["disk-device"])),
        "read_iops": significant(total * read_share),
        "write_iops": significant(total * (1 - read_share)),
        "bandwidth_mbps": significant(kib * KIB / 1e6),
        "avg_latency_ms": float(disk["await"]) if total else None,
        "queue_depth": float(disk["aqu-sz"]),
        "io_size_kib": significant(kib / total) if total and kib else None,
    }


def _hosts(text: str, source: str, how: str) -> list[Mapping[str, Any]]:
    try:
        return list(json.loads(text)["sysstat"]["hosts"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(source, f"it is not sysstat's JSON, or was cut off ({error!r})", how) from error


def _from_json(text: str, source: str) -> tuple[str, list[Report]]:
    (host,) = _hosts(text, source, HOW_IOSTAT)
    reports = [
        Report(_parsed(str(report.get("timestamp")), source, HOW_IOSTAT), report.get("disk", []))
        for report in host.get("statistics", [])
    ]
    return str(host.get("nodename", "")), reports


def _from_plain(text: str, source: str) -> tuple[str, list[Report]]:
    """The columns are named above each report: `Device r/s rkB/s ...`; a line with a time alone begins one."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or "(" not in lines[0]:
        raise UnreadableFile(source, "it is no output of iostat", HOW_IOSTAT)
    host = lines[0].partition("(")[2].partition(")")[0]
    reports: list[Report] = []
    disks: list[dict[str, Any]] = []
    columns: list[str] = []
    for line in lines[1:]:
        cells = line.split()
        if cells[0].rstrip(":") == "Device":
            columns = ["disk_device", *cells[1:]]
        elif cells[0] == "avg-cpu:":
            columns = []
        elif ":" in line and len(cells) <= 3:
            disks, columns = [], []
            reports.append(Report(_parsed(line.strip(), source, HOW_IOSTAT), disks))
        elif len(cells) == len(columns):
            disks.append(dict(zip(columns, cells, strict=True)))
    return host, reports


def _parsed(text: str, source: str, how: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UnreadableFile(source, f"its time {text!r} names no offset from UTC", how)
    return at.astimezone(UTC)


def _intervals(reports: Sequence[Report], told: float | None, source: str) -> list[float]:
    """Seconds of each report: the distance of their times, which is a longer one after a pause; of the first the usual one."""
    steps = [(after.at - before.at).total_seconds() for before, after in pairwise(reports)]
    usual = told or (median(steps) if steps else 0.0)
    if reports and not usual > 0:
        raise UnreadableFile(source, "it has a single report, whose length it does not tell", "give --interval SECONDS")
    # Times are cut to seconds: a step of one second more or less than was told is that, and no pause.
    return [usual, *(usual if abs(step - usual) <= 1 else step for step in steps)][: len(reports)]
