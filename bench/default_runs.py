"""Does the 10,000-record run pass the whole gate? The default seed and ten others, on their own test devices.

TUNING_JOBS trials for each model (10; the workflow's default is 50). Where a seed fails, the check and its interval say
how little some twenty test devices prove: below the table, what the same models reach on 400 devices that trained nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.judging import JUDGED, TRAINED
from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from insights.gate import judge as gate
from training_container.evaluation.evaluate import judge
from training_container.model_folder import read_preprocessing
from training_container.split_file import Split

SEEDS = (7, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11)
JUDGED_SEED = 5_001
KINDS = ("risk", "performance")


def main() -> None:
    trials = int(os.environ.get("TUNING_JOBS", "10"))
    with silent():
        large = whole(splits_of(fleet(JUDGED, JUDGED_SEED, futures=200)))
        runs = {
            seed: {kind: run(kind, splits_of(fleet(TRAINED, seed)), large, trials) for kind in KINDS} for seed in SEEDS
        }
    show(
        f"The gate on each run's own test devices ({trials} trials)", [row(seed, found) for seed, found in runs.items()]
    )
    for seed, found in runs.items():
        for kind in KINDS:
            for reason in found[kind]["own"]["reasons"]:
                if reason.endswith("failed"):
                    after = "passes" if found[kind]["large"]["passed"] else "fails too"
                    print(f"seed {seed}, {kind}: {reason}; on 400 devices the same model {after}")
    passed = sum(all(found[kind]["own"]["passed"] for kind in KINDS) for seed, found in runs.items() if seed != 7)
    print(f"\n{passed} of {len(SEEDS) - 1} other seeds pass the whole gate")
    keep("default_runs", {"trials": trials, "passed_of_other_seeds": passed, "runs": runs})


def run(kind: str, splits: Mapping[str, Split], large: Split, trials: int) -> dict[str, Any]:
    splits = {name: rows.labelled(kind) for name, rows in splits.items()}
    with tempfile.TemporaryDirectory() as folder:
        predictor = tuned(kind, splits, trials=trials).written(splits, Path(folder))
        preprocessing = read_preprocessing(Path(folder))
    found = {}
    for name, rows in (("own", splits["test"]), ("large", large.labelled(kind))):
        metrics = judge(predictor, splits["train"], rows, preprocessing)
        verdict = gate(kind, metrics, {})
        numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
        found[name] = {"passed": verdict.passed, "reasons": verdict.reasons, **numbers}
    return found


def row(seed: int, found: Mapping[str, Any]) -> dict[str, Any]:
    risk, performance = found["risk"]["own"], found["performance"]["own"]
    return {
        "seed": seed,
        "devices": risk["devices"],
        "accuracy": risk["accuracy"],
        "macro-F1": risk["macro_f1"],
        "critical recall": risk.get("recall_critical", "none"),
        "risk": _word(risk["passed"]),
        "RMSE": performance["rmse"],
        "coverage": performance["interval_coverage"],
        "performance": _word(performance["passed"]),
    }


def _word(passed: bool) -> str:
    return "passes" if passed else "fails"
