"""The counters of /proc/diskstats, and what happened between two readings of them.

Fields after the kernel's Documentation/admin-guide/iostats.rst: counts and sectors are unsigned long (32 or 64 bits, as the
machine), milliseconds unsigned int (32 bits everywhere); all of them start anew when a device is attached again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from collectors.device_facts import DeviceFacts, significant
from insights.schema import Insight

PROC_DISKSTATS: Final = Path("/proc/diskstats")
SYS_BLOCK: Final = Path("/sys/block")
SECTOR_BYTES: Final = 512
"""Of these counters, whatever the device's own sectors are (include/linux/blk_types.h, SECTOR_SHIFT)."""
MILLISECOND_BITS: Final = 32
MOST_IN_FLIGHT: Final = 100_000
MOST_OPERATIONS_PER_SECOND: Final = 1e8
MOST_SECTORS_PER_SECOND: Final = 1e9
"""Far beyond any device: what a counter that fell would have gained by overflowing must stay below, or it was reset."""
NEVER_WATCHED: Final = ("loop", "ram", "zram", "sr", "fd")


@dataclass(frozen=True, slots=True)
class Counters:
    """Of one device since it was attached. `other_ms` is what discards and flushes took, `number` the device's identity."""

    number: str
    reads: int
    read_sectors: int
    read_ms: int
    writes: int
    write_sectors: int
    write_ms: int
    weighted_ms: int
    discard_ms: int = 0
    flush_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """All devices at one moment: `at` stamps what ended then, `elapsed_seconds` is a clock that nobody sets."""

    at: datetime
    elapsed_seconds: float
    devices: Mapping[str, Counters]


def parse_diskstats(text: str) -> dict[str, Counters]:
    """Each device's counters by its name; lines of fewer fields (partitions before Linux 2.6.25) are left out."""
    devices = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 14:
            continue
        counts = [int(field) for field in fields[3:]] + [0] * 6
        devices[fields[2]] = Counters(
            number=f"{fields[0]}:{fields[1]}",
            reads=counts[0],
            read_sectors=counts[2],
            read_ms=counts[3],
            writes=counts[4],
            write_sectors=counts[6],
            write_ms=counts[7],
            weighted_ms=counts[10],
            discard_ms=counts[14],
            flush_ms=counts[16],
        )
    return devices


def whole_disks(names: Iterable[str], sys_block: Path = SYS_BLOCK) -> list[str]:
    """The disks of the machine: no partitions, no loop and memory devices, none stacked on others (dm, md), which would
    be counted twice. Without /sys the names alone decide."""
    return sorted(name for name in names if _is_whole_disk(name, sys_block))


def _is_whole_disk(name: str, sys_block: Path) -> bool:
    if name.rstrip("0123456789") in NEVER_WATCHED:
        return False
    if sys_block.is_dir():
        return (sys_block / name.replace("/", "!") / "device").exists()
    return not name.startswith(("dm-", "md")) and not _looks_like_a_partition(name)


def _looks_like_a_partition(name: str) -> bool:
    if name.startswith(("nvme", "mmcblk", "nbd")):
        return "p" in name.removeprefix("mmcblk").removeprefix("nvme").removeprefix("nbd")
    return name[-1].isdigit()


def counter_bits(machine: str | None = None) -> int:
    """Of an unsigned long on this machine, or on one of that name."""
    name = machine or os.uname().machine
    return 64 if "64" in name or name == "s390x" else 32


def insight_between(
    before: Reading, after: Reading, device: str, *, facts: DeviceFacts, bits: int | None = None
) -> Insight | None:
    """What a device did between two readings; None where it was not there for both, or its counters started anew.

    `bits` are those of the machine's unsigned long. Percentiles, errors and sequentiality are unknown to the kernel: null.
    """
    seconds = round(after.elapsed_seconds - before.elapsed_seconds, 3)
    then, now = before.devices.get(device), after.devices.get(device)
    if then is None or now is None or then.number != now.number or seconds <= 0:
        return None
    gained = _Gained.between(then, now, seconds, bits or counter_bits())
    return None if gained is None else gained.insight(after.at, seconds, facts.of(device))


@dataclass(frozen=True, slots=True)
class _Gained:
    reads: int
    writes: int
    sectors: int
    busy_ms: int
    queue_ms: int

    @classmethod
    def between(cls, then: Counters, now: Counters, seconds: float, bits: int) -> _Gained | None:
        operations, sectors = MOST_OPERATIONS_PER_SECOND * seconds, MOST_SECTORS_PER_SECOND * seconds
        waits = MOST_IN_FLIGHT * 1000 * seconds
        gains = {
            "reads": gain(then.reads, now.reads, bits, operations),
            "writes": gain(then.writes, now.writes, bits, operations),
            "read_sectors": gain(then.read_sectors, now.read_sectors, bits, sectors),
            "write_sectors": gain(then.write_sectors, now.write_sectors, bits, sectors),
            **{
                name: gain(getattr(then, name), getattr(now, name), MILLISECOND_BITS, waits)
                for name in ("read_ms", "write_ms", "weighted_ms", "discard_ms", "flush_ms")
            },
        }
        known = {name: value for name, value in gains.items() if value is not None}
        if len(known) < len(gains):
            return None
        return cls(
            reads=known["reads"],
            writes=known["writes"],
            sectors=known["read_sectors"] + known["write_sectors"],
            busy_ms=known["read_ms"] + known["write_ms"],
            # Of the operations that a row counts, reads and writes; each counter is cut to whole milliseconds, so that
            # the difference may fall a few below zero.
            queue_ms=max(0, known["weighted_ms"] - known["discard_ms"] - known["flush_ms"]),
        )

    def insight(self, at: datetime, seconds: float, facts: Mapping[str, object]) -> Insight:
        operations, size_bytes = self.reads + self.writes, self.sectors * SECTOR_BYTES
        values = {
            "timestamp": at,
            "interval_seconds": seconds,
            "read_iops": significant(self.reads / seconds),
            "write_iops": significant(self.writes / seconds),
            "bandwidth_mbps": significant(size_bytes / 1e6 / seconds),
            "avg_latency_ms": significant(self.busy_ms / operations) if operations else None,
            "queue_depth": significant(self.queue_ms / 1000 / seconds),
            "io_size_kib": significant(size_bytes / 1024 / operations) if operations else None,
        }
        return Insight(**{**facts, **values})  # type: ignore[arg-type] # the constructor checks every value


def gain(then: int, now: int, bits: int, most: float) -> int | None:
    """What a counter of so many bits gained; None where it fell and an overflow would have gained more than `most` or
    more than half of its range."""
    if now >= then:
        return now - then
    overflowed = now - then + 2**bits
    return overflowed if 0 <= overflowed <= min(most, 2 ** (bits - 1)) else None
