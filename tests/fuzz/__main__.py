"""`python -m tests.fuzz`: every target in turn, MINUTES in all (10), TARGETS=name,... some of them.

The corpus grows below build/fuzz/corpus from run to run. Prints executions, coverage (edges of this repository's own code)
and findings of each target and keeps them in build/fuzz/runs.jsonl; exit code 1 where something was found.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.one import TARGETS, start
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
LONGEST_INPUT = 20_000
MEGABYTES = 4096
# For one input, on a machine that does other things too: far beyond anything honest.
HANGING_SECONDS = 120
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+)")


def main() -> int:
    chosen = os.environ.get("TARGETS", "")
    targets = [target for target in TARGETS.values() if not chosen or target.name in chosen.split(",")]
    seconds = max(5, int(60 * float(os.environ.get("MINUTES", "10")) / max(len(targets), 1)))
    rows = []
    for target in targets:
        rows.append(fuzz(target, seconds))
        print(_line(rows[-1]), flush=True)
        with (BUILD / "runs.jsonl").open("a") as runs:
            runs.write(json.dumps(rows[-1]) + "\n")
    total = {name: sum(row[name] for row in rows) for name in ("seconds", "executions", "edges", "findings")}
    print(_line({"target": f"{len(rows)} targets", **total}))
    return 1 if total["findings"] else 0


def fuzz(target: Target, seconds: int) -> dict[str, Any]:
    corpus, seeds, artifacts = (BUILD / name / target.name for name in ("corpus", "seeds", "artifacts"))
    for folder in (corpus, seeds, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(seed)
    begin = time.monotonic()
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-timeout={HANGING_SECONDS}",
    ]
    log = BUILD / f"{target.name}.log"
    options = [*limits, "-print_final_stats=1", f"-artifact_prefix={artifacts}/", str(corpus), str(seeds)]
    status = start(target.name, options, log)
    said = log.read_text(errors="replace")
    covered, executed = _COVERED.findall(said), _EXECUTED.findall(said)
    # Beside what the run itself caught: a hang, a memory limit or a crash of the interpreter, which end it.
    found = said.count("\nfinding: ") + said.startswith("finding: ") + (status != 0)
    return {
        "target": target.name,
        "seconds": round(time.monotonic() - begin),
        "executions": int(executed[-1]) if executed else 0,
        "edges": int(covered[-1]) if covered else 0,
        "findings": found,
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['target']:22} {row['seconds']:6} s  {row['executions']:10,} executions  {row['edges']:6} edges  "
        f"{row['findings']} findings"
    )


if __name__ == "__main__":
    sys.exit(main())
