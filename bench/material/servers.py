"""Server processes of a bench or a test: started on a free port, awaited, looked at, and stopped with all they started."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 30.0


@contextlib.contextmanager
def server(
    command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The process group of `command` from its first green /ping until the end of the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await_green(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def own_server(model: Path, *, workers: int, log: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The container's `serve` on a model folder: its port and process."""
    port = free_port()
    command = [sys.executable, "-m", "training_container", "serve", "--model", str(model), "--port", str(port)]
    environment = {"BIND_HOST": "127.0.0.1", "SERVE_WORKERS": str(workers)}
    with server(command, port=port, log=log, environment=environment) as process:
        yield port, process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


def ping_milliseconds(port: int) -> float | None:
    """None where the answer is no 200."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        is_green = connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        is_green = False
    finally:
        connection.close()
    return 1e3 * (time.perf_counter() - started) if is_green else None


def workers_of(process: subprocess.Popen[bytes], count: int) -> list[int]:
    """The processes that answer, when there are as many: its children, or itself where it is the only one."""
    deadline = time.monotonic() + START_SECONDS
    while len(found := _children(process.pid) or [process.pid]) != count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} has {len(found)} workers; {count} were asked for")
        time.sleep(0.02)
    return found


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Of the process and all that it started and that still run, user and system."""
    ticks, pids = 0, [process.pid]
    while pids:
        pid = pids.pop()
        pids += _children(pid)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _await_green(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while ping_milliseconds(port) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} did not answer /ping; {log} says: {log.read_text()[-2000:]}")
        time.sleep(0.05)
