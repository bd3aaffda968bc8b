"""The cheapest instance type of an endpoint that keeps p99 within TARGET_MS (100) at RATE (100) requests a second.

The container is measured on one and on two cores of this machine, one worker a core, by a closed loop of rising concurrency
with one JSON window a request; the client has the other core, or shares both. A type with more vCPUs is extrapolated by what
the second core brought. These cores are not AWS's: a small reference kernel is timed, and REFERENCE_MS, its time on an
instance of the type in question (`python -m bench.instance_types kernel` prints it there), scales the rates. ROUNDS (3) and
SECONDS (2 for each figure of a round) make it longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.material.load import Load, Outcome, applied
from bench.material.servers import own_server, resident_megabytes, workers_of
from bench.material.table import keep, show
from stacks.costs.prices import Instance, PriceTable

CONCURRENCIES = (1, 2, 4, 8, 16, 32)
SAFETY = 0.7  # of what was measured, as target tracking keeps it (Settings.target_invocations_per_minute)
HOST_GIB = 0.75  # left to the operating system and SageMaker's agent; a guess
GRAVITON = (
    "Graviton types (ml.c7g, ml.m7g, ...) are not among them: the image is built for x86 (stacks/image.py), and an arm64 "
    "image has not been measured"
)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What so many cores answer with p99 within the target, and what their workers hold in memory."""

    cores: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    megabytes: float


def main() -> None:
    if sys.argv[1:] == ["kernel"]:
        print(f"{kernel_ms():.1f}")
        return
    target, rate = float(os.environ.get("TARGET_MS", "100")), float(os.environ.get("RATE", "100"))
    reference = kernel_ms()
    ratio = reference / float(os.environ.get("REFERENCE_MS", reference))
    measured: list[dict[str, Any]] = []
    capacities = {cores: capacity(cores, target, measured) for cores in (1, 2) if cores <= len(os.sched_getaffinity(0))}
    show(f"the container here, one JSON window a request (p99 within {target:g} ms is wanted)", measured)
    rows = priced(capacities, rate=rate, ratio=ratio)
    show(f"instance types at {rate:g} requests/s with {SAFETY:.0%} of what was measured", rows)
    sentences(rows, capacities, reference=reference, ratio=ratio, rate=rate, target=target)
    keep(
        "instance_types",
        {
            "target_ms": target,
            "requests_per_second": rate,
            "kernel_ms": reference,
            "ratio": ratio,
            "measured": measured,
            "types": rows,
        },
    )


