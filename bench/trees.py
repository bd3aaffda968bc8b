"""What a prediction and its reasons cost: XGBoost's Booster with one thread, and the trees that are compiled at load.

Models of 10,000 synthetic records: as a default trial fits them, and the largest of the tuning space (depth 10, 300
rounds). Reasons are the contributions of a row's predicted level, for which XGBoost computes those of all levels. One
row is another row at every call; times are medians over blocks of calls, as a busy server makes them, in turn.
Differences are over the test split, those of contributions as a share of a row's added up without their signs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from bench.material.fleets import fleet, splits_of
from bench.material.table import keep, show
from bench.material.tuned import silent
from training_container.booster_trees import BoosterTrees
from training_container.compiled_trees import CompiledTrees, warm_up
from training_container.hyperparameters import Hyperparameters
from training_container.split_file import Split
from training_container.train import booster_settings, fit, matrix

RECORDS, SEED = 10_000, 7
BLOCKS = {1: (12, 20), 100: (3, 4)}  # by rows a call: blocks, and calls in each
Matrix = npt.NDArray[np.float32]


def main() -> None:
    warm_up()
    with silent():
        splits = splits_of(fleet(RECORDS, SEED))
        measured = [measure(name, booster, splits["test"].X) for name, booster in models(splits).items()]
    times, models_ = [row for rows, _ in measured for row in rows], [model for _, model in measured]
    show("Microseconds a call, one thread", times)
    show("The models, and the greatest differences to XGBoost", models_)
    keep("trees", {"microseconds": times, "models": models_})


def models(splits: Mapping[str, Split]) -> dict[str, xgb.Booster]:
    found = {}
    for kind in ("risk", "performance"):
        train, validation = (splits[name].labelled(kind) for name in ("train", "validation"))
        default = fit(Hyperparameters(kind=kind), train, validation)
        found[f"{kind}, default"] = default[: int(default.best_iteration) + 1]
        largest = Hyperparameters(kind=kind, max_depth=10, num_round=300)
        found[f"{kind}, largest"] = xgb.train(booster_settings(largest), matrix(train, largest), largest.num_round)
    for booster in found.values():
        booster.feature_names = None
        booster.set_param({"nthread": 1})
    return found


def measure(name: str, booster: xgb.Booster, rows: Matrix) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    started = time.perf_counter()
    trees = CompiledTrees.of(booster)
    compiling_ms = 1e3 * (time.perf_counter() - started)
    own = BoosterTrees(booster)
    description = {
        "model": name,
        "trees": len(trees.forest.trees),
        "splits": len(trees.forest.splits),
        "compiling, ms": compiling_ms,
        "margins": float(np.abs(trees.margins(rows) - own.margins(rows)).max()),
        "contributions": differing(own, trees, rows),
    }
    return [timed(name, booster, trees, rows, count) for count in BLOCKS], description


def timed(name: str, booster: xgb.Booster, trees: CompiledTrees, rows: Matrix, count: int) -> dict[str, Any]:
    levels = trees.margins(rows).argmax(axis=1)
    calls: dict[str, Callable[[Matrix, npt.NDArray[np.int64]], Any]] = {
        "inplace_predict": lambda some, _: booster.inplace_predict(some, predict_type="margin"),
        "margins": lambda some, _: trees.margins(some),
        "pred_contribs": lambda some, _: booster.predict(xgb.DMatrix(some, nthread=1), pred_contribs=True),
        "contributions": trees.contributions,
    }
    microseconds: dict[str, list[float]] = {call: [] for call in calls}
    blocks, in_each = BLOCKS[count]
    for block in range(blocks):
        for call, run in calls.items():
            for number in range(in_each):
                begin = (block * in_each + number) * count % (len(rows) - count)
                some, outputs = rows[begin : begin + count].copy(), levels[begin : begin + count].copy()
                started = time.perf_counter()
                run(some, outputs)
                microseconds[call].append(1e6 * (time.perf_counter() - started))
    median = {call: statistics.median(times) for call, times in microseconds.items()}
    return {
        "model": name,
        "rows": count,
        **median,
        "times faster: margins": median["inplace_predict"] / median["margins"],
        "contributions ": median["pred_contribs"] / median["contributions"],
    }


def differing(booster: BoosterTrees, trees: CompiledTrees, rows: Matrix) -> float:
    shap = booster.explained(rows)
    differences = [
        np.abs(trees.contributions(rows, np.full(len(rows), output)) - shap[:, output, :-1]).max(axis=1)
        / np.abs(shap[:, output]).sum(axis=1)
        for output in range(trees.outputs)
    ]
    return float(np.max(differences))
