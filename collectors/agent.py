"""Watches this machine's disks: reads their counters every interval and hands over what each disk did in between."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from collectors.device_facts import DeviceFacts
from collectors.diskstats import PROC_DISKSTATS, SYS_BLOCK, Reading, insight_between, parse_diskstats, whole_disks
from insights.schema import Insight


class NoDisks(RuntimeError):
    """There is nothing to watch here; the message is the one clear sentence."""


@dataclass(frozen=True)
class Machine:
    """Where the kernel tells of its disks, and the clocks; a test gives its own.

    CLOCK_BOOTTIME goes on while the machine sleeps, as the counters' interval does, and nobody sets it.
    """

    proc_diskstats: Path = PROC_DISKSTATS
    sys_block: Path = SYS_BLOCK
    elapsed_seconds: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def read(self) -> Reading:
        """A disk's identity is its number and, since Linux 5.15, the sequence number that a new one under it would change."""
        text, at, elapsed = self.proc_diskstats.read_text(), self.now(), self.elapsed_seconds()
        devices = {
            name: replace(counters, number=f"{counters.number}{self._sequence(name)}")
            for name, counters in parse_diskstats(text).items()
        }
        return Reading(at, elapsed, devices)

    def _sequence(self, name: str) -> str:
        try:
            return "#" + (self.sys_block / name.replace("/", "!") / "diskseq").read_text().strip()
        except OSError:
            return ""

    def disks(self) -> list[str]:
        """The whole disks that there are now; NoDisks where the kernel names none."""
        try:
            found = whole_disks(self.read().devices, self.sys_block)
        except OSError as error:
            raise NoDisks(
                f"{self.proc_diskstats} cannot be read ({error.strerror}): only Linux tells of its disks"
            ) from error
        if not found:
            raise NoDisks(f"{self.proc_diskstats} names no whole disk (a container's sandbox?)")
        return found


@dataclass(frozen=True, kw_only=True)
class DiskWatch:
    """`devices`: their names, or None for every whole disk that there is at each reading."""

    machine: Machine
    facts: DeviceFacts
    interval_seconds: float
    devices: Collection[str] | None = None

    def intervals(self, stop: threading.Event, *, count: int | None = None) -> Iterator[Sequence[Insight]]:
        """Each complete interval's rows, until `stop` is set or `count` intervals are over.

        Ticks keep to the first reading's beat. One that comes late, or was slept through, ends a longer interval; the beat
        after it is left out where it is nearer than half an interval, of which a row's window would be cut short.
        """
        before = self.machine.read()
        started, told = before.elapsed_seconds, 0
        while count is None or told < count:
            passed = (self.machine.elapsed_seconds() - started) / self.interval_seconds
            due = started + (math.floor(passed + 0.5) + 1) * self.interval_seconds
            if stop.wait(max(0.0, due - self.machine.elapsed_seconds())):
                return
            after = self.machine.read()
            yield self.rows(before, after)
            before, told = after, told + 1

    def rows(self, before: Reading, after: Reading) -> list[Insight]:
        names = whole_disks(after.devices, self.machine.sys_block) if self.devices is None else self.devices
        found = (insight_between(before, after, name, facts=self.facts) for name in names)
        return [row for row in found if row is not None]
