"""The command line of `python -m collectors`."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

DESCRIPTION: Final = "Insights of a source into a file, the table or the bucket (docs/collectors.md)."
SOURCES: Final = {
    "diskstats": "watch this machine's disks, from the counters of /proc/diskstats",
    "iostat": "the output of `S_TIME_FORMAT=ISO iostat -x -y -t -o JSON SECONDS COUNT` (or without JSON)",
    "sar": "the output of `sadf -j FILE -- -d`, which is `sar -d` as JSON",
    "fio": "fio's JSON reports and its logs (*.log)",
    "files": "JSON lines, JSON, CSV or Parquet, of the insight's columns or others by a mapping",
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m collectors", description=DESCRIPTION)
    sources = made.add_subparsers(dest="source", required=True, metavar="source")
    for name, text in SOURCES.items():
        source = sources.add_parser(name, help=text, description=text)
        _add_destinations(source, is_agent=name == "diskstats")
        if name != "files":
            _add_facts(source, host=socket.gethostname() if name == "diskstats" else "")
        if name != "diskstats":
            about = "- is the standard input" if name in {"iostat", "sar"} else None
            source.add_argument("files", nargs="+", type=Path, metavar="FILE", help=about)
        OWN_ARGUMENTS[name](source)
    return made


def _add_destinations(source: argparse.ArgumentParser, *, is_agent: bool) -> None:
    places = source.add_mutually_exclusive_group(required=True)
    places.add_argument("--output", type=Path, metavar="FILE.jsonl[.gz]", help="JSON lines; an agent adds to them")
    places.add_argument("--table", help="the insights table, by the AWS account of the environment")
    if is_agent:
        source.set_defaults(bucket=None)
    else:
        places.add_argument(
            "--bucket", help="an object of incoming/ for IngestInsights; what is refused in quarantine/"
        )
    source.add_argument(
        "--quarantine", type=Path, metavar="FILE", help="refused rows; without it the first one ends a conversion"
    )


def _add_facts(source: argparse.ArgumentParser, *, host: str) -> None:
    source.add_argument(
        "--host", default=host, help="device ids are HOST/DISK; %(default)r if not given" if host else None
    )
    source.add_argument("--device-class", help="such as nvme, ssd, hdd; unknown if not given")
    source.add_argument("--latency-slo-ms", type=_positive, help="the p99 objective of these devices")
    source.add_argument("--provisioned-iops", type=_positive)


def _diskstats_arguments(source: argparse.ArgumentParser) -> None:
    source.add_argument("--interval", type=_positive, default=300.0, help="seconds; 300 if not given")
    source.add_argument("--seconds", type=_positive, help="end by itself after so many")
    source.add_argument("--devices", nargs="+", metavar="NAME", help="whatever they are; else every whole disk")


def _iostat_arguments(source: argparse.ArgumentParser) -> None:
    source.add_argument("--interval", type=_positive, help="the seconds that iostat was told")


def _sar_arguments(source: argparse.ArgumentParser) -> None:
    source.add_argument(
        "--split",
        choices=("bytes",),
        required=True,
        help="sar counts reads and writes together: agree that they are split as their bytes are",
    )


def _fio_arguments(source: argparse.ArgumentParser) -> None:
    source.add_argument("--interval", type=_positive, help="seconds, of logs: 1 for single I/Os, else fio's own window")
    source.add_argument("--start", type=_moment, help="when logs without log_unix_epoch=1 began")


def _files_arguments(source: argparse.ArgumentParser) -> None:
    source.add_argument("--mapping", type=Path, metavar="FILE", help="TOML or JSON: docs/collectors.md")


OWN_ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "diskstats": _diskstats_arguments,
    "iostat": _iostat_arguments,
    "sar": _sar_arguments,
    "fio": _fio_arguments,
    "files": _files_arguments,
}


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} names no offset from UTC (end it with Z)")
    return moment.astimezone(UTC)
