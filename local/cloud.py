"""Starts and stops the laptop cloud, and leaves nothing running whatever happened to an earlier one."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from local.options import cloud_port
from local.processes import (
    ProcessIdentity,
    ProcessRecord,
    end_tree,
    free_port,
    owner_of_port,
    port_is_taken,
)
from local.settings import (
    DEFAULT_WAIT_SCALE,
    REPOSITORY,
    CloudSettings,
    client_environment,
    credentials,
    server_environment,
)

START_TIMEOUT_SECONDS = 60.0
KEPT_FILES = ("calls.jsonl", "roles.json")
"""Records of a run that outlive the cloud; a test reads them."""

HOSTED_SIGN_IN = re.compile(r"^https://[a-z0-9-]+\.auth\.[a-z0-9-]+\.[a-z.]+")
EXECUTE_API = re.compile(r"^https://(?P<api>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.[a-z.]+/(?P<rest>.*)$")


_making_a_client = threading.Lock()


@functools.cache
def _session() -> Any:
    """One for all clouds of this process: reading a service's model takes longer than making its client."""
    import boto3

    return boto3.session.Session(**credentials())


class CloudError(RuntimeError):
    """The laptop cloud could not be started; the message says why and what to do."""


class LaptopCloud:
    """One laptop cloud and its state folder. `port=0` chooses a free port; otherwise a taken one is refused by name.

    Where they are not given, CLOUD_PORT and CLOUD_RECORD_CALLS=1 are read from the environment. `images` adds container
    images to the app's own (local.settings.CloudSettings). `faults` is for tests (local.faults).
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int | None = None,
        wait_scale: float = DEFAULT_WAIT_SCALE,
        record_calls: bool | None = None,
        images: Mapping[str, str] | None = None,
        faults: bool = False,
    ) -> None:
        chosen = cloud_port(os.environ) if port is None else port
        self.settings = CloudSettings(
            state_dir=state_dir.resolve(),
            port=chosen or free_port(),
            wait_scale=wait_scale,
            record_calls=os.environ.get("CLOUD_RECORD_CALLS") == "1" if record_calls is None else record_calls,
            images=images or {},
            faults=faults,
        )
        self._record = ProcessRecord(self.settings.state_dir / "processes.json")
        self._clients: dict[str, Any] = {}

    @property
    def endpoint_url(self) -> str:
        return self.settings.endpoint_url

    @property
    def log_file(self) -> Path:
        return self.settings.state_dir / "server.log"

    def __enter__(self) -> LaptopCloud:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start on an empty state and return when it answers; raises CloudError with the reason and a remedy."""
        self.stop()
        if port_is_taken(self.settings.port):
            owner = owner_of_port(self.settings.port)
            by = f" by {owner}" if owner else ""
            raise CloudError(
                f"port {self.settings.port} on 127.0.0.1 is taken{by}; "
                "stop that process or set CLOUD_PORT to a free port"
            )
        self._clear_state()
        process = self._spawn()
        identity = ProcessIdentity.of(process.pid)
        if identity is not None:
            self._record.add(identity)
        self._wait_until_healthy(process)

    def _clear_state(self) -> None:
        state = self.settings.state_dir
        for entry in state.iterdir() if state.exists() else ():
            if entry.name in KEPT_FILES:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if self.settings.record_calls:
            self.settings.calls_file.unlink(missing_ok=True)
        state.mkdir(parents=True, exist_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = server_environment(dataclasses.replace(self.settings, parent_pid=os.getpid()))
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "local.server"],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches `make run` alone, which then stops the server in order
            )

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise CloudError(f"the laptop cloud ended at its start: {self._last_words()} (log: {self.log_file})")
            if self.is_healthy():
                return
            time.sleep(0.05)
        self.stop()
        raise CloudError(f"the laptop cloud did not answer within {START_TIMEOUT_SECONDS:.0f} s (log: {self.log_file})")

    def _last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=2):  # noqa: S310 - loopback
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End this state folder's server, its Lambda workers and containers, running or left by a killed run."""
        from local.sagemaker_service import kill_survivors

        for process in self._record.read():
            end_tree(process)
        kill_survivors(self.settings.state_dir)
        if self._record.path.exists():
            self._record.path.unlink()

    def is_running(self) -> bool:
        return any(process.is_alive() for process in self._record.read())

    def why_gone(self) -> str | None:
        """Of a server that was started and has ended without being stopped; None while it runs."""
        if self.is_running() or not self._record.read():
            return None
        return (
            f"the laptop cloud ended meanwhile, and with it all that it held: it keeps nothing (log: {self.log_file}); "
            "start again"
        )

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of the laptop's administrator; without options always the same, as one takes long to make."""
        if options:
            return self._made(service, **options)
        if service not in self._clients:
            self._clients[service] = self._made(service)
        return self._clients[service]

    def _made(self, service: str, **options: Any) -> Any:
        with _making_a_client:  # which a session does for one thread at a time
            return _session().client(service, endpoint_url=self.endpoint_url, **options)

    def environment(self) -> dict[str, str]:
        """The environment in which the AWS CLI, the CDK CLI or any SDK talks to this cloud and to nothing else."""
        return client_environment(self.endpoint_url)

    def reachable_url(self, url: str) -> str:
        """Where an address of AWS is served here: an API's (https://<id>.execute-api...), a user pool's domain."""
        if HOSTED_SIGN_IN.match(url):
            return HOSTED_SIGN_IN.sub(self.endpoint_url, url)
        match = EXECUTE_API.match(url)
        if match is None:
            return url
        return f"{self.endpoint_url}/_aws/execute-api/{match['api']}/{match['rest']}"
