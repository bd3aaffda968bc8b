"""What is lost when a feature is left out: a model trained without it against the one that has all 25.

Defaults' hyperparameters, 10,000 records of each of three training seeds, judged on a fleet of 400 devices that trained
nothing; a loss counts when it is larger than the seeds differ. The evidence asked for when the feature table is changed.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from training_container.evaluation.importance import left_out
from training_container.evaluation.metrics import level_metrics, score_metrics
from training_container.predictor import Predictor
from training_container.split_file import Split

SEEDS = (1, 2, 3)
JUDGED_SEED, JUDGED = 5_001, 25_600


def main() -> None:
    figures = {}
    for kind, metric in (("risk", "macro-F1 lost, points"), ("performance", "RMSE added")):
        with silent():
            rows = lost(kind, metric)
        figures[kind] = rows
        show(f"{kind}: each feature left out, worst first; mean and standard deviation over the seeds", rows)
    keep("features_lost", figures)


def lost(kind: str, metric: str) -> list[dict[str, Any]]:
    judged = whole(splits_of(fleet(JUDGED, JUDGED_SEED))).labelled(kind)
    losses: dict[str, list[float]] = {}
    for seed in SEEDS:
        splits = {**splits_of(fleet(10_000, seed)), "test": judged}
        for name, loss in losses_of(kind, {part: rows.labelled(kind) for part, rows in splits.items()}):
            losses.setdefault(name, []).append(loss)
    rows = [{"feature": n, metric: statistics.mean(v), "deviation": statistics.stdev(v)} for n, v in losses.items()]
    return sorted(rows, key=lambda row: -float(row[metric]))


def losses_of(kind: str, splits: Mapping[str, Split]) -> Iterator[tuple[str, float]]:
    def fit(given: Mapping[str, Split]) -> Predictor:
        with tempfile.TemporaryDirectory() as folder:
            return tuned(kind, given, trials=1).written(given, Path(folder))

    whole_model = badness(fit(splits), splits["test"])
    for name, without in left_out(fit, splits, badness):
        yield name, without - whole_model


def badness(predictor: Predictor, rows: Split) -> float:
    """100 minus the macro-F1 in points, or the RMSE: more is worse."""
    if predictor.kind == "risk":
        levels = predictor.probabilities(rows.X).argmax(axis=1)
        return 100 - 100 * float(level_metrics(rows.risk.astype(np.int64), levels)["macro_f1"])
    return score_metrics(rows.score.astype(np.float64), predictor.scores(rows.X))["rmse"]
