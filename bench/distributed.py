"""One model by 1, 2 and 4 processes: what stays exactly the same, what agrees within its interval, and what it costs.

The entry point itself, with XGBoost's collective on 127.0.0.1 and one thread a process; on a machine of two cores four
processes cannot be faster than two. RECORDS insights (30,000), ROUNDS rounds at most (40).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.material.fleets import fleet, splits_of
from bench.material.table import keep, show
from bench.material.tuned import silent
from tests.training_container.distributed import Instances, instances, prequantised, write_parts
from training_container.evaluation.bootstrap import DeviceBootstrap, bounds
from training_container.evaluation.metrics import level_metrics, score_metrics
from training_container.evaluation.resampled import resampled_levels, resampled_scores
from training_container.predictor import Predictor
from training_container.split_file import Split

PROCESSES = (1, 2, 4)
SEED = 7


def main() -> None:
    with silent():
        splits = splits_of(fleet(int(os.environ.get("RECORDS", "30000")), SEED))
    found = [row for kind in ("risk", "performance") for row in compared(kind, splits)]
    show("Free quantisation, 90% of the rows a tree: the objective, and a metric of the test devices", found)
    exact = [row for kind in ("risk", "performance") for row in exactly(kind, splits)]
    show("At most 200 values a feature, every row in every tree: files of the model folder that differ", exact)
    keep("distributed", {"rows": len(splits["train"]), "free": found, "prequantised": exact})


def compared(kind: str, splits: Mapping[str, Split]) -> Iterator[dict[str, Any]]:
    """Whether the metric of the model of several lies in the device-bootstrap interval of that of one."""
    test, first = splits["test"].labelled(kind), None
    for processes in PROCESSES:
        with tempfile.TemporaryDirectory() as folder:
            job, seconds, objective = trained(kind, splits, processes, Path(folder))
            name, value, ends = judged(Predictor.load(job.root(1) / "model"), test)
        first = first or {"seconds": seconds, "ends": ends}
        yield {
            "kind": kind,
            "processes": processes,
            "objective": objective,
            "metric": name,
            "value": value,
            "its interval": f"{ends['lower']:.4f} to {ends['upper']:.4f}",
            "within one's": "yes" if first["ends"]["lower"] <= value <= first["ends"]["upper"] else "no",
            "seconds": seconds,
            "of one's time": seconds / first["seconds"],
        }


def exactly(kind: str, splits: Mapping[str, Split]) -> Iterator[dict[str, Any]]:
    names = ("train", "validation", "calibration")
    whole = prequantised(Split.concatenate([splits[name] for name in names]))
    ends = np.cumsum([len(splits[name]) for name in names])
    coarse = {name: replace(splits[name], X=X) for name, X in zip(names, np.split(whole.X, ends[:-1]), strict=True)}
    one: dict[str, bytes] = {}
    for processes in PROCESSES:
        with tempfile.TemporaryDirectory() as folder:
            job, _, objective = trained(kind, coarse, processes, Path(folder), subsample="1")
            model = job.model()
        one = one or model
        differing = sorted(name for name in one if model[name] != one[name])
        yield {"kind": kind, "processes": processes, "objective": objective, "differ": ", ".join(differing) or "none"}


def trained(
    kind: str, splits: Mapping[str, Split], processes: int, folder: Path, **hyperparameters: str
) -> tuple[Instances, float, float]:
    """The job, its seconds from start to end, and the objective that it printed."""
    columnar = folder / "columnar"
    columnar.mkdir()
    write_parts(splits["train"], columnar, processes)
    for name in ("validation", "calibration"):
        splits[name].write(columnar / f"{name}.npz")
    rounds = os.environ.get("ROUNDS", "40")
    job = instances(folder / "job", columnar, processes, kind=kind, num_round=rounds, **hyperparameters)
    started = time.perf_counter()
    printed = job.run()[0]
    seconds = time.perf_counter() - started
    return job, seconds, float(printed.rpartition("=")[2].rstrip().rstrip(";"))


def judged(predictor: Predictor, test: Split) -> tuple[str, float, dict[str, float]]:
    bootstrap = DeviceBootstrap.of(test)
    if predictor.kind == "risk":
        true, said = test.risk.astype(np.int64), predictor.probabilities(test.X).argmax(axis=1)
        value = level_metrics(true, said)["macro_f1"]
        return "macro-F1", value, bounds(resampled_levels(bootstrap, true, said)["macro_f1"])
    true_scores, scores = test.score.astype(np.float64), predictor.scores(test.X)
    return (
        "RMSE",
        score_metrics(true_scores, scores)["rmse"],
        bounds(resampled_scores(bootstrap, true_scores, scores)["rmse"]),
    )
