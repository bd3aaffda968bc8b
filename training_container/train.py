"""train: one XGBoost model on the engineered splits, stopped early on validation, calibrated on devices of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from insights.schema import RISK_LEVELS
from training_container.baseline_file import write_baseline
from training_container.calibration import fit_interval, fit_spread, fit_temperature
from training_container.collective import ALONE, Group, joined
from training_container.errors import UnusableInput
from training_container.hyperparameters import Hyperparameters
from training_container.learnt_rows import HELD_OUT, LearntRows
from training_container.mapped_rows import blocks
from training_container.matrices import cached, quantised
from training_container.model_folder import PREPROCESSING, SPREAD_TREES, TREES, ModelDescription, write_golden
from training_container.predictor import Predictor
from training_container.sagemaker_contract import ONE_HOST, Hosts, cores
from training_container.split_file import Split, files_of

GOLDEN_ROWS = 32
METRICS = {"risk": "mlogloss", "performance": "rmse"}


def train(given: Mapping[str, str], folders: Mapping[str, Path], model: Path, at: Place | None = None) -> None:
    """Fit, calibrate and write the model folder; prints the objective as `validation-<metric>=<value>;`.

    On several hosts all train one model together, each on its own part of `train`; the first one alone writes and prints.
    """
    hyperparameters = Hyperparameters.parse(given)
    place = at or Place()
    with joined(place.hosts, place.end_lost) as group:
        splits = read_splits(folders, hyperparameters.kind, group)
        with tempfile.TemporaryDirectory(dir=place.scratch) as cache:
            own = {**splits, "validation": share_of(splits["validation"], group)}
            booster = fit(
                hyperparameters, own["train"], own["validation"], announces=group.rank == 0, cache=Path(cache)
            )
        learnt = LearntRows.of(hyperparameters.kind, splits, group)
    if learnt is None:
        return  # what remains looks at held-out rows alone, and the first host has them all
    print(f"validation-{METRICS[hyperparameters.kind]}={booster.best_score:.6f};", flush=True)
    best = int(booster.best_iteration)
    write_learnt(hyperparameters, booster[: best + 1], best, learnt, splits, model)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training runs: with which hosts, how a host ends that hangs because of another, and where a cache may lie."""

    hosts: Hosts = ONE_HOST
    end_lost: Callable[[str], None] = lambda sentence: None
    scratch: Path | None = None


def fit(
    hyperparameters: Hyperparameters,
    train: Split,
    validation: Split,
    *,
    announces: bool = True,
    cache: Path | None = None,
) -> xgb.Booster:
    """The booster with best_iteration and best_score of the validation split; external memory needs the folder `cache`."""
    learnt = _learning_matrix(hyperparameters, train, cache)
    judged = quantised(
        validation.X, label_of(validation, hyperparameters.kind), threads=threads(hyperparameters), ref=learnt
    )
    return xgb.train(
        booster_settings(hyperparameters),
        learnt,
        num_boost_round=hyperparameters.num_round,
        evals=[(judged, "validation")],
        early_stopping_rounds=hyperparameters.early_stopping_rounds,
        verbose_eval=False,
        callbacks=[_Announce()] if announces else [],
    )


def _learning_matrix(hyperparameters: Hyperparameters, train: Split, cache: Path | None) -> xgb.DMatrix:
    label = label_of(train, hyperparameters.kind)
    if hyperparameters.external_memory and cache is not None:
        return cached(train.X, label, cache, threads=threads(hyperparameters))
    return quantised(train.X, label, threads=threads(hyperparameters))


def label_of(split: Split, kind: str) -> npt.NDArray[Any]:
    return split.risk if kind == "risk" else split.score


