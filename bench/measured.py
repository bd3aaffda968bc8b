"""Measured insights: models trained on them beside models trained on the synthetic fleet, both judged on measured rows.

Every group of devices (a measuring run, a server) is judged once, by a model that other groups of the same set trained
(five folds, default hyperparameters); the synthetic fleet's models, 10,000 records of the default seed, never saw any.
INSIGHTS=FILE[,FILE] adds further sets of insights in any of the formats that are read. build/bench/measured/ gets the full
report of both models on the test split of the measured set.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from insights.preprocessing import Preprocessing
from training_container.engineer import Source, engineer
from training_container.evaluation.bootstrap import DeviceBootstrap
from training_container.evaluation.evaluate import evaluate
from training_container.evaluation.judge_performance import Forecast, judge_performance
from training_container.evaluation.judge_risk import judge_risk
from training_container.evaluation.limits import cannot_be_judged
from training_container.evaluation.rivals import performance_rivals, risk_rivals
from training_container.predictor import Predictor
from training_container.split_file import Split

MEASURED = Path("data/measured.jsonl.gz")
REPORTS = Path("build/bench/measured")
FOLDS, SEED = 5, 7
KINDS = ("risk", "performance")
TRAINED_ON = {"measured": "the set itself", "synthetic": "the synthetic fleet"}


class Said(NamedTuple):
    """Of some rows: what the model and its rivals say. The model's is (n, 4) probabilities or (n, 3) forecasts."""

    rows: Split
    model: Any
    rivals: dict[str, Any]


def main() -> None:
    paths = [MEASURED, *(Path(name) for name in os.environ.get("INSIGHTS", "").split(",") if name)]
    figures: dict[str, Any] = {}
    for path in paths:
        with silent():
            rows = engineered(path)
            found = {kind: compared(kind, rows.labelled(kind)) for kind in KINDS}
        figures[path.name] = found
        show(f"{path.name}: risk", list(risk_rows(found["risk"])))
        show(f"{path.name}: performance", list(performance_rows(found["performance"])))
        for kind in KINDS:
            print(f"\ncannot be judged of {kind} on {path.name}:")
            print("\n".join(f"- {sentence}" for sentence in found[kind]["measured"]["cannot_be_judged"]) or "- nothing")
    keep("measured", figures)
    with silent():
        pages = list(reports(MEASURED, REPORTS))
    print("\n".join(map(str, pages)))


def reports(path: Path, folder: Path) -> Iterator[Path]:
    """The evaluation's own report of each kind, trained on the set's other devices and on the synthetic fleet."""
    with tempfile.TemporaryDirectory() as scratch:
        features = Path(scratch) / "features"
        engineer(Source(path), features)
        for trained, splits in (("itself", splits_of(features)), ("synthetic", splits_of(fleet(10_000, SEED)))):
            for kind in KINDS:
                model, output = Path(scratch) / f"{trained}-{kind}", folder / f"trained-on-{trained}-{kind}"
                labelled = {name: rows.labelled(kind) for name, rows in splits.items()}
                tuned(kind, labelled, trials=1).written(labelled, model)
                evaluate(kind, model=model, features=features, output=output)
                yield output / "report.html"


def engineered(path: Path) -> Split:
    with tempfile.TemporaryDirectory() as folder:
        engineer(Source(path), Path(folder))
        return whole(splits_of(Path(folder)))


def compared(kind: str, rows: Split) -> dict[str, dict[str, Any]]:
    """metrics.json of the models trained on the measured rows, and of the one trained on the synthetic fleet."""
    folds = [said(kind, splits) for splits in fold_splits(rows)]
    pooled = Said(
        Split.concatenate([fold.rows for fold in folds]),
        np.concatenate([fold.model for fold in folds]),
        {name: np.concatenate([fold.rivals[name] for fold in folds]) for name in folds[0].rivals},
    )
    synthetic = {name: part.labelled(kind) for name, part in splits_of(fleet(10_000, SEED)).items()}
    stranger = said(kind, {**synthetic, "test": pooled.rows})
    return {
        "measured": metrics(kind, pooled, rows),
        "synthetic": metrics(kind, Said(pooled.rows, stranger.model, pooled.rivals), synthetic["train"]),
    }


