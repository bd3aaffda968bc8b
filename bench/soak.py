"""Sustained load above what one instance can answer: what is answered, what is refused, and whether memory stays flat.

SECONDS (600) on loopback, with a request that is refused asked again after a tenth of the Retry-After. Figures of memory
are the workers' resident megabytes, from WARM_UP_SHARE of the run on.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.material.load import Load, applied
from bench.material.servers import own_server, ping_milliseconds, resident_megabytes, workers_of
from bench.material.table import keep, show

CONNECTIONS_PER_WORKER = 128  # twice what may wait
PAUSE_SECONDS = 0.1
WARM_UP_SHARE = 0.2
SAMPLES = 50
"""Of memory and of /ping, over the whole run."""


def main() -> None:
    from bench.material.served import served

    material = served((1,))
    seconds = float(os.environ.get("SECONDS", "600"))
    found = soaked(material.model, material.bodies["window", 1], seconds=seconds, workers=os.cpu_count() or 1)
    figures = [{"figure": name, "value": value} for name, value in found.items() if name != "memory"]
    show(f"{seconds:.0f} s above the shedding point", figures)
    show("resident megabytes of each worker over time", found["memory"])
    keep("soak", found)


@dataclass
class _Watch:
    """Samples of the server, taken beside the load."""

    port: int
    pids: list[int]
    memory: list[dict[str, float]] = field(default_factory=list)
    pings: list[float | None] = field(default_factory=list)

    def run(self, every_seconds: float, ended: threading.Event) -> None:
        begin = time.monotonic()
        while not ended.wait(every_seconds):
            sample = {"s": time.monotonic() - begin}
            sample |= {f"worker {number}": resident_megabytes(pid) for number, pid in enumerate(self.pids, start=1)}
            self.memory.append(sample)
            self.pings.append(ping_milliseconds(self.port))


def soaked(model: Path, body: Path, *, seconds: float, workers: int) -> dict[str, Any]:
    """Statuses with their counts, latencies, growth of memory, and how /ping was answered meanwhile."""
    with own_server(model, workers=workers, log=Path("build/bench/logs/soak.log")) as (port, process):
        before = workers_of(process, workers)
        load = Load(
            port=port,
            content_type="application/json",
            body=str(body),
            concurrency=CONNECTIONS_PER_WORKER * workers,
            seconds=seconds,
            marks=1,
            pause_seconds=PAUSE_SECONDS,
        )
        watch, ended = _Watch(port, before), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch.run, seconds / SAMPLES, ended)
            try:
                outcome = applied(load)
            finally:
                ended.set()
            watching.result()
        replaced = workers_of(process, workers) != before
    answered = [ping for ping in watch.pings if ping is not None]
    return {
        "statuses": outcome.statuses,
        "lost connections": outcome.lost,
        "unexplained": outcome.unmarked,
        "answered/s": outcome.requests_per_second,
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "pings": len(watch.pings),
        "pings_unanswered": len(watch.pings) - len(answered),
        "ping_p50_ms": median(answered) if answered else None,
        "ping_worst_ms": max(answered, default=None),
        "workers_replaced": replaced,
        "memory_growth_percent": growth_percent(watch.memory),
        "memory": watch.memory,
    }


def growth_percent(samples: list[dict[str, float]]) -> float:
    """The most by which a worker's memory at the end differs from what it was after the warm-up."""
    warm = samples[int(WARM_UP_SHARE * len(samples)) :]
    quarter = max(1, len(warm) // 4)
    workers = [name for name in warm[0] if name != "s"]
    ends = [
        (median(sample[name] for sample in warm[:quarter]), median(sample[name] for sample in warm[-quarter:]))
        for name in workers
    ]
    return max(100 * abs(last - first) / first for first, last in ends)