def share_of(split: Split, group: Group) -> Split:
    """This host's rows of a split that all hosts have: the objective is the mean over all of them."""
    if group.size == 1:
        return split
    ends = [len(split) * rank // group.size for rank in (group.rank, group.rank + 1)]
    return split.take(np.arange(*ends))


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
    """For predictions by any booster; `fit` takes the quantised rows of matrices.py."""
    label = label_of(split, hyperparameters.kind)
    return xgb.DMatrix(split.X, label=label, feature_names=list(FEATURE_NAMES), nthread=threads(hyperparameters))


def threads(hyperparameters: Hyperparameters) -> int:
    return hyperparameters.nthread or cores()


def write_model(
    hyperparameters: Hyperparameters, booster: xgb.Booster, best: int, splits: Mapping[str, Split], model: Path
) -> None:
    """The model folder of a booster that one host trained on all of `train`."""
    learnt = LearntRows.of(hyperparameters.kind, splits, ALONE)
    if learnt is not None:
        write_learnt(hyperparameters, booster, best, learnt, splits, model)


def write_learnt(
    hyperparameters: Hyperparameters,
    booster: xgb.Booster,
    best: int,
    learnt: LearntRows,
    splits: Mapping[str, Split],
    model: Path,
) -> None:
    """The model folder; the golden answers are those of the model as read back from it."""
    model.mkdir(parents=True, exist_ok=True)
    booster.feature_names = None  # rows come as bare arrays; model.json holds the table, checked before any row is read
    booster.save_model(model / TREES)
    held_out = [splits[name] for name in HELD_OUT]
    calibration_rows, temperature, quantile = len(splits["calibration"]), None, None
    if hyperparameters.kind == "risk":
        temperature = fit_temperature(_margins(booster, splits["calibration"]), splits["calibration"].risk)
    else:
        calibration_rows += len(splits["validation"])
        seed, cores_used = hyperparameters.seed, threads(hyperparameters)
        spread = fit_spread(*learnt.spread, splits["validation"], seed=seed, threads=cores_used)
        spread.save_model(model / SPREAD_TREES)
        quantile = fit_interval(booster, spread, held_out)
    ModelDescription(
        kind=hyperparameters.kind,
        classes=RISK_LEVELS,
        best_iteration=best,
        hyperparameters=hyperparameters.booster_parameters(),
        training_rows=learnt.count,
        calibration_rows=calibration_rows,
        training_ranges=learnt.ranges,
        temperature=temperature,
        conformal_quantile=quantile,
    ).write(model)
    (model / PREPROCESSING).write_text(json.dumps(learnt.preprocessing.to_json()) + "\n")
    rows = golden_rows(splits["validation"])
    predictor = Predictor.uncompiled(model)
    write_golden(model, hyperparameters.kind, rows, predictor.answers(rows, explain=False))
    write_baseline(model, predictor, learnt, held_out)


def golden_rows(split: Split) -> npt.NDArray[np.float32]:
    """Up to 32 rows, from each level in turn and rows with unknown values first: what a wrong model gets wrong."""
    unknown = np.concatenate([np.isnan(rows).any(axis=1) for rows in blocks(split.X)])
    order = np.lexsort((np.arange(len(split)), ~unknown))
    queues = [[int(row) for row in order if split.risk[row] == level] for level in (-1, *range(len(RISK_LEVELS)))]
    chosen: list[int] = []
    while len(chosen) < min(GOLDEN_ROWS, len(split)):
        for queue in queues:
            if queue and len(chosen) < GOLDEN_ROWS:
                chosen.append(queue.pop(0))
    return np.array(split.X[chosen])


def read_splits(folders: Mapping[str, Path], kind: str, group: Group) -> dict[str, Split]:
    """The host's own part of `train`, which may be empty on one of several, and all of the others."""
    splits = {}
    for name, folder in folders.items():
        split = read_part(folder, name, group) if name == "train" else Split.read(folder, name, mapped=True)
        splits[name] = split.labelled(kind)
        if (group.total(len(splits[name])) if name == "train" else len(splits[name])) == 0:
            raise UnusableInput(
                f"channel {name!r} has no row labelled for {kind}; the source needs longer histories or labels"
            )
    return splits


def read_part(folder: Path, name: str, group: Group) -> Split:
    """What this host was given of a split; UnusableInput where not all parts of it are on some host."""
    if group.size == 1:
        return Split.read(folder, name, mapped=True)
    found = files_of(folder, name)
    here = [path for path in found.paths if path.is_file()]
    parts, wanted = group.total(len(here)), group.total(found.of * len(here))
    if parts == 0 or parts * parts != wanted:  # each part says of how many it is one
        raise UnusableInput(
            f"the hosts together have {parts} parts of {name}, not all of one engineering; run engineer again"
        )
    return Split.of_files(here, mapped=True) if here else Split.empty()


def _margins(booster: xgb.Booster, split: Split) -> npt.NDArray[np.float64]:
    found = [booster.inplace_predict(rows, predict_type="margin").astype(np.float64) for rows in blocks(split.X)]
    margins: npt.NDArray[np.float64] = np.concatenate(found)
    return margins


class _Announce(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """The objective of every round: SageMaker's early stopping of trials compares them round by round."""

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        for name, history in evals_log["validation"].items():
            print(f"[{epoch}] validation-{name}={history[-1]:.6f};", flush=True)
        return False
