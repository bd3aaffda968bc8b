from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.material.measured_process import CommandFailed, measure

HOLD = "held = bytearray(b'x') * {mb}_000_000; print(len(held))"
BESIDE = f"""
import subprocess, sys
held = bytearray(b'x') * 60_000_000
child = subprocess.run([sys.executable, '-c', "import time; {HOLD.format(mb=60)}; time.sleep(0.5)"])
"""


def test_the_peak_is_the_kernels_and_includes_children_that_live_at_the_same_time(tmp_path: Path) -> None:
    alone = measure([sys.executable, "-c", HOLD.format(mb=60)], log=tmp_path / "log")
    both = measure([sys.executable, "-c", BESIDE], log=tmp_path / "log")
    assert 60 < alone.peak_mb < 110
    assert 120 < both.peak_mb < 200
    assert alone.seconds > 0
    assert (tmp_path / "log").read_text() == "60000000\n60000000\n"


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="ended with 3: no disk"):
        measure([sys.executable, "-c", "import sys; print('no disk'); sys.exit(3)"], log=tmp_path / "log")
