"""One started process, what it is started from, and its end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.processes import ProcessIdentity

logger = logging.getLogger("iops.containers")
SIGNALLED = 128
"""Docker's exit code of a process that a signal ended is 128 + its number."""
KILLED = SIGNALLED + signal.SIGKILL


@dataclass(frozen=True, kw_only=True)
class Start:
    """What to run: `python -m module arguments`, or `command` as it stands. Its output goes into `log`, where it has no
    `streams`: descriptors of its standard input, output and error (from a zygote alone), which stay the caller's to
    close."""

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    directory: Path
    command: tuple[str, ...] = ()
    streams: tuple[int, ...] = ()


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
