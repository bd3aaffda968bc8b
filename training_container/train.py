"""train: one XGBoost model on the engineered splits, stopped early on validation, calibrated on devices of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from insights.preprocessing import Preprocessing
from insights.schema import RISK_LEVELS
from training_container.baseline_file import write_baseline
from training_container.calibration import fit_interval, fit_temperature
from training_container.errors import UnusableInput
from training_container.hyperparameters import Hyperparameters
from training_container.model_folder import PREPROCESSING, SPREAD_TREES, TREES, ModelDescription, write_golden
from training_container.predictor import Predictor
from training_container.sagemaker_contract import cores
from training_container.split_file import Split

GOLDEN_ROWS = 32
METRICS = {"risk": "mlogloss", "performance": "rmse"}


def train(given: Mapping[str, str], folders: Mapping[str, Path], model: Path) -> None:
    """Fit, calibrate and write the model folder; prints the objective as `validation-<metric>=<value>;`."""
    hyperparameters = Hyperparameters.parse(given)
    splits = {name: _read(folder, name, hyperparameters.kind) for name, folder in folders.items()}
    booster = fit(hyperparameters, splits["train"], splits["validation"])
    print(f"validation-{METRICS[hyperparameters.kind]}={booster.best_score:.6f};", flush=True)
    best = int(booster.best_iteration)
    write_model(hyperparameters, booster[: best + 1], best, splits, model)


def fit(hyperparameters: Hyperparameters, train: Split, validation: Split) -> xgb.Booster:
    """The booster with best_iteration and best_score of the validation split."""
    return xgb.train(
        booster_settings(hyperparameters),
        matrix(train, hyperparameters),
        num_boost_round=hyperparameters.num_round,
        evals=[(matrix(validation, hyperparameters), "validation")],
        early_stopping_rounds=hyperparameters.early_stopping_rounds,
        verbose_eval=False,
        callbacks=[_Announce()],
    )


def booster_settings(hyperparameters: Hyperparameters) -> dict[str, Any]:
    """XGBoost's parameters; four classes always, so that a level that the sample lacks keeps its place."""
    objective: dict[str, Any] = (
        {"objective": "multi:softprob", "num_class": len(RISK_LEVELS)}
        if hyperparameters.kind == "risk"
        else {"objective": "reg:squarederror"}
    )
    return {
        **objective,
        **hyperparameters.booster_parameters(),
        "eval_metric": METRICS[hyperparameters.kind],
        "tree_method": "hist",
        "seed": hyperparameters.seed,
        "nthread": threads(hyperparameters),
    }


def matrix(split: Split, hyperparameters: Hyperparameters) -> xgb.DMatrix:
    label = split.risk if hyperparameters.kind == "risk" else split.score
    return xgb.DMatrix(split.X, label=label, feature_names=list(FEATURE_NAMES), nthread=threads(hyperparameters))


def threads(hyperparameters: Hyperparameters) -> int:
    return hyperparameters.nthread or cores()


def write_model(
    hyperparameters: Hyperparameters, booster: xgb.Booster, best: int, splits: Mapping[str, Split], model: Path
) -> None:
    """The model folder; the golden answers are those of the model as read back from it."""
    model.mkdir(parents=True, exist_ok=True)
    booster.feature_names = None  # rows come as bare arrays; model.json holds the table, checked before any row is read
    booster.save_model(model / TREES)
    train, calibration = splits["train"], splits["calibration"]
    calibration_rows, temperature, quantile = len(calibration), None, None
    if hyperparameters.kind == "risk":
        temperature = fit_temperature(_margins(booster, calibration), calibration.risk)
    else:
        calibration_rows += len(splits["validation"])
        spread, quantile = fit_interval(booster, splits, seed=hyperparameters.seed, threads=threads(hyperparameters))
        spread.save_model(model / SPREAD_TREES)
    ModelDescription(
        kind=hyperparameters.kind,
        classes=RISK_LEVELS,
        best_iteration=best,
        hyperparameters=hyperparameters.booster_parameters(),
        training_rows=len(train),
        calibration_rows=calibration_rows,
        training_ranges=_ranges(train.X),
        temperature=temperature,
        conformal_quantile=quantile,
    ).write(model)
    (model / PREPROCESSING).write_text(json.dumps(Preprocessing.fit(train.X.astype(np.float64)).to_json()) + "\n")
    rows = golden_rows(splits["validation"])
    predictor = Predictor.uncompiled(model)
    write_golden(model, hyperparameters.kind, rows, predictor.answers(rows, explain=False))
    write_baseline(model, predictor, splits)


def golden_rows(split: Split) -> npt.NDArray[np.float32]:
    """Up to 32 rows, from each level in turn and rows with unknown values first: what a wrong model gets wrong."""
    unknown = np.isnan(split.X).any(axis=1)
    order = np.lexsort((np.arange(len(split)), ~unknown))
    queues = [[int(row) for row in order if split.risk[row] == level] for level in (-1, *range(len(RISK_LEVELS)))]
    chosen: list[int] = []
    while len(chosen) < min(GOLDEN_ROWS, len(split)):
        for queue in queues:
            if queue and len(chosen) < GOLDEN_ROWS:
                chosen.append(queue.pop(0))
    return split.X[chosen]


def _read(folder: Path, name: str, kind: str) -> Split:
    split = Split.read(folder, name).labelled(kind)
    if len(split) == 0:
        raise UnusableInput(
            f"channel {name!r} has no row labelled for {kind}; the source needs longer histories or labels"
        )
    return split


def _margins(booster: xgb.Booster, split: Split) -> npt.NDArray[np.float64]:
    margins: npt.NDArray[np.float64] = booster.inplace_predict(split.X, predict_type="margin").astype(np.float64)
    return margins


def _ranges(rows: npt.NDArray[np.float32]) -> dict[str, list[float | None]]:
    """Smallest and largest known value of each feature; nulls where none was known."""
    known = [column[~np.isnan(column)] for column in rows.T]
    limits: list[list[float | None]] = [
        [float(column.min()), float(column.max())] if len(column) else [None, None] for column in known
    ]
    return dict(zip(FEATURE_NAMES, limits, strict=True))


class _Announce(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """The objective of every round: SageMaker's early stopping of trials compares them round by round."""

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        for name, history in evals_log["validation"].items():
            print(f"[{epoch}] validation-{name}={history[-1]:.6f};", flush=True)
        return False
