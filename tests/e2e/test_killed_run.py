from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.cloud import LaptopCloud

pytestmark = pytest.mark.e2e

START_AND_WAIT = """
import sys, time
from pathlib import Path
from local.cloud import LaptopCloud
cloud = LaptopCloud(Path(sys.argv[1]), port=int(sys.argv[2]))
cloud.start()
print("up", flush=True)
time.sleep(600)
"""


def processes_of(state_dir: Path) -> list[int]:
    """Every process that was started for this state folder, whoever its parent is by now."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(state_dir).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is not ours to read
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks the processes up in /proc")
def test_after_sigkill_of_the_parent_nothing_is_left_that_the_next_start_trips_over(tmp_path: Path):
    state_dir = tmp_path / "cloud"
    port = LaptopCloud(state_dir, port=0).settings.port
    killed = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(state_dir), str(port)], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "up\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()

    with LaptopCloud(state_dir, port=port) as again:
        assert again.is_healthy()

    deadline = time.monotonic() + 20
    while processes_of(state_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(state_dir) == []
