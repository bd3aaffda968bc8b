from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.material.measured_process import CommandFailed, descendants, high_water_kib, measure

HOLD = "held = bytearray(b'x') * 60_000_000; print(len(held), flush=True)"
WAITING = f"import sys; {HOLD}; sys.stdin.read()"
BESIDE = f"""
import subprocess, sys
held = bytearray(b'x') * 60_000_000
subprocess.run([sys.executable, '-c', {WAITING!r}])
"""


def test_the_peak_of_a_process_is_the_kernels_however_short_it_was(tmp_path: Path) -> None:
    taken = measure([sys.executable, "-c", HOLD], log=tmp_path / "log")
    assert 60 < taken.peak_mb < 110
    assert taken.seconds > 0
    assert (tmp_path / "log").read_text() == "60000000\n"


def test_processes_that_live_beside_each_other_count_together() -> None:
    with subprocess.Popen([sys.executable, "-c", BESIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"60000000\n"  # both hold their memory now
        living = descendants(process.pid)
        marks = [high_water_kib(pid) for pid in living]
        process.communicate()
    assert len(living) == 2
    assert all(mark * 1024 > 60_000_000 for mark in marks)
    assert [high_water_kib(pid) for pid in living] == [0, 0]


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="ended with 3: no disk"):
        measure([sys.executable, "-c", "import sys; print('no disk'); sys.exit(3)"], log=tmp_path / "log")
