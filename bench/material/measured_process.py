"""A command as a process of its own, with its seconds and the most memory that it and its children held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.05
# A process inherits the high-water mark of whoever starts it (exec(2) keeps ru_maxrss), so that somebody small does.
_STARTER = """
import json, os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as told:
    json.dump([usage.ru_maxrss, usage.ru_utime + usage.ru_stime], told)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""
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
    with log.open("ab") as output, tempfile.NamedTemporaryFile("r") as told:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _STARTER, told.name, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        tree = _Tree(process.pid)
        watcher = threading.Thread(target=tree.watch, daemon=True)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        tree.ended.set()
        watcher.join()
        if code != 0:
            raise CommandFailed(f"{' '.join(command)} ended with {code}: {log.read_text()[-2000:]}")
        own_kib, cpu_seconds = json.load(told)
    peak_mb = max(tree.peak_kib, own_kib) / _KIB_PER_MB
    return Measured(round(seconds, 3), round(cpu_seconds, 3), round(peak_mb, 1))


@dataclass
class _Tree:
    root: int
    """The starter, which does not count."""
    peak_kib: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.ended.wait(LOOK_SECONDS):
            below = descendants(self.root)[1:]
            self.peak_kib = max(self.peak_kib, sum(map(high_water_kib, below)))


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
