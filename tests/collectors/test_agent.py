from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.agent import DiskWatch, Machine, NoDisks
from collectors.device_facts import DeviceFacts
from collectors.diskstats import PROC_DISKSTATS
from insights.files import read_insights

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
LINE = "   8       0 sda {n} 0 {n8} {n} 0 0 0 0 0 {n} {n} 0 0 0 0\n"


@dataclass
class Clock:
    """Passes only while somebody waits, and then as long as it is told: `late` by the number of the wait."""

    proc: Path
    late: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    waits: int = 0

    def advance(self, seconds: float) -> bool:
        self.seconds += seconds + self.late.get(self.waits, 0.0)
        self.waits += 1
        self.count()
        return False

    def count(self) -> None:
        """One read of 4 KiB and 1 ms each millisecond that passed."""
        reads = round(self.seconds * 1000)
        self.proc.write_text(LINE.format(n=reads, n8=8 * reads))


class Waits(threading.Event):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        return self.clock.advance(timeout or 0.0)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    made = Clock(tmp_path / "diskstats")
    made.count()
    return made


def watch_of(clock: Clock, interval_seconds: float) -> DiskWatch:
    machine = Machine(
        proc_diskstats=clock.proc,
        sys_block=clock.proc.parent / "none",
        elapsed_seconds=lambda: clock.seconds,
        now=lambda: START + timedelta(seconds=clock.seconds),
    )
    return DiskWatch(machine=machine, facts=DeviceFacts(host="host-1"), interval_seconds=interval_seconds)


def test_each_interval_gives_each_disk_a_row_stamped_at_its_end(clock: Clock):
    rows = [row for rows in watch_of(clock, 60.0).intervals(Waits(clock), count=3) for row in rows]

    assert [(row.timestamp - START).total_seconds() for row in rows] == [60, 120, 180]
    assert {(row.device_id, row.interval_seconds, row.read_iops) for row in rows} == {("host-1/sda", 60.0, 1000.0)}


@pytest.mark.parametrize(
    ("late_seconds", "ends"), [(5.0, [60, 125, 180, 240]), (130.0, [60, 250, 300, 360]), (170.0, [60, 290, 360, 420])]
)
def test_a_missed_tick_makes_a_longer_interval_and_never_a_wrong_rate(
    clock: Clock, late_seconds: float, ends: list[float]
):
    """The beat goes on, without the tick that would come within half an interval."""
    clock.late = {1: late_seconds}

    rows = [row for rows in watch_of(clock, 60.0).intervals(Waits(clock), count=4) for row in rows]

    assert [(row.timestamp - START).total_seconds() for row in rows] == ends
    assert [row.interval_seconds for row in rows] == [end - begin for begin, end in pairwise([0, *ends])]
    assert {row.read_iops for row in rows} == {1000.0}


def test_a_machine_without_disks_is_told_in_a_sentence(tmp_path: Path):
    (tmp_path / "diskstats").write_text("   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n")
    with pytest.raises(NoDisks, match="names no whole disk"):
        Machine(proc_diskstats=tmp_path / "diskstats", sys_block=tmp_path / "none").disks()
    with pytest.raises(NoDisks, match="cannot be read"):
        Machine(proc_diskstats=tmp_path / "none").disks()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    output = tmp_path / "rows.jsonl"
    started = subprocess.Popen(
        [sys.executable, "-m", "collectors", "diskstats", "--interval", "0.2", "--output", str(output)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    yield started
    if started.poll() is None:
        started.kill()
    started.wait()


def has_disks() -> bool:
    try:
        return bool(Machine().disks())
    except NoDisks:
        return False


@pytest.mark.skipif(not PROC_DISKSTATS.exists() or not has_disks(), reason="there are no whole disks to watch here")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_agent_watches_this_machine_until_it_is_told_to_end(
    agent: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
):
    assert agent.stdout is not None
    assert agent.stdout.readline().startswith("watching ")
    output = tmp_path / "rows.jsonl"
    while not output.exists() or output.read_text().count("\n") < 2:
        assert agent.poll() is None

    agent.send_signal(number)
    account = agent.stdout.read()

    rows = list(read_insights(output))
    assert agent.wait(30) == 0
    assert account.startswith(f"{len(rows)} insights written to {output}")
    assert len(rows) >= 2
    assert all(row.interval_seconds >= 0.1 for row in rows)
    assert json.loads(output.read_text().splitlines()[0])["p99_latency_ms"] is None
