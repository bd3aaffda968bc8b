from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from collectors.agent import Machine, NoDisks
from collectors.diskstats import PROC_DISKSTATS
from local import disk_load, run, this_host
from local.options import MEASURED_FILE, InvalidOption, RunOptions
from local.run import RunFailed, RunRecord, summary
from local.this_host import Load, WatchFailed, disks_of, loaded, watched

LINUX = pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="only Linux has O_DIRECT")


def test_this_host_trains_on_the_measured_insights_and_then_watches():
    options = RunOptions.from_environment({"INSIGHTS": "this-host", "WATCH_SECONDS": "30"})

    assert (options.insights, options.watch_seconds) == (MEASURED_FILE, 30)
    assert RunOptions.from_environment({"INSIGHTS": "this-host"}).watch_seconds == 60
    assert RunOptions.from_environment({"WATCH_SECONDS": "30"}).watch_seconds is None
    with pytest.raises(InvalidOption, match="WATCH_SECONDS=2"):
        RunOptions.from_environment({"INSIGHTS": "this-host", "WATCH_SECONDS": "2"})


def test_a_machine_without_disks_is_told_before_anything_is_deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Sandbox(Machine):
        def disks(self) -> list[str]:
            raise NoDisks("/proc/diskstats names no whole disk")

    class NoCloud:
        def start(self) -> None:
            raise AssertionError("it must not be started")

    monkeypatch.setattr(run, "Machine", Sandbox)
    with pytest.raises(RunFailed, match="names no whole disk; run another INSIGHTS here"):
        run.run(NoCloud(), RunOptions(insights=MEASURED_FILE, watch_seconds=60), build=tmp_path)  # type: ignore[arg-type]


@pytest.fixture
def sys_tree(tmp_path: Path) -> Path:
    """A partition of sda, and LVM over a RAID of nvme0n1 and a partition of sdb, as the kernel lays them out."""
    dev_block = tmp_path / "dev" / "block"
    dev_block.mkdir(parents=True)
    for disk, partitions in (("sda", ["sda1"]), ("sdb", ["sdb2"]), ("nvme0n1", []), ("md0", []), ("dm-0", [])):
        (tmp_path / "devices" / disk / "slaves").mkdir(parents=True)
        for partition in partitions:
            (tmp_path / "devices" / disk / partition).mkdir()
            (tmp_path / "devices" / disk / partition / "partition").touch()
    for stacked, below in (("dm-0", ["md0"]), ("md0", ["nvme0n1", "sdb/sdb2"])):
        for name in below:
            link = tmp_path / "devices" / stacked / "slaves" / name.rpartition("/")[2]
            link.symlink_to(tmp_path / "devices" / name)
    return tmp_path


@pytest.mark.parametrize(
    ("device", "disks"), [("sda/sda1", ["sda"]), ("nvme0n1", ["nvme0n1"]), ("dm-0", ["nvme0n1", "sdb"])]
)
def test_a_file_systems_disks_are_found_through_what_is_stacked_on_them(
    sys_tree: Path, tmp_path: Path, device: str, disks: list[str]
):
    number = os.stat(tmp_path).st_dev
    entry = sys_tree / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    entry.symlink_to(sys_tree / "devices" / device)

    assert disks_of(tmp_path, sys_tree / "dev" / "block") == disks


def test_a_file_system_without_a_device_has_no_known_disk(tmp_path: Path):
    assert disks_of(tmp_path, tmp_path / "none") == []


def test_the_load_goes_where_a_watched_disk_is_hit_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    build, temporary = tmp_path / "build", tmp_path / "tmp"
    monkeypatch.setattr(this_host.tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setattr(this_host, "disks_of", lambda place: {build: ["sda"], temporary: ["sdb"]}[place])

    assert Load.chosen(build, ["sda", "sdb"]).folder == build
    assert Load.chosen(build, ["sdb"]).folder == temporary
    assert Load.chosen(build, ["sdc"]).folder == build
    assert "which is on sdb" in Load.chosen(build, ["sdb"]).sentence()


@LINUX
def test_the_load_without_fio_is_bounded_and_removes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disk_load, "FILE_BYTES", 1 << 20)
    path = tmp_path / "load.bin"

    disk_load.lay_out(path)
    done = disk_load.exercise(path, 0.2)

    assert path.stat().st_size == 1 << 20
    assert 0 < done <= 0.2 * (disk_load.READS_PER_SECOND + disk_load.WRITES_PER_SECOND) + 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["load.bin"]


def load_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Load:
    load = Load(folder=tmp_path, disks=[], by="fio")
    monkeypatch.setattr(Load, "command", lambda self, file, seconds: [sys.executable, "-c", script, str(file)])
    return load


def test_a_load_that_fails_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load = load_of(tmp_path, monkeypatch, "import sys; sys.exit('no space left')")

    with pytest.raises(WatchFailed, match="no space left"), loaded(load, 60) as process:
        process.wait(60)
    assert list(tmp_path.iterdir()) == []


def test_the_load_is_ended_with_its_block_and_its_file_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load = load_of(tmp_path, monkeypatch, "import sys, time; open(sys.argv[1], 'w').write('x'); time.sleep(600)")

    with loaded(load, 600):
        while not list(tmp_path.rglob("load.bin")):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not PROC_DISKSTATS.exists(), reason="only Linux has /proc/diskstats")
def test_an_agent_that_cannot_begin_is_told_with_its_own_words(tmp_path: Path):
    nowhere = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere |= {"AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}

    with pytest.raises(WatchFailed, match=r"early with code 1.*specify a region"):
        watched(["sda"], table="t", seconds=60, environment=nowhere, quarantine=tmp_path / "q.jsonl")


def record_of(**disk: Any) -> RunRecord:
    answer = {"device_id": "h/sda", "risk_level": "low", "confidence": 0.9}
    seen = {"disk": "sda", "device_id": "h/sda", "rows": 2, "idle_rows": 1, "predictions": [], "note": None} | disk
    predictions = [{"route": "/api/predict/risk", "status": 200, "body": answer, "milliseconds": 1.0}]
    return RunRecord(
        steps=[],
        without_token={"status": 401},
        predictions=predictions,
        watched={"host": "h", "seconds": 60, "disks": [seen | ({"predictions": predictions} if not disk else {})]},
    )


def test_the_closing_lines_tell_of_each_watched_disk_and_why_one_is_not_scored():
    scored, refused = (
        summary(record_of(), Path("build")),
        summary(record_of(note="not scored: 2 insights"), Path("build")),
    )

    assert "h/sda: 2 rows, 1 of them idle\n    h/sda is at low risk" in scored
    assert "h/sda: 2 rows, 1 of them idle; not scored: 2 insights" in refused
