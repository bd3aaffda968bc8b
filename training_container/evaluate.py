"""evaluate: one model on the test split, beside its rivals; metrics.json for the gate, report.html for people."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insights.preprocessing import Preprocessing
from insights.schema import RISK_LEVELS
from training_container.errors import UnusableInput
from training_container.metrics import interval_metrics, level_metrics, risk_metrics, score_metrics
from training_container.model_folder import GOLDEN, extracted, read_preprocessing
from training_container.predictor import Predictor
from training_container.report import write_report
from training_container.rivals import performance_rivals, risk_rivals
from training_container.sagemaker_contract import cores
from training_container.split_file import Split

FEW_DEVICES = 10
FEW_CRITICAL_ROWS = 30


def evaluate(kind: str, *, model: Path, features: Path, output: Path) -> None:
    """Write metrics.json, report.html and the model's golden.json; raises UnusableInput where nothing can be judged."""
    output.mkdir(parents=True, exist_ok=True)
    train, test = (Split.read(features / "columnar", name).labelled(kind) for name in ("train", "test"))
    if len(test) == 0:
        raise UnusableInput(
            f"the test split has no row labelled for {kind}; a model that cannot be judged cannot go live"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = extracted(model, Path(scratch))
        predictor = Predictor.load(folder, threads=cores())
        if predictor.kind != kind:
            raise UnusableInput(f"{model} holds a {predictor.kind} model; it cannot be judged as {kind}")
        preprocessing = read_preprocessing(folder)
        shutil.copy(folder / GOLDEN, output / GOLDEN)
    judge = judge_risk if kind == "risk" else judge_performance
    judged = judge(predictor, train, test, preprocessing)
    metrics = {"kind": kind, **counts(test), **judged, "cannot_be_judged": cannot_be_judged(kind, train, test)}
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    write_report(predictor, test, metrics, output / "report.html")
    print(
        json.dumps({name: value for name, value in metrics.items() if isinstance(value, int | float | str)}), flush=True
    )


def judge_risk(predictor: Predictor, train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Any]:
    true = test.risk.astype(np.int64)
    rivals = {name: level_metrics(true, levels) for name, levels in risk_rivals(train, test, preprocessing).items()}
    return {**risk_metrics(true, predictor.probabilities(test.X)), "rivals": rivals}


def judge_performance(predictor: Predictor, train: Split, test: Split, preprocessing: Preprocessing) -> dict[str, Any]:
    true = test.score.astype(np.float64)
    forecasts = performance_rivals(train, test, preprocessing)
    rivals = {name: score_metrics(true, scores) for name, scores in forecasts.items()}
    intervals = interval_metrics(true, *predictor.intervals(test.X))
    return {**score_metrics(true, predictor.scores(test.X)), **intervals, "rivals": rivals}


def counts(test: Split) -> Mapping[str, int]:
    return {"rows": len(test), "devices": len(np.unique(test.device))}


def cannot_be_judged(kind: str, train: Split, test: Split) -> list[str]:
    """What these test rows say nothing about, in sentences."""
    said = []
    devices = len(np.unique(test.device))
    if devices < FEW_DEVICES:
        said.append(f"only {devices} test devices: how the model does on another device may differ much")
    if kind == "risk":
        learnt, support = (
            np.bincount(split.risk.astype(np.int64), minlength=len(RISK_LEVELS)) for split in (train, test)
        )
        said.extend(f"no test row is {RISK_LEVELS[level]}" for level in np.flatnonzero(support == 0))
        said.extend(
            f"no training row is {RISK_LEVELS[level]}: the model cannot foresee it"
            for level in np.flatnonzero(learnt == 0)
        )
        if 0 < support[-1] < FEW_CRITICAL_ROWS:
            said.append(f"only {support[-1]} test rows are critical: their recall is a guess")
    return said