def kernel_ms() -> float:
    """Interpreter and hashing, as in the container's own path; the median of seven on one core."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        number, block = 7, bytes(65_536)
        for _ in range(400_000):
            number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
        for _ in range(200):
            block = hashlib.sha256(block).digest() * 2_048
        times.append(1e3 * (time.perf_counter() - started))
    return median(times)


def capacity(cores: int, target_ms: float, measured: list[dict[str, Any]]) -> Capacity:
    """The most requests a second with p99 within the target and nothing refused; every figure goes into `measured`."""
    from bench.material.served import served

    material = served((1,))
    rounds, seconds = int(os.environ.get("ROUNDS", "3")), float(os.environ.get("SECONDS", "2"))
    best = Capacity(cores=cores, requests_per_second=0.0, p50_ms=math.nan, p99_ms=math.nan, megabytes=math.nan)
    with pinned(cores), own_server(material.model, workers=cores, log=Path(f"build/bench/logs/{cores}.log")) as server:
        port, process = server
        released()
        for concurrency in CONCURRENCIES:
            load = Load(
                port=port,
                content_type="application/json",
                body=str(material.bodies["window", 1]),
                concurrency=concurrency,
                seconds=seconds,
            )
            outcomes = [applied(load) for _ in range(rounds + 1)][1:]  # the first warms up
            megabytes = sum(resident_megabytes(pid) for pid in {process.pid, *workers_of(process, cores)})
            found = Capacity(
                cores=cores,
                requests_per_second=median(outcome.requests_per_second for outcome in outcomes),
                p50_ms=median(outcome.p50_ms for outcome in outcomes),
                p99_ms=median(outcome.p99_ms for outcome in outcomes),
                megabytes=megabytes,
            )
            refused = sum(refusals(outcome) for outcome in outcomes)
            measured.append(line(found, concurrency, refused))
            if found.p99_ms <= target_ms and not refused and found.requests_per_second > best.requests_per_second:
                best = found
    return best


@contextlib.contextmanager
def pinned(cores: int) -> Iterator[None]:
    """What is started here runs on the first so many cores; `released` lets this process go again."""
    os.sched_setaffinity(0, set(sorted(ALL_CORES)[:cores]))
    try:
        yield
    finally:
        released()


def released() -> None:
    os.sched_setaffinity(0, ALL_CORES)


ALL_CORES = os.sched_getaffinity(0)


def refusals(outcome: Outcome) -> int:
    return outcome.lost + sum(count for status, count in outcome.statuses.items() if status != "200")


def line(found: Capacity, concurrency: int, refused: int) -> dict[str, Any]:
    return {
        "cores": found.cores,
        "concurrency": concurrency,
        "requests/s": round(found.requests_per_second),
        "p50 ms": found.p50_ms,
        "p99 ms": found.p99_ms,
        "refused": refused,
        "memory MB": round(found.megabytes),
    }


def priced(capacities: Mapping[int, Capacity], *, rate: float, ratio: float) -> list[dict[str, Any]]:
    """Every type of the price table, cheapest for the rate first, smaller types first at the same price."""
    rows = [
        type_line(name, instance, capacities, rate=rate, ratio=ratio)
        for name, instance in PriceTable.read().instances.items()
    ]
    return sorted(rows, key=lambda row: (not row["fits"], row["USD/hour"], row["vCPUs"], row["type"]))


def type_line(
    name: str, instance: Instance, capacities: Mapping[int, Capacity], *, rate: float, ratio: float
) -> dict[str, Any]:
    usable = SAFETY * ratio * requests_per_second(instance.vcpus, capacities)
    gigabytes = memory_gib(instance.vcpus, capacities)
    count = math.ceil(rate / usable) if usable else 0
    hourly = count * instance.usd_per_hour
    return {
        "type": name,
        "vCPUs": instance.vcpus,
        "memory GiB": instance.memory_gib,
        "needs GiB": round(gigabytes + HOST_GIB, 2),
        "fits": bool(usable) and gigabytes + HOST_GIB <= instance.memory_gib,
        "requests/s": round(usable),
        "from": "measured" if instance.vcpus in capacities else "extrapolated",
        "instances": count,
        "USD/hour": hourly,
        "USD/million at this rate": 1e6 * hourly / 3600 / rate,
        "USD/million when busy": 1e6 * instance.usd_per_hour / 3600 / usable if usable else math.inf,
    }


def requests_per_second(vcpus: int, capacities: Mapping[int, Capacity]) -> float:
    """Each further core brings what the last measured one did, and never more than its share."""
    if vcpus in capacities:
        return capacities[vcpus].requests_per_second
    most = max(capacities)
    share = capacities[most].requests_per_second / most
    step = capacities[most].requests_per_second - capacities[most - 1].requests_per_second if most > 1 else share
    return capacities[most].requests_per_second + (vcpus - most) * max(0.0, min(step, share))


def memory_gib(vcpus: int, capacities: Mapping[int, Capacity]) -> float:
    """Resident sizes added up, so shared pages count for every worker: a bound from above."""
    most = max(capacities)
    return capacities[most].megabytes / most * vcpus * 1e6 / 2**30


def sentences(
    rows: list[dict[str, Any]],
    capacities: Mapping[int, Capacity],
    *,
    reference: float,
    ratio: float,
    rate: float,
    target: float,
) -> None:
    scaled = "as they are here" if ratio == 1 else f"times {ratio:.2f} (REFERENCE_MS)"
    print(
        f"\nreference kernel: {reference:.0f} ms here; rates are {scaled}. A vCPU in AWS is a hardware thread, often half "
        "a core, and this machine's cores are not AWS's: measure the kernel there before you choose"
    )
    fitting = [row for row in rows if row["fits"]]
    if not fitting or any(math.isnan(found.p99_ms) for found in capacities.values()):
        print(f"no load was answered with p99 within {target:g} ms here, so no type can be named")
        return
    best = fitting[0]
    print(
        f"cheapest within p99 {target:g} ms at {rate:g} requests/s: {best['instances']} x {best['type']}, "
        f"{best['USD/hour']:.3f} USD an hour, {best['USD/million at this rate']:.3f} USD per million predictions\n{GRAVITON}"
    )


if __name__ == "__main__":
    main()
