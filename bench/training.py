"""What training decides by measurement, and what a trial costs above pure XGBoost.

Choices: class weights or not, the final model refitted on training and validation rows or not; models of five training
fleets of 10,000 records, judged on one of 400 devices that trained nothing. Cost: the train command against
`xgb.train` alone on the same rows with the same settings, with its peak memory and the share of quantising the data,
which is what trials could share. RECORDS is the largest fleet (100000; 1000000 takes half an hour).
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent
from training_container.calibration import fit_temperature
from training_container.evaluation.metrics import risk_metrics
from training_container.hyperparameters import Hyperparameters
from training_container.split_file import Split
from training_container.train import booster_settings, matrix, train

SEEDS = (1, 2, 3, 4, 5)
JUDGED_SEED, JUDGED = 5_001, 25_600
REPEATS = 3
Weights = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]


def main() -> None:
    most = int(os.environ.get("RECORDS", "100000"))
    with silent():
        judged = whole(splits_of(fleet(JUDGED, JUDGED_SEED))).labelled("risk")
        training = [{name: rows.labelled("risk") for name, rows in splits_of(fleet(10_000, s)).items()} for s in SEEDS]
        choices = list(choice_rows(training, judged))
        costs = [cost(records) for records in (10_000, 100_000, 1_000_000) if records <= most]
    show(
        "Choices, mean of five training fleets; gained on the same fleet over the first line, and how much that differs",
        choices,
    )
    show("A trial (risk) against xgb.train alone, median of three", costs)
    keep("training", {"choices": choices, "costs": costs})


def choice_rows(training: list[dict[str, Split]], judged: Split) -> Iterator[dict[str, Any]]:
    as_is: list[dict[str, Any]] = []
    for weights, weigh in (("none", unweighted), ("square root of balanced", rooted), ("balanced", balanced)):
        for refit in (False, True):
            metrics = [choice(splits, judged, weigh, refit=refit) for splits in training]
            as_is = as_is or metrics
            gained = [100 * (m["macro_f1"] - before["macro_f1"]) for m, before in zip(metrics, as_is, strict=True)]
            yield {
                "class weights": weights,
                "refitted": "yes" if refit else "no",
                **{name: statistics.mean(m[name] for m in metrics) for name in ("accuracy", "macro_f1", "log_loss")},
                "calibration error": statistics.mean(m["expected_calibration_error"] for m in metrics),
                "critical recall": statistics.mean(m["per_class"]["critical"]["recall"] for m in metrics),
                "macro-F1 gained, points": statistics.mean(gained),
                "deviation": statistics.stdev(gained),
            }


def choice(splits: Mapping[str, Split], judged: Split, weigh: Weights, *, refit: bool) -> dict[str, Any]:
    """risk_metrics of the judged rows, calibrated by temperature as ever."""
    hyperparameters = Hyperparameters(kind="risk")
    settings = booster_settings(hyperparameters)
    learnt, validation = splits["train"], matrix(splits["validation"], hyperparameters)
    booster = xgb.train(
        settings,
        weighted(learnt, weigh, hyperparameters),
        hyperparameters.num_round,
        evals=[(validation, "validation")],
        early_stopping_rounds=hyperparameters.early_stopping_rounds,
        verbose_eval=False,
    )
    booster = booster[: booster.best_iteration + 1]
    if refit:
        both = Split.concatenate([learnt, splits["validation"]])
        booster = xgb.train(settings, weighted(both, weigh, hyperparameters), booster.num_boosted_rounds())
    calibration = splits["calibration"]
    divisor = fit_temperature(margins(booster, calibration, hyperparameters), calibration.risk)
    scaled = margins(booster, judged, hyperparameters) / divisor
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return risk_metrics(judged.risk.astype(np.int64), powers / powers.sum(axis=1, keepdims=True))


def weighted(rows: Split, weigh: Weights, hyperparameters: Hyperparameters) -> xgb.DMatrix:
    data = matrix(rows, hyperparameters)
    data.set_weight(weigh(rows.risk))
    return data


def margins(booster: xgb.Booster, rows: Split, hyperparameters: Hyperparameters) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = booster.predict(matrix(rows, hyperparameters), output_margin=True).astype(float)
    return found


def unweighted(levels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.ones(len(levels))


def balanced(levels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    counts = np.bincount(levels, minlength=4)
    weights: npt.NDArray[np.float64] = (len(levels) / 4 / np.maximum(counts, 1))[levels]
    return weights


def rooted(levels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    weights: npt.NDArray[np.float64] = np.sqrt(balanced(levels))
    return weights


def cost(records: int) -> dict[str, Any]:
    features = fleet(records, 7)
    pairs = [(in_a_process(_whole_trial, features), in_a_process(_pure, features)) for _ in range(REPEATS)]
    whole_seconds = statistics.median(trial["seconds"] for trial, _ in pairs)
    pure_seconds = statistics.median(pure["seconds"] for _, pure in pairs)
    quantising = statistics.median(pure["quantising"] for _, pure in pairs)
    return {
        "records": records,
        "train command, s": whole_seconds,
        "xgb.train, s": pure_seconds,
        "ratio": statistics.median(trial["seconds"] / pure["seconds"] for trial, pure in pairs),
        "quantising, % of the trial": 100 * quantising / whole_seconds,
        "peak memory, MB": max(trial["peak_mb"] for trial, _ in pairs),
    }


def in_a_process(measure: Callable[[Path], dict[str, float]], features: Path) -> dict[str, float]:
    """Each measurement in a process of its own, so that its peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (measure, features))


def _measured(measure: Callable[[Path], dict[str, float]], features: Path) -> dict[str, float]:
    with silent():
        figures = measure(features)
    return {**figures, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _whole_trial(features: Path) -> dict[str, float]:
    folders = dict.fromkeys(("train", "validation", "calibration"), features / "columnar")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train({"kind": "risk"}, folders, Path(folder))
        return {"seconds": time.perf_counter() - started}


def _pure(features: Path) -> dict[str, float]:
    """Boosting alone, data quantised before; and the quantising."""
    hyperparameters = Hyperparameters(kind="risk")
    splits = {name: rows.labelled("risk") for name, rows in splits_of(features).items()}
    started = time.perf_counter()
    data = [
        xgb.QuantileDMatrix(splits["train"].X, label=splits["train"].risk),
        xgb.DMatrix(splits["validation"].X, label=splits["validation"].risk),
    ]
    quantised = time.perf_counter()
    xgb.train(
        booster_settings(hyperparameters),
        data[0],
        hyperparameters.num_round,
        evals=[(data[1], "validation")],
        early_stopping_rounds=hyperparameters.early_stopping_rounds,
        verbose_eval=False,
    )
    return {"seconds": time.perf_counter() - quantised, "quantising": quantised - started}
