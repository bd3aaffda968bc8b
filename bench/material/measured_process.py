"""A command as a process of its own, with its seconds and the most memory that it and its children held."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.05
_KIB_PER_MB = 1e6 / 1024


class CommandFailed(RuntimeError):
    """A measured command ended with an error; its last lines of output are in the message."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`cpu_seconds` of all cores: what others of the same machine do stretches it far less than the clock's."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Runs it to its end. Peak: the kernel's high-water mark of resident memory (VmHWM) of each process, summed over
    those that live at once; what they share is counted for each, so a tree's peak is a bound from above. A process's
    own mark is never missed (wait4); the looks in between only tell who lived beside whom."""
    with log.open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        tree = _Tree(process.pid)
        watcher = threading.Thread(target=tree.watch, daemon=True)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    tree.ended.set()
    watcher.join()
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}: {log.read_text()[-2000:]}")
    peak_mb = max(tree.peak_kib, usage.ru_maxrss) / _KIB_PER_MB
    return Measured(round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3), round(peak_mb, 1))


@dataclass
class _Tree:
    root: int
    peak_kib: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.ended.wait(LOOK_SECONDS):
            self.peak_kib = max(self.peak_kib, sum(map(high_water_kib, descendants(self.root))))


def descendants(pid: int) -> list[int]:
    """The process and all below it that live now."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for path in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                waiting.extend(map(int, path.read_text().split()))
            except OSError:  # it has just ended
                continue
    return found


def high_water_kib(pid: int) -> int:
    """0 for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) if lines else 0
