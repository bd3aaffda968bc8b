"""`make run INSIGHTS=this-host`: this machine's disks are watched under a small load, and scored by the API.

The load and the agent (`python -m collectors diskstats`) are processes of their own, ended and cleaned up whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.agent import Machine
from local import disk_load

INTERVAL_SECONDS: Final = 1
MARGIN_SECONDS: Final = 10
"""How much longer load and agent would go on by themselves: they are ended, unless whoever should do it was killed."""
END_SECONDS: Final = 180
SYS_DEV_BLOCK: Final = Path("/sys/dev/block")
Say = Callable[[str], None]


class WatchFailed(RuntimeError):
    """The agent or the load did not do its part; the message is the one clear sentence."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """A small load on the file system of a folder; `disks` are the whole disks that it hits, as far as that is known."""

    folder: Path
    disks: Sequence[str]
    by: str

    @classmethod
    def chosen(cls, build: Path, watched: Sequence[str]) -> Load:
        """Below build/ if that is on a watched disk, else below TMPDIR if that is, else below build/ all the same."""
        places = (build, Path(tempfile.gettempdir()))
        hit = {place: disks_of(place) for place in places}
        folder = next((place for place in places if set(hit[place]) & set(watched)), build)
        return cls(folder=folder, disks=hit[folder], by="fio" if shutil.which("fio") else "local.disk_load")

    def command(self, file: Path, seconds: float) -> list[str]:
        if self.by != "fio":
            return [sys.executable, "-m", "local.disk_load", str(file), str(seconds)]
        direct = disk_load.allows_direct_io(self.folder)
        return [
            *("fio", "--name=this-host", f"--filename={file}", f"--size={disk_load.FILE_BYTES}"),
            *("--rw=randrw", f"--bs={disk_load.BLOCK_BYTES}", "--ioengine=psync", "--time_based"),
            f"--rate_iops={disk_load.READS_PER_SECOND},{disk_load.WRITES_PER_SECOND}",
            *(f"--runtime={seconds:.0f}", "--direct=1" if direct else "--fsync=1", "--unlink=1", "--output=/dev/null"),
        ]

    def sentence(self) -> str:
        what = f"{disk_load.READS_PER_SECOND} reads and {disk_load.WRITES_PER_SECOND} writes of 8 KiB a second by {self.by}"
        where = f"which is on {', '.join(self.disks)}" if self.disks else "whose disk is not known"
        return f"{what} on a file below {self.folder}, {where}"


def disks_of(path: Path, sys_dev_block: Path = SYS_DEV_BLOCK) -> list[str]:
    """The whole disks below the file system of a path: through partitions, LVM and RAID; none where there is no device."""
    device = os.stat(path).st_dev
    return sorted(set(_whole_disks_below(sys_dev_block / f"{os.major(device)}:{os.minor(device)}")))


def _whole_disks_below(entry: Path) -> Iterator[str]:
    try:
        folder = entry.resolve(strict=True)
    except OSError:
        return
    if (folder / "partition").exists():
        folder = folder.parent
    slaves = list((folder / "slaves").iterdir()) if (folder / "slaves").is_dir() else []
    for slave in slaves:
        yield from _whole_disks_below(slave)
    if not slaves:
        yield folder.name.replace("!", "/")


def watch(
    machine: Machine, *, table: str, seconds: float, environment: Mapping[str, str], build: Path, say: Say
) -> dict[str, Any]:
    """Watch for so many seconds; what build/run.json says of it, without the predictions. Raises NoDisks, WatchFailed."""
    disks = machine.disks()
    load = Load.chosen(build, disks)
    say(f"watching {', '.join(disks)} every {INTERVAL_SECONDS} s for {seconds:g} s, under {load.sentence()}")
    quarantine = build / "watch-quarantine.jsonl"
    quarantine.unlink(missing_ok=True)
    with loaded(load, seconds + MARGIN_SECONDS):
        account = watched(disks, table=table, seconds=seconds, environment=environment, quarantine=quarantine)
    say(f"  {account}")
    refused = quarantine.read_text().count("\n") if quarantine.exists() else 0
    return {
        "host": socket.gethostname(),
        "seconds": seconds,
        "interval_seconds": INTERVAL_SECONDS,
        "load": {"by": load.by, "folder": str(load.folder), "disks": list(load.disks)},
        "refused": refused,
        "quarantine": str(quarantine) if refused else None,
        "disks": [
            {
                "disk": disk,
                "device_id": f"{socket.gethostname()}/{disk}",
                "rows": 0,
                "idle_rows": 0,
                "predictions": [],
                "note": None,
            }
            for disk in disks
        ],
    }


@contextlib.contextmanager
def loaded(load: Load, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The load goes on within the block, `seconds` at most; the file is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="watch-", dir=load.folder) as folder:
        process = subprocess.Popen(
            load.command(Path(folder) / "load.bin", seconds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
            if process.poll() not in (None, 0):
                said = process.stderr.read().strip() if process.stderr else ""
                raise WatchFailed(f"{load.by} ended early with code {process.returncode}: {said[-300:]}")
        finally:
            _ended(process)


def watched(
    disks: Sequence[str], *, table: str, seconds: float, environment: Mapping[str, str], quarantine: Path
) -> str:
    """Run the agent as on any host, end it with SIGTERM after so many seconds; its account of what it wrote."""
    command = [
        *(sys.executable, "-m", "collectors", "diskstats", "--interval", str(INTERVAL_SECONDS)),
        *("--table", table, "--quarantine", str(quarantine), "--seconds", str(seconds + MARGIN_SECONDS)),
        *("--devices", *disks),
    ]
    agent = subprocess.Popen(
        command,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        began = _begun(agent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(seconds)
            raise WatchFailed(f"the agent ended early with code {agent.returncode}: {(began + _rest(agent))[-300:]}")
        agent.terminate()
        said = agent.communicate(timeout=END_SECONDS)[0].strip()
    except subprocess.TimeoutExpired as error:
        raise WatchFailed(f"the agent did not end within {END_SECONDS} s") from error
    finally:
        _ended(agent)
    if agent.returncode not in (0, 3):
        raise WatchFailed(f"the agent ended with code {agent.returncode}: {said[-300:]}")
    return said.splitlines()[-1]


def _begun(agent: subprocess.Popen[str]) -> str:
    """What it said until it watches, or ended."""
    said = ""
    for line in agent.stdout or ():
        said += line
        if line.startswith("watching "):
            break
    return said


def _rest(agent: subprocess.Popen[str]) -> str:
    return agent.stdout.read() if agent.stdout else ""


def _ended(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.communicate()


def stored_rows(dynamodb: Any, table: str, device_id: str) -> tuple[int, int]:
    """How many rows the table holds of a device, and how many of them are of idle intervals."""
    request = {
        "TableName": table,
        "KeyConditionExpression": "device_id = :device",
        "ExpressionAttributeValues": {":device": {"S": device_id}},
        "ProjectionExpression": "read_iops, write_iops",
    }
    rows = [row for page in dynamodb.get_paginator("query").paginate(**request) for row in page["Items"]]
    idle = sum(float(row["read_iops"]["N"]) + float(row["write_iops"]["N"]) == 0 for row in rows)
    return len(rows), idle


def described(disk: Mapping[str, Any]) -> str:
    """One watched disk in a line, for people."""
    rows = f"{disk['device_id']}: {disk['rows']} rows, {disk['idle_rows']} of them idle"
    return f"{rows}; {disk['note']}" if disk.get("note") else rows
