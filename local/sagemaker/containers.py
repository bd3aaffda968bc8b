"""Container processes: started, watched, stopped, and known by pid to the next start of the laptop cloud."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from local.processes import ProcessIdentity, ProcessRecord
from local.sagemaker.settings import Settings

logger = logging.getLogger("iops.sagemaker")
SIGNALLED = 128
"""Docker's exit code of a process that a signal ended is 128 + its number."""
KILLED = SIGNALLED + signal.SIGKILL


@dataclass(frozen=True, kw_only=True)
class Start:
    """What to run: `python -m module arguments`, or `command` as it stands."""

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    directory: Path
    command: tuple[str, ...] = ()


class Container:
    """One running container process and its end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.identity = ProcessIdentity.of(pid)
        self.exit_code: int | None = None
        self.falls_with_its_instance = False
        """Set by who takes the machine away from below it: that it was killed says nothing of the container then."""
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._on_exit: list[Callable[[], None]] = []

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """The exit code, or None when it still runs after the timeout."""
        self._ended.wait(timeout_seconds)
        return self.exit_code

    @property
    def is_running(self) -> bool:
        return self.exit_code is None

    @property
    def is_lost(self) -> bool:
        """It ended because its instance did. Killed by anybody else it ended by itself, as of a lack of memory."""
        return self.falls_with_its_instance and self.exit_code == KILLED

    def terminate(self) -> None:
        """SIGTERM to the container's first process, as Docker sends it."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to everything in the container."""
        if self.is_running:
            kill_group(self.pid)

    def stop(self, grace_seconds: float) -> None:
        self.terminate()
        if self.wait(grace_seconds) is None:
            self.kill()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back at its end, or now if it has ended."""
        with self._lock:
            if self.exit_code is None:
                self._on_exit.append(callback)
                return
        callback()

    def ended(self, return_code: int) -> None:
        """For the launcher: negative is the number of the signal that ended it."""
        with self._lock:
            if self.exit_code is not None:
                return
            self.exit_code = return_code if return_code >= 0 else SIGNALLED - return_code
            callbacks, self._on_exit = self._on_exit, []
        self._ended.set()
        for callback in callbacks:
            callback()


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)  # forked a moment ago and not yet the leader of its own group
    except PermissionError:
        logger.warning("process group %d is not ours to kill", pid)


class Launcher(Protocol):
    def start(self, start: Start) -> Container: ...

    def close(self) -> None: ...


@dataclass
class Containers:
    """Every container of one laptop cloud."""

    settings: Settings
    _launcher: Launcher = field(init=False)
    _plain: Launcher = field(init=False)
    _running: dict[int, Container] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def __post_init__(self) -> None:
        from local.sagemaker.launchers import PlainLauncher, ZygoteLauncher

        self._plain = PlainLauncher()
        if self.settings.use_zygote:
            self._launcher = ZygoteLauncher(self.settings, on_zygote=self._note_helper)
        else:
            self._launcher = self._plain
        self._record = ProcessRecord(self.settings.containers_dir / "processes.json")
        self._helpers: list[ProcessIdentity] = []

    def start(self, start: Start) -> Container:
        if self._closed:
            raise RuntimeError("the laptop cloud is stopping; no container is started any more")
        start.log.parent.mkdir(parents=True, exist_ok=True)
        container = (self._plain if start.command else self._launcher).start(start)
        with self._lock:
            self._running[container.pid] = container
            self._write()
        container.when_ended(lambda: self._forget(container))
        return container

    def warm_up(self) -> None:
        """Begin the slow imports before the first container needs them; returns at once."""
        warm = getattr(self._launcher, "warm_up", None)
        if warm is not None:
            warm()

    def _forget(self, container: Container) -> None:
        with self._lock:
            if self._running.get(container.pid) is container:
                del self._running[container.pid]
            self._write()

    def _note_helper(self, pid: int) -> None:
        with self._lock:
            identity = ProcessIdentity.of(pid)
            self._helpers = [known for known in self._helpers if known.is_alive()] + ([identity] if identity else [])
            self._write()

    def _write(self) -> None:
        known = [container.identity for container in self._running.values() if container.identity]
        self._record.write([*known, *self._helpers])

    def close(self, grace_seconds: float = 2.0) -> None:
        """SIGTERM to all, SIGKILL to those that ignore it; then the helpers end."""
        self._closed = True
        with self._lock:
            running = list(self._running.values())
        for container in running:
            container.terminate()
        deadline = time.monotonic() + grace_seconds
        for container in running:
            if container.wait(max(0.0, deadline - time.monotonic())) is None:
                container.kill()
        for container in running:
            container.wait(2.0)
        self._launcher.close()
        self._plain.close()


def stop_all() -> None:
    """End the containers of this process's laptop cloud; for the server's own end."""
    from local.sagemaker import api

    api.shutdown()


def kill_survivors(state_dir: Path) -> int:
    """Kill containers that an earlier laptop cloud of this state folder left behind; returns how many."""
    record = ProcessRecord(state_dir / "containers" / "processes.json")
    survivors = [process for process in record.read() if process.is_alive()]
    for process in survivors:
        kill_group(process.pid)
    for process in survivors:
        wait_for_end(process)
    record.path.unlink(missing_ok=True)
    return len(survivors)


def wait_for_end(process: ProcessIdentity, timeout_seconds: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
