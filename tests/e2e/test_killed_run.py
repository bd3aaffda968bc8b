from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from tests.e2e.left_behind import processes_left

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

    assert processes_left(state_dir) == []
