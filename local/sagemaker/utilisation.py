"""How busy serving instances are: CPUUtilization and MemoryUtilization, a sample per instance, as SageMaker publishes them.

A laptop's instance is a process and what it started, so a core is 100% of CPU as in AWS and memory is the machine's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from local.processes import descendants

NAMESPACE = "/aws/sagemaker/Endpoints"
PROC = Path("/proc")
USER_TIME, SYSTEM_TIME = 11, 12
"""Fields of /proc/<pid>/stat after the command (proc(5): utime is the 14th of all)."""


class Utilisation:
    """Remembers each instance's processor time from one look to the next; tells nothing where there is no /proc."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}

    def of(self, pids: Iterable[int], *, moment: float) -> tuple[list[float], list[float]]:
        """Per cent of a core since the last look (instances seen before alone), and per cent of memory."""
        cpu, memory = [], []
        looked: dict[int, tuple[float, float]] = {}
        for pid in pids:
            processes = [pid, *(process.pid for process in descendants(pid))]
            seconds, used = sum(map(cpu_seconds, processes)), sum(map(resident_bytes, processes))
            if used == 0:
                continue  # it ended
            looked[pid] = (moment, seconds)
            memory.append(100 * used / memory_bytes())
            if pid in self._seen and (elapsed := moment - self._seen[pid][0]) > 0:
                cpu.append(100 * max(0.0, seconds - self._seen[pid][1]) / elapsed)
        self._seen.update(looked)
        return cpu, memory

    def forget_all_but(self, pids: Iterable[int]) -> None:
        kept = set(pids)
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in kept}


def cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
        return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
