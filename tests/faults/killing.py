"""SIGKILL of a laptop cloud's server, as by the kernel that needs its memory."""

from __future__ import annotations

import signal

from local.cloud import LaptopCloud
from local.processes import ProcessRecord


def kill_server(cloud: LaptopCloud) -> None:
    (server,) = ProcessRecord(cloud.settings.state_dir / "processes.json").read()
    server.signal(signal.SIGKILL)
    while server.is_alive():
        pass
