"""The container processes of one laptop cloud: known by pid to its next start, so that none is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.containers.container import Container, Launcher, Start, kill_group
from local.containers.launchers import PlainLauncher, ZygoteLauncher
from local.processes import ProcessIdentity, ProcessRecord
from local.sagemaker.settings import Settings

SLOW_IMPORTS = (
    *("numpy", "pandas", "sklearn.linear_model", "sklearn.preprocessing", "xgboost", "uvloop"),
    "local.sagemaker.numba_registries",
)
"""What the images' modules import, which takes seconds."""


def zygote_of(settings: Settings, *, on_zygote: Callable[[int], None]) -> ZygoteLauncher:
    modules = sorted({module for module in settings.images.values() if not module.endswith(".py")})
    return ZygoteLauncher(
        imports=(*SLOW_IMPORTS, *(f"{module}.*" for module in modules)),
        directory=settings.code_root,
        log=settings.containers_dir / "zygote.log",
        # libgomp and OpenBLAS read their thread counts when they are loaded, which happens here and not after the fork.
        environment={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        on_zygote=on_zygote,
    )


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
        self._plain = PlainLauncher()
        if self.settings.use_zygote:
            self._launcher = zygote_of(self.settings, on_zygote=self._note_helper)
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
