"""Finds and ends the laptop cloud's processes, also those that a killed run left behind.

A process is known by its pid and its start time, so that a pid which the system has given to somebody else is never
touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STOP_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class ProcessIdentity:
    pid: int
    started: str
    """When the kernel started it, in the unit of its source: two processes that shared a pid differ here."""

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """None when no such process is alive; a zombie counts as dead."""
        fields = _stat(pid)
        if fields is None or fields[0] == "Z":
            return None
        return cls(pid, fields[19])

    def is_alive(self) -> bool:
        return ProcessIdentity.of(self.pid) == self

    def signal(self, number: int) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command name (state first); from ps where there is no /proc."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if PROC.exists() else _stat_by_ps(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _stat_by_ps(pid: int) -> list[str] | None:
    import subprocess

    answer = subprocess.run(
        ["ps", "-o", "state=,ppid=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=2)
    if len(answer) < 3:
        return None
    return [answer[0][:1], answer[1], *[""] * 17, answer[2].strip()]


def parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def descendants(pid: int) -> list[ProcessIdentity]:
    """Every living process below pid, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir() if PROC.exists() else ():
        if entry.name.isdigit() and (parent := parent_of(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    return [found for child in _below(pid, children) if (found := ProcessIdentity.of(child))]


def _below(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    for child in children.get(pid, []):
        yield child
        yield from _below(child, children)


@dataclass(frozen=True)
class ProcessRecord:
    """The processes of one state folder, as its processes.json names them."""

    path: Path

    def read(self) -> list[ProcessIdentity]:
        try:
            return [ProcessIdentity(**entry) for entry in json.loads(self.path.read_text())["processes"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def write(self, processes: Iterable[ProcessIdentity]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"processes": [vars(process) for process in processes]})
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text + "\n")
        temporary.replace(self.path)

    def add(self, process: ProcessIdentity) -> None:
        known = self.read()
        if process not in known:
            self.write([*(entry for entry in known if entry.is_alive()), process])


def end(processes: Iterable[ProcessIdentity], *, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
    """SIGTERM to the living ones, SIGKILL to those that ignore it past the grace."""
    alive = [process for process in processes if process.is_alive()]
    for process in alive:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        alive = [process for process in alive if process.is_alive()]
    for process in alive:
        process.signal(signal.SIGKILL)


def end_tree(root: ProcessIdentity, *, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
    """End a process, then whatever it left of its children."""
    below = descendants(root.pid) if root.is_alive() else []
    end([root], grace_seconds=grace_seconds)
    end(below, grace_seconds=1.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_taken(port: int) -> bool:
    """Whether something listens on 127.0.0.1:port (or keeps it from being bound)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def owner_of_port(port: int) -> str:
    """ "pid 123 (node)" when the system tells who listens on the port, else an empty text."""
    inodes = set(_listening_inodes(port))
    for entry in PROC.iterdir() if PROC.exists() and inodes else ():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"pid {entry.name} ({(entry / 'comm').read_text().strip()})"
    return ""


def listening_ports(pid: int) -> list[int]:
    """The TCP ports that a process listens on, where /proc tells."""
    held = set()
    with contextlib.suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                held.add(os.readlink(descriptor))
    return sorted({port for inode, port in _listening() if inode in held})


def _listening_inodes(port: int) -> Iterator[str]:
    return (inode for inode, listened in _listening() if listened == port)


def _listening() -> Iterator[tuple[str, int]]:
    """(socket:[inode], port) of every listening TCP socket."""
    listening = "0A"
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == listening:
                    yield f"socket:[{fields[9]}]", int(fields[1].rpartition(":")[2], 16)


def exit_with_parent(parent: ProcessIdentity, *, poll_seconds: float = 0.5) -> threading.Thread:
    """Send this process SIGTERM soon after `parent` is gone, however it ended (SIGKILL included)."""

    def watch() -> None:
        while parent.is_alive():
            time.sleep(poll_seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True, name="parent-watch")
    thread.start()
    return thread
