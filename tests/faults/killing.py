"""SIGKILL of a laptop cloud's server, as by the kernel that needs its memory."""

from __future__ import annotations

import signal

from local.cloud import LaptopCloud
from local.processes import ProcessRecord
from tests.local.watching import patiently


def kill_server(cloud: LaptopCloud) -> None:
    (server,) = ProcessRecord(cloud.settings.state_dir / "processes.json").read()
    server.signal(signal.SIGKILL)
    assert patiently(lambda: not server.is_alive())