def fold_splits(rows: Split) -> Iterator[dict[str, Split]]:
    """Each group is a test group once; the next fold stops the training early and the one after it calibrates."""
    names, group = np.unique(rows.group(), return_inverse=True)
    fold = (np.random.default_rng(SEED).permutation(len(names)) % FOLDS)[group]
    for test in range(FOLDS):
        validation, calibration = (test + 1) % FOLDS, (test + 2) % FOLDS
        yield {
            "test": rows.take(fold == test),
            "validation": rows.take(fold == validation),
            "calibration": rows.take(fold == calibration),
            "train": rows.take(~np.isin(fold, (test, validation, calibration))),
        }


def said(kind: str, splits: Mapping[str, Split]) -> Said:
    train, test = splits["train"], splits["test"]
    preprocessing = Preprocessing.fit(train.X.astype(np.float64))
    with tempfile.TemporaryDirectory() as folder:
        predictor = tuned(kind, splits, trials=1).written(splits, Path(folder))
    rivals = (risk_rivals if kind == "risk" else performance_rivals)(train, test, preprocessing)
    return Said(test, answers(predictor, test), rivals)


def answers(predictor: Predictor, rows: Split) -> Any:
    if predictor.kind == "risk":
        return predictor.probabilities(rows.X)
    return np.column_stack([predictor.scores(rows.X), *predictor.intervals(rows.X)])


def metrics(kind: str, found: Said, train: Split) -> dict[str, Any]:
    bootstrap = DeviceBootstrap.of(found.rows)
    if kind == "risk":
        judged = judge_risk(found.rows, found.model, found.rivals, None, bootstrap)
    else:
        judged = judge_performance(found.rows, Forecast(*found.model.T), found.rivals, None, bootstrap)
    return {**judged, "rows": len(found.rows), "cannot_be_judged": cannot_be_judged(kind, train, found.rows)}


def risk_rows(found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for trained, judged in found.items():
        yield {
            "": f"trained on {TRAINED_ON[trained]}",
            **{name: _with_ends(judged, name) for name in ("accuracy", "macro_f1", "expected_calibration_error")},
            "critical recall": _with_ends(judged, "recall_critical"),
            "over persistence": _margin(judged, "persistence"),
        }
    for name, rival in found["measured"]["rivals"].items():
        blank = {"expected_calibration_error": "", "critical recall": "", "over persistence": ""}
        yield {"": name, **{metric: f"{rival[metric]:.3f}" for metric in ("accuracy", "macro_f1")}, **blank}


def performance_rows(found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for trained, judged in found.items():
        yield {
            "": f"trained on {TRAINED_ON[trained]}",
            **{name: _with_ends(judged, name) for name in ("rmse", "mae", "interval_coverage", "interval_width")},
            "below persistence": _margin(judged, "persistence"),
        }
    for name, rival in found["measured"]["rivals"].items():
        blank = {"interval_coverage": "", "interval_width": "", "below persistence": ""}
        yield {"": name, **{metric: f"{rival[metric]:.3f}" for metric in ("rmse", "mae")}, **blank}


def _with_ends(judged: Mapping[str, Any], name: str) -> str:
    ends = judged["intervals"].get(name)
    return f"{judged[name]:.3f} ({ends['lower']:.3f} to {ends['upper']:.3f})" if ends else "none"


def _margin(judged: Mapping[str, Any], rival: str) -> str:
    margin = judged["rivals"][rival]["margin"]
    return f"{margin['difference']:+.3f} ({margin['lower']:+.3f} to {margin['upper']:+.3f})"
