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
from training_container.code_version import code_version
from training_container.errors import UnusableInput
from training_container.evaluation.bootstrap import DeviceBootstrap
from training_container.evaluation.importance import importance
from training_container.evaluation.judge_performance import Forecast, judge_performance
from training_container.evaluation.judge_risk import judge_risk
from training_container.evaluation.limits import cannot_be_judged
from training_container.evaluation.report import write_report
from training_container.evaluation.rivals import performance_rivals, risk_rivals
from training_container.model_folder import GOLDEN, ModelDescription, extracted, read_preprocessing
from training_container.predictor import Predictor
from training_container.split_file import Split

LINEAGE = "lineage.json"


def evaluate(kind: str, *, model: Path, features: Path, output: Path, live: Path | None = None) -> None:
    """Write metrics.json, report.html, lineage.json and the model's golden.json.

    Raises UnusableInput where nothing can be judged. `live` is the model in service, a folder or model.tar.gz; one that is
    missing or an empty folder means there is none.
    """
    output.mkdir(parents=True, exist_ok=True)
    # Of the training rows' features only a sample is looked at, so they stay in their file.
    train = Split.read(features / "columnar", "train", mapped=True).labelled(kind)
    test = Split.read(features / "columnar", "test").labelled(kind)
    for name, rows in (("training", train), ("test", test)):
        if len(rows) == 0:
            raise UnusableInput(
                f"the {name} split has no row labelled for {kind}; a model that cannot be judged cannot go live"
            )
    with tempfile.TemporaryDirectory() as scratch:
        folder = extracted(model, Path(scratch))
        predictor = _loaded(folder, kind)
        preprocessing = read_preprocessing(folder)
        shutil.copy(folder / GOLDEN, output / GOLDEN)
        _write_json(output / LINEAGE, lineage(folder))
    in_service, untold = live_model(live, kind)
    metrics = judge(predictor, train, test, preprocessing, live=in_service)
    metrics["importance"] = importance(predictor, test)
    if untold:
        metrics["against_live"] = {"unjudged": untold}
        metrics["cannot_be_judged"].append(f"how the live model does on these rows: {untold}")
    _write_json(output / "metrics.json", metrics)
    write_report(predictor, test, metrics, output / "report.html")
    print(
        json.dumps({name: value for name, value in metrics.items() if isinstance(value, int | float | str)}), flush=True
    )


def lineage(folder: Path) -> dict[str, Any]:
    """What the model says of its own making, and which code this is: a run trains and evaluates with one image."""
    description = ModelDescription.read(folder)
    names = ("hyperparameters", "best_iteration", "training_rows", "calibration_rows", "feature_table_hash")
    told = {name: getattr(description, name) for name in (*names, "package_versions")}
    return {**told, "code_version": code_version()}


def judge(
    predictor: Predictor, train: Split, test: Split, preprocessing: Preprocessing, *, live: Predictor | None = None
) -> dict[str, Any]:
    """metrics.json but for the importance of features; both splits hold only rows that are labelled for the kind."""
    bootstrap = DeviceBootstrap.of(test)
    if predictor.kind == "risk":
        judged = judge_risk(
            test,
            predictor.probabilities(test.X),
            risk_rivals(train, test, preprocessing),
            live.probabilities(test.X) if live else None,
            bootstrap,
        )
    else:
        judged = judge_performance(
            test,
            Forecast(predictor.scores(test.X), *predictor.intervals(test.X)),
            performance_rivals(train, test, preprocessing),
            live.scores(test.X) if live else None,
            bootstrap,
        )
    limits = cannot_be_judged(predictor.kind, train, test)
    return {"kind": predictor.kind, **counts(test), **judged, "cannot_be_judged": limits}


def live_model(live: Path | None, kind: str) -> tuple[Predictor | None, str]:
    """The model in service, or none; and why it cannot be asked although it is there (an older feature table)."""
    if live is None or not live.exists() or (live.is_dir() and not any(live.iterdir())):
        return None, ""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return _loaded(extracted(live, Path(scratch)), kind), ""
        except UnusableInput as refused:
            return None, str(refused)


def _loaded(folder: Path, kind: str) -> Predictor:
    predictor = Predictor.load(folder)
    if predictor.kind != kind:
        raise UnusableInput(f"{folder} holds a {predictor.kind} model; it cannot be judged as {kind}")
    return predictor


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def counts(test: Split) -> Mapping[str, int]:
    return {"rows": len(test), "devices": len(np.unique(test.device))}
