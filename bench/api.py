"""The API as its callers meet it, through the whole laptop path: the time of one prediction, and how many a minute.

One prediction and a no-op Lambda behind the same gateway and authorizer are asked in turn, one at a time (ROUNDS, 300).
Then CALLERS at once ask for SECONDS (10), each its next question as soon as the last is answered: one item a request,
and a hundred as the dashboard's fleet does. Every answer counted is a 200, and so is every item in it. The
hops of one prediction are `hops`'s.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.hops import percentile
from bench.material.laptop_path import KIND, Connection, LaptopPath, laptop_path
from bench.material.table import keep, show

WARM_UP = 30
CALLERS = 2  # with more, single requests would pass the stage's limit
MOST_ITEMS = 100


def main() -> None:
    rounds, seconds = int(os.environ.get("ROUNDS", "300")), float(os.environ.get("SECONDS", "10"))
    with tempfile.TemporaryDirectory() as folder, laptop_path(Path(folder)) as path:
        single, noop = one_by_one(path, rounds)
        devices = list(itertools.islice(itertools.cycle(known_devices(Path(folder))), MOST_ITEMS))
        minutes = {items: predictions_a_minute(path, devices[:items], seconds) for items in (1, MOST_ITEMS)}
    show(
        f"One request at a time, ms, {rounds} rounds",
        [
            {"request": name, "p50": statistics.median(times), "p99": percentile(times, 99)}
            for name, times in (("one prediction", single), ("no-op Lambda, same gateway", noop))
        ],
    )
    show(
        f"{CALLERS} callers at once, {seconds:.0f} s",
        [{"items a request": items, "predictions a minute": round(count)} for items, count in minutes.items()],
    )
    keep(
        "api",
        {
            "p50_ms": statistics.median(single),
            "p99_ms": percentile(single, 99),
            "noop_p50_ms": statistics.median(noop),
            "predictions_per_minute": minutes[MOST_ITEMS],
            "single_predictions_per_minute": minutes[1],
        },
    )


def one_by_one(path: LaptopPath, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each prediction and of each no-op, asked in turn."""
    api, body = Connection(path.cloud.settings.port), json.dumps({"device_id": path.device_id})
    pairs = [
        tuple(api.post(f"{path.api_path}/{route}", body, signed(path))[0] for route in (f"api/predict/{KIND}", "noop"))
        for _ in range(WARM_UP + rounds)
    ][WARM_UP:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def known_devices(folder: Path) -> list[str]:
    """Those of the loaded fleet, less the newest-joined, whose window may be short."""
    rows: Sequence[dict[str, Any]] = json.loads((folder / "trained" / "raw" / "training-data.json").read_text())
    return sorted({row["device_id"] for row in rows})[:-1]


def predictions_a_minute(path: LaptopPath, devices: Sequence[str], seconds: float) -> float:
    body = json.dumps({"items": [{"device_id": device} for device in devices]})
    api = [Connection(path.cloud.settings.port) for _ in range(CALLERS)]
    begun = time.perf_counter()

    def ask(connection: Connection) -> int:
        answered = 0
        while time.perf_counter() - begun < seconds:
            connection.post(f"{path.api_path}/api/predict/{KIND}", body, signed(path))
            statuses = [result["status"] for result in json.loads(connection.text)["results"]]
            if set(statuses) != {200}:
                raise RuntimeError(f"items answered {sorted(set(statuses))}, not 200 alone")
            answered += len(statuses)
        return answered

    with ThreadPoolExecutor(CALLERS) as pool:
        answered = sum(pool.map(ask, api))
    return 60 * answered / (time.perf_counter() - begun)


def signed(path: LaptopPath) -> dict[str, str]:
    return {"Authorization": f"Bearer {path.token}"}
