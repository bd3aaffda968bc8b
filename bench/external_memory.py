"""What training rows cost in memory and time: as a DMatrix, quantised in memory, quantised in a cache on disk; and judging.

Made-up rows of 25 features (5% unknown) and four levels, in the files that engineer writes; each measurement in a process of
its own. ROWS is the most training rows (1000000; 5000000 takes a quarter of an hour), ROUNDS the rounds (10). Peak memory is
the process's largest resident size; the rows of a file that is mapped are given back to the system after each block.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from bench.material.table import keep, show
from bench.training import in_a_process
from insights.feature_table import FEATURE_NAMES
from training_container.evaluation.evaluate import evaluate
from training_container.hyperparameters import Hyperparameters
from training_container.split_file import Split
from training_container.train import booster_settings, fit, matrix, train

KEPT = Path("build/bench/rows")
SIZES = (1_000_000, 5_000_000)
SHARES = {"train": 1.0, "validation": 0.2, "calibration": 0.1, "test": 0.2}
ROWS_A_DEVICE = 1_000
SEED = 7


def main() -> None:
    most = int(os.environ.get("ROWS", "1000000"))
    sizes = [rows for rows in SIZES if rows <= most] or [most]
    trained = [row for rows in sizes for row in training_rows(made(rows))]
    show("One training (risk) to its booster", trained)
    judged = [in_a_process(_judged, made(rows)) for rows in sizes]
    show("The whole train command (both kinds), then evaluate", judged)
    keep("external_memory", {"training": trained, "judging": judged})


def training_rows(columnar: Path) -> Iterator[dict[str, Any]]:
    for name, measure in (("DMatrix", _plain), ("quantised", _quantised), ("cached", _cached)):
        figures = in_a_process(measure, columnar)
        yield {"rows": int(columnar.parent.name), "matrix": name, **figures}


def made(rows: int) -> Path:
    """The columnar folder of so many training rows."""
    folder = KEPT / str(rows) / "columnar"
    if not (folder / "test.npz").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, share) in enumerate(SHARES.items()):
            _split(int(rows * share), SEED + number).write(folder / f"{name}.npz")
    return folder


def _split(rows: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    X = np.exp(random.standard_normal((rows, len(FEATURE_NAMES)), np.float32))
    X[random.random(X.shape, np.float32) < 0.05] = np.nan
    hours, days = FEATURE_NAMES.index("hour_of_day"), FEATURE_NAMES.index("day_of_week")
    X[:, hours], X[:, days] = random.integers(0, 24, rows), random.integers(0, 7, rows)
    known = np.nan_to_num(X[:, :3])
    told = np.log1p(known[:, 0]) + 0.2 * known[:, 1] * known[:, 2] + random.normal(0, 0.3, rows)
    risk = np.digitize(told, (0.9, 1.6, 2.6)).astype(np.int8)
    devices = -(-rows // ROWS_A_DEVICE)
    return Split(
        X=X,
        risk=risk,
        score=np.clip(100 - 25 * told, 0, 100).astype(np.float32),
        device=np.repeat(np.arange(devices, dtype=np.int32), ROWS_A_DEVICE)[:rows],
        devices=np.array([f"device-{seed}-{number}" for number in range(devices)]),
        time=np.arange(rows) * 300.0,
        persistence_risk=np.clip(risk + random.integers(-1, 2, rows), 0, 3).astype(np.int8),
        persistence_score=np.clip(100 - 25 * told + random.normal(0, 10, rows), 0, 100).astype(np.float32),
        device_class=np.full(rows, -1, np.int32),
        device_classes=np.array([], np.str_),
        workload=random.integers(0, 4, rows).astype(np.int8),
        breach=(random.random(rows) < 0.1).astype(np.int8),
        oracle_risk=np.full(rows, -1, np.int8),
        oracle_score=np.full(rows, np.nan, np.float32),
    )


def _hyperparameters(*, external_memory: bool = False) -> Hyperparameters:
    return Hyperparameters(kind="risk", num_round=int(os.environ.get("ROUNDS", "10")), external_memory=external_memory)


def _plain(columnar: Path) -> dict[str, float]:
    given, started = _hyperparameters(), time.perf_counter()
    splits = {name: Split.read(columnar, name) for name in ("train", "validation")}
    data = {name: matrix(split, given) for name, split in splits.items()}
    booster = xgb.train(
        booster_settings(given),
        data["train"],
        given.num_round,
        evals=[(data["validation"], "validation")],
        early_stopping_rounds=given.early_stopping_rounds,
        verbose_eval=False,
    )
    return {"seconds": time.perf_counter() - started, "objective": booster.best_score}


def _quantised(columnar: Path) -> dict[str, float]:
    return _fitted(columnar, _hyperparameters())


def _cached(columnar: Path) -> dict[str, float]:
    return _fitted(columnar, _hyperparameters(external_memory=True))


def _fitted(columnar: Path, given: Hyperparameters) -> dict[str, float]:
    started = time.perf_counter()
    splits = {name: Split.read(columnar, name, mapped=True) for name in ("train", "validation")}
    with tempfile.TemporaryDirectory(dir=columnar) as cache:
        booster = fit(given, splits["train"], splits["validation"], cache=Path(cache))
    return {"seconds": time.perf_counter() - started, "objective": booster.best_score}


def _judged(columnar: Path) -> dict[str, float]:
    """Peak memory is that of the two commands one after the other in one process."""
    figures: dict[str, float] = {"rows": int(columnar.parent.name)}
    folders = dict.fromkeys(("train", "validation", "calibration"), columnar)
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("risk", "performance"):
            steps: dict[str, Callable[[], None]] = {
                "train": lambda kind=kind: train(
                    {"kind": kind, "num_round": os.environ.get("ROUNDS", "10")}, folders, Path(scratch) / kind
                ),
                "evaluate": lambda kind=kind: evaluate(
                    kind, model=Path(scratch) / kind, features=columnar.parent, output=Path(scratch) / f"{kind}-judged"
                ),
            }
            for step, run in steps.items():
                started = time.perf_counter()
                run()
                figures[f"{step} {kind}, s"] = time.perf_counter() - started
    return figures
