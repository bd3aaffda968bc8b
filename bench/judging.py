"""How good the default run's models are on five fleets that trained nothing, beside their rivals and the oracle.

Trains on 10,000 records of the default seed with TUNING_JOBS trials (10), then judges on fleets of 400 devices each.
Below it what must not work: labels shuffled before training. And a split by time beside the split by device.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from insights.schema import RISK_LEVELS
from training_container.evaluation.evaluate import judge
from training_container.model_folder import read_preprocessing
from training_container.split_file import Split

TRAINED, DEFAULT_SEED = 10_000, 7
JUDGED, SEEDS = 25_600, (5_001, 5_002, 5_003, 5_004, 5_005)  # 64 records a device: 400 devices each
KINDS = ("risk", "performance")


def main() -> None:
    trials = int(os.environ.get("TUNING_JOBS", "10"))
    with silent():
        training = splits_of(fleet(TRAINED, DEFAULT_SEED))
        by_time = splits_of(fleet(TRAINED, DEFAULT_SEED, split="time"))
        fleets = {seed: whole(splits_of(fleet(JUDGED, seed, futures=200))) for seed in SEEDS}
        found = {kind: judged(kind, training, fleets, trials) for kind in KINDS}
        shuffled = judged("risk", {name: with_shuffled_labels(rows) for name, rows in training.items()}, fleets, 1)
        own = {
            f"{kind}, split by {name}": judged(kind, splits, {0: splits["test"]}, trials)[0]
            for kind in KINDS
            for name, splits in (("device", training), ("time", by_time))
        }
    show(f"Risk on fleets that trained nothing ({trials} trials)", list(risk_rows(found["risk"])))
    show("Macro-F1 ahead of each rival, with its 95% interval", list(margin_rows(found["risk"])))
    show(f"Performance on the same fleets ({trials} trials)", list(performance_rows(found["performance"])))
    show("RMSE below each rival's, with its 95% interval", list(margin_rows(found["performance"])))
    show(
        "Coverage of the 90% interval by what happened, with its 95% interval",
        list(coverage_rows(found["performance"])),
    )
    show("Labels shuffled before training: accuracy falls to the commonest level's", list(shuffled_rows(shuffled)))
    show("The default run's own test rows, split by device and by time", list(own_rows(own)))
    keep("judging", {"trials": trials, **found, "shuffled": shuffled, "own_test_rows": own})


def judged(
    kind: str, training: Mapping[str, Split], fleets: Mapping[int, Split], trials: int
) -> dict[int, dict[str, Any]]:
    """metrics.json of one model on every fleet, by seed."""
    with tempfile.TemporaryDirectory() as folder:
        predictor = tuned(kind, training, trials=trials).written(_labelled(training, kind), Path(folder))
        preprocessing = read_preprocessing(Path(folder))
    train = training["train"].labelled(kind)
    return {seed: judge(predictor, train, rows.labelled(kind), preprocessing) for seed, rows in fleets.items()}


def with_shuffled_labels(rows: Split) -> Split:
    return replace(rows, risk=np.random.default_rng(DEFAULT_SEED).permutation(rows.risk))


def risk_rows(found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for seed, metrics in found.items():
        critical = metrics["per_class"]["critical"]
        yield {
            "seed": seed,
            "devices": metrics["devices"],
            "accuracy": metrics["accuracy"],
            "oracle": metrics["rivals"]["oracle"]["accuracy"],
            "gap in points": 100 * (metrics["rivals"]["oracle"]["accuracy"] - metrics["accuracy"]),
            "macro-F1": metrics["macro_f1"],
            "critical recall": critical["recall"],
            "of rows": critical["support"],
            "calibration error": metrics["expected_calibration_error"],
            "foreseen": metrics["lead_time"]["forecasts"]["model"]["foreseen"],
        }


def performance_rows(found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for seed, metrics in found.items():
        yield {
            "seed": seed,
            "RMSE": metrics["rmse"],
            "persistence": metrics["rivals"]["persistence"]["rmse"],
            "oracle": metrics["rivals"]["oracle"]["rmse"],
            "coverage": metrics["interval_coverage"],
            "its interval": _ends(metrics["intervals"]["interval_coverage"]),
            "width": metrics["interval_width"],
        }


def margin_rows(found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for seed, metrics in found.items():
        margins = {name: rival["margin"] for name, rival in metrics["rivals"].items()}
        yield {"seed": seed, **{name: f"{m['difference']:+.3f} ({_ends(m)})" for name, m in margins.items()}}


def coverage_rows(found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for seed, metrics in found.items():
        parts = metrics["interval_coverage_by_level"]
        yield {
            "seed": seed,
            **{level: f"{parts[level]['coverage']:.3f} ({_ends(parts[level])})" for level in RISK_LEVELS},
        }


def shuffled_rows(found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for seed, metrics in found.items():
        majority = metrics["rivals"]["majority"]
        yield {
            "seed": seed,
            "accuracy": metrics["accuracy"],
            "commonest level": majority["accuracy"],
            "macro-F1": metrics["macro_f1"],
            "of the commonest level": majority["macro_f1"],
        }


def own_rows(found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, metrics in found.items():
        metric = "macro_f1" if metrics["kind"] == "risk" else "rmse"
        yield {
            "model": name,
            "rows": metrics["rows"],
            "metric": metric,
            "value": metrics[metric],
            "its interval": _ends(metrics["intervals"][metric]),
            "persistence": metrics["rivals"]["persistence"][metric],
        }


def _labelled(splits: Mapping[str, Split], kind: str) -> dict[str, Split]:
    return {name: rows.labelled(kind) for name, rows in splits.items()}


def _ends(ends: Mapping[str, float]) -> str:
    return f"{ends['lower']:.3f} to {ends['upper']:.3f}"
