"""This server beside a no-op handler in it (the limit), the usual design and plain FastAPI, in one run on loopback.

One row and 100 rows a request at concurrency 1, 8 and 64; the contenders take turns, and figures are medians over the rounds.
ROUNDS (5) and SECONDS (1 for each figure of a round) make it longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from packaging.requirements import Requirement

from bench.material.load import Load, Outcome, applied
from bench.material.servers import cpu_seconds
from bench.material.table import keep, show

ROWS = (1, 100)
CONCURRENCIES = (1, 8, 64)
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
Cell = tuple[str, int, int]
"""Contender, rows a request, concurrency."""


def main() -> None:
    install_missing()
    from bench.material.contenders import NOOP, OURS_WINDOW, USUAL, contenders, nginx
    from bench.material.served import served

    rounds, seconds = int(os.environ.get("ROUNDS", "5")), float(os.environ.get("SECONDS", "1"))
    material = served(ROWS)
    measured: dict[Cell, list[Outcome]] = {}
    with contenders(material) as running:
        for number in range(rounds + 1):  # the first round warms up and is not counted
            for cell, outcome in one_round(running, material.bodies, seconds if number else 0.3):
                measured.setdefault(cell, [])
                measured[cell] += [outcome] * bool(number)
    rows = [line(cell, outcomes) for cell, outcomes in measured.items()]
    for count in ROWS:
        show(f"{count} row(s) a request", [row for row in rows if row["rows"] == count])
    figures = {
        "p50_ms": middle(measured[OURS_WINDOW, 1, 1], "p50_ms"),
        "noop_p50_ms": middle(measured[NOOP, 1, 1], "p50_ms"),
        "throughput_over_usual_c8": paired(measured[OURS_WINDOW, 1, 8], measured[USUAL, 1, 8]),
        "explained": all_explained(measured),
        "nginx": nginx() is not None,
        "client_limit_requests_per_second": 1e6 / middle(measured[NOOP, 1, 8], "client_cpu_us"),
        "rows": rows,
    }
    sentences(figures)
    keep("serving", figures)


def install_missing() -> None:
    """The contenders' packages are no part of the set-up: they are wanted here only."""
    if not any(_is_needed(requirement) for requirement in _requirements()):
        return
    print("installing what is compared with (bench/requirements.txt) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "-r", str(REQUIREMENTS), "-c", str(REQUIREMENTS.parent.parent / "constraints.txt")], check=True
    )


def one_round(running: Any, bodies: Mapping[tuple[str, int], Path], seconds: float) -> Any:
    for count in ROWS:
        for concurrency in CONCURRENCIES:
            for contender in running:
                load = Load(
                    port=contender.port,
                    content_type=contender.content_type,
                    body=str(bodies[contender.form, count]),
                    concurrency=concurrency,
                    seconds=seconds,
                    marks=count if contender.explains else 0,
                )
                before = cpu_seconds(contender.process)
                outcome = applied(load)
                outcome.server_cpu_us = (
                    1e6 * (cpu_seconds(contender.process) - before) / max(1, sum(outcome.statuses.values()))
                )
                yield (contender.name, count, concurrency), outcome


def line(cell: Cell, outcomes: list[Outcome]) -> dict[str, Any]:
    name, count, concurrency = cell
    statuses: dict[str, int] = {}
    for outcome in outcomes:
        for status, times in outcome.statuses.items():
            statuses[status] = statuses.get(status, 0) + times
    errors = {status: times for status, times in statuses.items() if status != "200"}
    lost = sum(outcome.lost for outcome in outcomes)
    return {
        "server": name,
        "rows": count,
        "concurrency": concurrency,
        "requests/s": round(middle(outcomes, "requests_per_second")),
        "p50 ms": middle(outcomes, "p50_ms"),
        "p99 ms": middle(outcomes, "p99_ms"),
        "errors": ", ".join(
            [*(f"{times} x {status}" for status, times in errors.items()), *([f"{lost} lost"] * bool(lost))]
        )
        or "none",
        "server CPU us": round(middle(outcomes, "server_cpu_us")),
        "client CPU us": round(middle(outcomes, "client_cpu_us")),
    }


def middle(outcomes: list[Outcome], name: str) -> float:
    return float(median(getattr(outcome, name) for outcome in outcomes))


def paired(ours: list[Outcome], theirs: list[Outcome]) -> float:
    """Median of the rounds' ratios of requests/s."""
    return median(a.requests_per_second / b.requests_per_second for a, b in zip(ours, theirs, strict=True))


def all_explained(measured: Mapping[Cell, list[Outcome]]) -> bool:
    """Every answer of this server that was 200, in every round, held as many lists of contributions as rows."""
    ours = [outcome for (name, _, _), outcomes in measured.items() if name.startswith("ours") for outcome in outcomes]
    return all(outcome.unmarked == 0 and outcome.statuses.get("200", 0) > 0 for outcome in ours)


def sentences(figures: Mapping[str, Any]) -> None:
    limit = 2 * figures["noop_p50_ms"] + 1
    print(
        f"\none JSON window at concurrency 1: p50 {figures['p50_ms']:.2f} ms; no-op {figures['noop_p50_ms']:.2f} ms, "
        f"so at most {limit:.2f} ms is wanted\n"
        f"concurrency 8: {figures['throughput_over_usual_c8']:.1f} times the usual design's requests/s (8 are wanted)\n"
        f"every answer held its contributions: {'yes' if figures['explained'] else 'no'}\n"
        f"the client alone would be good for {figures['client_limit_requests_per_second']:.0f} requests/s of a whole core\n"
        f"nginx: {'before gunicorn' if figures['nginx'] else 'missing; the usual design goes without, a hop less'}"
    )


def _requirements() -> list[Requirement]:
    lines = (text.partition("#")[0].strip() for text in REQUIREMENTS.read_text().splitlines())
    return [Requirement(text) for text in lines if text]


def _is_needed(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False
    try:
        return not requirement.specifier.contains(version(requirement.name))
    except PackageNotFoundError:
        return True


if __name__ == "__main__":
    main()
