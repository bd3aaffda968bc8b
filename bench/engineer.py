"""The features step: seconds, rows/s and peak memory of its processes by rows, by one instance and by several and a merge.

10^4 to BENCH_ROWS rows (10^6) of an export of whole devices. The instances run one after the other, each as on a machine
of its own; what they leave is compared with the one instance's folder byte for byte. Reading is measured beside the
strict reader, which judges record by record.
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.material.table import keep, show
from insights.columns import InsightColumns
from insights.files import read_insights
from insights.generator import generate_cohorts
from training_container.read_columns import read_columns

SEED = 7
OBJECT_ROWS = 10_000
INSTANCES = 2
REPEATS = 3
TABLES_UP_TO = 1_000_000  # rows


class Used(NamedTuple):
    """By one process: wall and CPU seconds, peak resident memory."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    largest = int(os.environ.get("BENCH_ROWS", "1000000"))
    sizes = [size for size in (10**exponent for exponent in range(4, 10)) if size <= largest]
    with tempfile.TemporaryDirectory() as scratch:
        warm_up(Path(scratch) / "warm-up")
        rows = []
        for size in sizes:
            rows.append(measured(Path(scratch) / str(size), size))
            print(rows[-1], flush=True)
        reading = reading_rates(Path(scratch) / "reading")
    show(f"engineer, {os.cpu_count()} cores", rows)
    show("reading, rows/s of one core (medians)", [reading])
    keep("engineer", {"sizes": rows, "reading": reading})


def warm_up(folder: Path) -> None:
    """Compiles what is compiled once."""
    write_export(folder / "export", OBJECT_ROWS)
    run("engineer", "--input", folder / "export", "--output", folder / "out")


def measured(folder: Path, size: int) -> dict[str, Any]:
    export = folder / "export"
    write_export(export, size)
    alone = run("engineer", "--input", export, "--output", folder / "one", "--tables", "none")
    shards = [shard(folder, instance) for instance in range(INSTANCES)]
    merged = run("merge", "--input", folder / "shards", "--output", folder / "merged", "--tables", "none")
    tables = size <= TABLES_UP_TO
    with_tables = run("engineer", "--input", export, "--output", folder / "tables") if tables else None
    return {
        "rows": size,
        "s": alone.seconds,
        "CPU s": alone.cpu_seconds,
        "rows/CPU s": round(size / alone.cpu_seconds),
        "MB": alone.peak_mb,
        "CPU s with CSV": with_tables.cpu_seconds if with_tables else "-",
        "CPU s of 1 of 2": max(one.cpu_seconds for one in shards),
        "MB of 1 of 2": max(one.peak_mb for one in shards),
        "CPU s of merge": merged.cpu_seconds,
        "MB of merge": merged.peak_mb,
        "shard bytes/row": round(sum(path.stat().st_size for path in (folder / "shards").rglob("*.bin")) / size),
        "same bytes": is_same(folder / "one", folder / "merged"),
    }


def shard(folder: Path, instance: int) -> Used:
    mine = folder / f"objects-{instance}"
    mine.mkdir()
    for path in sorted((folder / "export").glob("export-batch-*"))[instance::INSTANCES]:
        (mine / path.name).symlink_to(path)
    given = ["--input", mine, "--manifest", folder / "export", "--output", folder / "shards"]
    return run("engineer", *given, "--instance", instance, "--instances", INSTANCES)


# Peak memory as the process itself knows it: wait4's begins with what its parent held when it was started.
PROBE = """
import sys
from training_container.__main__ import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"peak {peak}")
sys.exit(code)
"""


def run(*arguments: Any) -> Used:
    """The container's own command in a process of its own."""
    started, before = time.perf_counter(), os.times()
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Used(round(seconds, 2), round(cpu, 2), round(int(ended.stdout.split()[-1]) / 1024, 1))


def write_export(folder: Path, size: int) -> None:
    """As the export leaves it: one cohort's devices over and over under other names, some of each unlabelled."""
    folder.mkdir(parents=True)
    cohort = next(iter(generate_cohorts(OBJECT_ROWS, SEED, futures=0))).columns
    lines = [json.dumps(insight.to_json(), separators=(",", ":")) for insight in islice(cohort.insights(), OBJECT_ROWS)]
    objects = []
    for number, begin in enumerate(range(0, size, OBJECT_ROWS)):
        renamed = (line.replace(':"', f':"{number:06d}-', 1) for line in lines[: size - begin])
        name = f"export-batch-{number % 16:03d}-{number // 16:05d}.json"
        (folder / name).write_text("[\n" + ",\n".join(renamed) + "\n]\n")
        objects.append({"key": name, "rows": min(size - begin, len(lines))})
    said = {"rows": size, "labelled_by_source": 1, "devices_in_several_objects": 0, "objects": objects}
    (folder / "manifest.json").write_text(json.dumps(said))


def is_same(one: Path, other: Path) -> bool:
    names = [sorted(str(path.relative_to(folder)) for path in files(folder)) for folder in (one, other)]
    return names[0] == names[1] and filecmp.cmpfiles(one, other, names[0], shallow=False)[0] == names[0]


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def reading_rates(folder: Path) -> dict[str, int]:
    write_export(folder, OBJECT_ROWS)
    [path] = folder.glob("export-batch-*")
    ways: dict[str, Callable[[], int]] = {
        "record by record": lambda: len(InsightColumns.from_insights(read_insights(path))),
        "in bulk": lambda: sum(block.rows for block in read_columns(path)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, read in ways.items():
            started = time.process_time()
            read()
            seconds[name].append(time.process_time() - started)
    return {name: round(OBJECT_ROWS / median(taken)) for name, taken in seconds.items()}
