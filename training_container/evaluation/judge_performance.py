"""A performance model's scores and intervals on the test rows, beside its rivals and the model in service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from insights.schema import RISK_LEVELS
from training_container.evaluation.bootstrap import DeviceBootstrap, Floats, bounds, interval, intervals
from training_container.evaluation.metrics import interval_metrics, score_metrics
from training_container.evaluation.resampled import resampled_intervals, resampled_scores
from training_container.evaluation.slices import Mask, slices
from training_container.split_file import Split


class Forecast(NamedTuple):
    """(n,) each: the score and its interval."""

    scores: Floats
    lower: Floats
    upper: Floats


def judge_performance(
    test: Split,
    forecast: Forecast,
    rivals: Mapping[str, Floats],
    live: Floats | None,
    bootstrap: DeviceBootstrap,
) -> dict[str, Any]:
    """Of each test row: the model's forecast, the live model's score and what each rival says."""
    true = test.score.astype(np.float64)
    scores, lower, upper = forecast

    def judged(rows: Mask) -> dict[str, Any]:
        own = DeviceBootstrap(test.device[rows])
        known = (true[rows], scores[rows]), (true[rows], lower[rows], upper[rows])
        return {
            **score_metrics(*known[0]),
            **interval_metrics(*known[1]),
            "intervals": intervals(
                {
                    "rmse": resampled_scores(own, *known[0])["rmse"],
                    "interval_coverage": resampled_intervals(own, *known[1])["interval_coverage"],
                }
            ),
        }

    return {
        **score_metrics(true, scores),
        **interval_metrics(true, lower, upper),
        "intervals": intervals(
            {
                **resampled_scores(bootstrap, true, scores),
                **resampled_intervals(bootstrap, true, lower, upper),
            }
        ),
        "interval_coverage_by_level": {
            level: _coverage(bootstrap, (true >= lower) & (true <= upper), test.risk == index)
            for index, level in enumerate(RISK_LEVELS)
            if np.any(test.risk == index)
        },
        "rivals": {name: _rival(bootstrap, true, scores, said) for name, said in rivals.items()},
        "against_live": None if live is None else _against_live(bootstrap, true, scores, live),
        "slices": slices(test, judged),
    }


def _rival(bootstrap: DeviceBootstrap, true: Floats, model: Floats, rival: Floats) -> dict[str, Any]:
    """The rival's own metrics, and by how much the model's RMSE is below it on the same resamples."""
    ours, theirs = (score_metrics(true, scores) for scores in (model, rival))
    resampled = [resampled_scores(bootstrap, true, scores)["rmse"] for scores in (rival, model)]
    return {
        **theirs,
        "margin": {
            "metric": "rmse",
            "difference": theirs["rmse"] - ours["rmse"],
            **bounds(resampled[0] - resampled[1]),
        },
    }


def _against_live(bootstrap: DeviceBootstrap, true: Floats, scores: Floats, live: Floats) -> dict[str, Any]:
    """RMSE of both on the same rows; the difference, as a share of the live one's, is positive where it is better."""
    ours, theirs = (score_metrics(true, said)["rmse"] for said in (scores, live))
    resampled = [resampled_scores(bootstrap, true, said)["rmse"] for said in (scores, live)]
    least = np.finfo(np.float64).tiny
    return {
        "metric": "rmse",
        "model": ours,
        "live": theirs,
        "difference": (theirs - ours) / max(theirs, least),
        **bounds((resampled[1] - resampled[0]) / np.maximum(resampled[1], least)),
    }


def _coverage(bootstrap: DeviceBootstrap, inside: Mask, among: Mask) -> dict[str, Any]:
    return {
        "rows": int(among.sum()),
        "coverage": float(inside[among].mean()),
        **(interval(bootstrap.means(inside, among)) or {}),
    }
