"""Starts MiniStack's Lambda workers as forks of one process that has imported the SDK, which is three quarters of what a
cold start costs here; AWS's runtime has the SDK as well.

That process has nothing else: it runs without site-packages, and a worker forgets this repository before it begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.containers.container import Container, Launcher, Start
from local.containers.launchers import FORKING_IS_SAFE, ZygoteLauncher
from local.settings import REPOSITORY


def register(*, sdk: Path, log: Path) -> None:
    """Fork, where that is safe, what MiniStack would start as an interpreter of its own."""
    from ministack.core import lambda_runtime

    if not FORKING_IS_SAFE:
        return
    forking = types.SimpleNamespace(**vars(subprocess))
    forking.Popen = started_by(launcher_with(sdk, log=log))
    vars(lambda_runtime)["subprocess"] = forking


def launcher_with(sdk: Path, *, log: Path) -> ZygoteLauncher:
    """Of processes that have the SDK in this folder and the standard library."""
    return ZygoteLauncher(
        imports=("boto3.session",),
        directory=REPOSITORY,
        log=log,
        environment={**os.environ, "PYTHONPATH": str(sdk)},
        options=("-S",),
    )


def started_by(launcher: Launcher) -> Callable[..., Any]:
    """subprocess.Popen, but for a Python script that talks by pipes: a worker."""

    def start(command: Sequence[str], **options: Any) -> Any:
        if command[0] != sys.executable or options.get("stdin") != subprocess.PIPE:
            return subprocess.Popen(command, **options)
        return ForkedProcess(launcher, command[1], directory=options["cwd"], environment=options["env"])

    return start


class ForkedProcess:
    """What MiniStack's Worker uses of a subprocess.Popen with text pipes."""

    def __init__(self, launcher: Launcher, script: str, *, directory: str, environment: Mapping[str, str]) -> None:
        (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = os.pipe(), os.pipe(), os.pipe()
        self.stdin = open(ours_in, "w", buffering=1, encoding="utf-8")  # noqa: SIM115 - as long as the process
        self.stdout = open(ours_out, encoding="utf-8")  # noqa: SIM115
        self.stderr = open(ours_err, encoding="utf-8")  # noqa: SIM115
        streams = (theirs_in, theirs_out, theirs_err)
        try:
            self._container: Container = launcher.start(
                Start(
                    module=script,
                    arguments=(),
                    environment=environment,
                    log=Path(os.devnull),
                    directory=Path(directory),
                    streams=streams,
                )
            )
        finally:
            for descriptor in streams:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        return self._container.pid

    @property
    def returncode(self) -> int | None:
        return self._container.exit_code

    def poll(self) -> int | None:
        return self._container.exit_code

    def wait(self, timeout: float | None = None) -> int:
        code = self._container.wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def terminate(self) -> None:
        self._container.terminate()

    def kill(self) -> None:
        self._container.kill()
