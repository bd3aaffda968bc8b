"""A risk model's levels and probabilities on the test rows, beside its rivals and the model in service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from insights.schema import RISK_LEVELS
from training_container.evaluation.bootstrap import DeviceBootstrap, Floats, bounds, intervals
from training_container.evaluation.lead_time import lead_time
from training_container.evaluation.metrics import Levels, curve_metrics, level_metrics, risk_metrics
from training_container.evaluation.resampled import resampled_curves, resampled_levels, resampled_risk
from training_container.evaluation.slices import slices
from training_container.split_file import Split


def judge_risk(
    test: Split, probabilities: Floats, rivals: Mapping[str, Levels], live: Floats | None, bootstrap: DeviceBootstrap
) -> dict[str, Any]:
    """Of each test row: the model's (and the live model's) probabilities (n, 4) and what each rival says."""
    true = test.risk.astype(np.int64)
    levels = probabilities.argmax(axis=1)
    return {
        **risk_metrics(true, probabilities),
        **curve_metrics(true, probabilities),
        "intervals": {
            **intervals(resampled_risk(bootstrap, true, probabilities)),
            **_curve_intervals(bootstrap, true, probabilities),
        },
        "rivals": {name: _rival(bootstrap, true, levels, said) for name, said in rivals.items()},
        "against_live": None if live is None else _against_live(bootstrap, true, levels, live.argmax(axis=1)),
        "lead_time": lead_time(
            bootstrap,
            test,
            {"model": levels, **{name: said for name, said in rivals.items() if name in ("persistence", "oracle")}},
        ),
        "slices": slices(test, lambda rows: _slice(true[rows], levels[rows], DeviceBootstrap(test.device[rows]))),
    }


def _rival(bootstrap: DeviceBootstrap, true: Levels, model: Levels, rival: Levels) -> dict[str, Any]:
    """The rival's own metrics, and by how much the model's macro-F1 is above it on the same resamples."""
    ours, theirs = (level_metrics(true, levels) for levels in (model, rival))
    resampled = [resampled_levels(bootstrap, true, levels)["macro_f1"] for levels in (model, rival)]
    return {
        **theirs,
        "margin": {
            "metric": "macro_f1",
            "difference": ours["macro_f1"] - theirs["macro_f1"],
            **bounds(resampled[0] - resampled[1]),
        },
    }


def _against_live(bootstrap: DeviceBootstrap, true: Levels, levels: Levels, live: Levels) -> dict[str, Any]:
    """Accuracy of both on the same rows; the difference is positive where the newcomer is better."""
    ours, theirs = levels == true, live == true
    return {
        "metric": "accuracy",
        "model": float(ours.mean()),
        "live": float(theirs.mean()),
        "difference": float(ours.mean() - theirs.mean()),
        **bounds(bootstrap.means(ours) - bootstrap.means(theirs)),
    }


def _curve_intervals(bootstrap: DeviceBootstrap, true: Levels, probabilities: Floats) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"roc_auc": {}, "average_precision": {}}
    for index, level in enumerate(RISK_LEVELS):
        for name, ends in intervals(resampled_curves(bootstrap, true == index, probabilities[:, index])).items():
            found[name][level] = ends
    return found


def _slice(true: Levels, levels: Levels, bootstrap: DeviceBootstrap) -> dict[str, Any]:
    resampled = resampled_levels(bootstrap, true, levels)
    return {
        **level_metrics(true, levels),
        "intervals": intervals({name: resampled[name] for name in ("accuracy", "macro_f1")}),
    }
