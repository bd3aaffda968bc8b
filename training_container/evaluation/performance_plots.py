"""What the report shows of a performance model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from insights.gate import GATE_DEFAULTS
from training_container.evaluation.plots import BLUE, INK, ORANGE, Plot, by_slice, importances, margins, plot
from training_container.predictor import INTERVAL_LEVEL, Predictor
from training_container.split_file import Split

Floats = npt.NDArray[np.float64]

MOST_POINTS = 1_500
TARGET = (GATE_DEFAULTS["min_coverage"], GATE_DEFAULTS["max_coverage"])


def performance_plots(predictor: Predictor, test: Split, metrics: Mapping[str, Any]) -> list[Plot]:
    scores, true = predictor.scores(test.X), test.score.astype(np.float64)
    lower, upper = predictor.intervals(test.X)
    return [
        plot(
            "Against its rivals",
            "RMSE below each rival's (in brackets), score points, 95% interval; grey reaches zero: not proven.",
            lambda axes: margins(axes, metrics["rivals"], "rmse", "RMSE below the rival's"),
        ),
        plot("Forecast and what came", "On the line both agree.", lambda axes: against(axes, scores, true)),
        plot(
            "Does the interval hold?",
            f"Share of rows inside their {INTERVAL_LEVEL:.0%} interval, by what happened; band: "
            f"{TARGET[0]:.0%} to {TARGET[1]:.0%}.",
            lambda axes: coverage(axes, metrics),
        ),
        plot(
            "How wide the interval is",
            "It should be narrow where the half hour is easy to foresee.",
            lambda axes: widths(axes, upper - lower),
        ),
        plot(
            "Where it is off",
            "What came minus the forecast, median and middle 90%, by forecast.",
            lambda axes: residuals(axes, scores, true),
        ),
        plot(
            "What it leans on: permutation",
            "RMSE added when a feature's values are shuffled.",
            lambda axes: importances(axes, metrics["importance"]["permutation"], "RMSE added, score points"),
        ),
        plot(
            "What it leans on: SHAP",
            "How much a feature moves the forecast on average.",
            lambda axes: importances(axes, metrics["importance"]["mean_abs_shap"], "mean |SHAP|, score points"),
        ),
        plot(
            "Where it is good",
            "RMSE by device class and workload, 95% interval.",
            lambda axes: by_slice(axes, metrics["slices"], "rmse", "RMSE, score points"),
        ),
    ]


def against(axes: Axes, scores: Floats, true: Floats) -> None:
    step = max(1, len(scores) // MOST_POINTS)
    axes.plot([0, 100], [0, 100], color=INK, linestyle=":")
    axes.scatter(scores[::step], true[::step], s=6, alpha=0.4, color=BLUE, linewidths=0)
    axes.set(xlabel="forecast score", ylabel="score that came", xlim=(-2, 102), ylim=(-2, 102))


def coverage(axes: Axes, metrics: Mapping[str, Any]) -> None:
    overall = {"coverage": metrics["interval_coverage"], **metrics["intervals"]["interval_coverage"]}
    parts = {**metrics["interval_coverage_by_level"], "all rows": overall}
    axes.axvspan(*TARGET, color=ORANGE, alpha=0.18, linewidth=0)
    for place, part in enumerate(parts.values()):
        axes.plot([part["lower"], part["upper"]], [place, place], color=BLUE, linewidth=3, alpha=0.45)
        axes.plot([part["coverage"]], [place], "o", color=BLUE)
    axes.set_yticks(range(len(parts)), list(parts))
    axes.set(xlabel="share inside the interval", ylim=(-0.6, len(parts) - 0.4))


def widths(axes: Axes, values: Floats) -> None:
    axes.hist(values, bins=40, color=BLUE)
    axes.set(xlabel="width of the interval, score points", ylabel="test rows")


def residuals(axes: Axes, scores: Floats, true: Floats) -> None:
    groups = [group for group in np.array_split(np.argsort(scores, kind="stable"), 20) if len(group)]
    middle = [scores[g].mean() for g in groups]
    low, half, high = np.array([np.percentile((true - scores)[g], (5, 50, 95)) for g in groups]).T
    axes.axhline(0, color=INK, linestyle=":")
    axes.fill_between(middle, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(middle, half, "o-", color=BLUE, markersize=4)
    axes.set(xlabel="forecast score (twentieths of the rows)", ylabel="score points")
