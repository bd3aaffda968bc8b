"""What the report shows of a risk model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from insights.feature_table import HORIZON_ROWS
from insights.schema import RISK_LEVELS
from training_container.evaluation.plots import (
    BLUE,
    GREY,
    INK,
    LEVEL_COLOURS,
    ORANGE,
    Plot,
    by_slice,
    importances,
    margins,
    plot,
)
from training_container.predictor import Predictor
from training_container.split_file import Split

Floats = npt.NDArray[np.float64]

CURVE_POINTS = 400


def risk_plots(predictor: Predictor, test: Split, metrics: Mapping[str, Any]) -> list[Plot]:
    probabilities = predictor.probabilities(test.X)
    return [
        plot(
            "Against its rivals",
            "Macro-F1 ahead of each rival (whose own is in brackets), 95% interval; grey reaches zero: not proven.",
            lambda axes: margins(axes, metrics["rivals"], "macro_f1", "macro-F1 ahead of the rival"),
        ),
        plot(
            "What it says, what happened",
            "Rows of the test split; shade: share of what happened.",
            lambda axes: confusion(axes, np.array(metrics["confusion_matrix"])),
        ),
        plot(
            "Does it mean its confidence?",
            f"On the line it does. Expected calibration error {metrics['expected_calibration_error']:.3f}.",
            lambda axes: reliability(axes, probabilities, test.risk),
        ),
        plot(
            "How early it warns",
            "Breaches after a quiet half hour, by intervals of unbroken warning before them.",
            lambda axes: warnings(axes, metrics["lead_time"]),
        ),
        plot(
            "Each level against the rest: ROC",
            "Share of the level found, for the share of others taken for it.",
            lambda axes: roc(axes, probabilities, test.risk, metrics["roc_auc"]),
        ),
        plot(
            "Each level against the rest: precision and recall",
            "How often it is right when it says the level, for the share of the level found.",
            lambda axes: precision_recall(axes, probabilities, test.risk, metrics["average_precision"]),
        ),
        plot(
            "What it leans on: permutation",
            "Macro-F1 lost when a feature's values are shuffled.",
            lambda axes: importances(axes, metrics["importance"]["permutation"], "macro-F1 lost"),
        ),
        plot(
            "What it leans on: SHAP",
            "How much a feature moves the answer on average, over all levels.",
            lambda axes: importances(axes, metrics["importance"]["mean_abs_shap"], "mean |SHAP|, log-odds"),
        ),
        plot(
            "Where it is good",
            "Accuracy by device class and workload, 95% interval.",
            lambda axes: by_slice(axes, metrics["slices"], "accuracy", "accuracy"),
        ),
    ]


def confusion(axes: Axes, matrix: npt.NDArray[Any]) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "#333"
        axes.text(column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center", color=colour)
    places = np.arange(len(RISK_LEVELS)) + 0.5
    axes.set_xticks(places, RISK_LEVELS)
    axes.set_yticks(places, RISK_LEVELS)
    axes.invert_yaxis()
    axes.set(xlabel="predicted", ylabel="happened")


def reliability(axes: Axes, probabilities: Floats, true: npt.NDArray[Any]) -> None:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    groups = [group for group in np.array_split(np.argsort(confidence), 10) if len(group)]
    axes.plot([0.25, 1], [0.25, 1], color=INK, linestyle=":")
    axes.plot([confidence[g].mean() for g in groups], [right[g].mean() for g in groups], "o-", color=BLUE)
    axes.set(xlabel="confidence (tenths of the rows)", ylabel="share that was right")


def warnings(axes: Axes, lead_time: Mapping[str, Any]) -> None:
    """Grouped bars: onsets by lead, of the model and what it is compared with."""
    forecasts, leads = lead_time["forecasts"], np.arange(HORIZON_ROWS + 1)
    width = 0.8 / len(forecasts)
    for place, (name, colour) in enumerate(zip(forecasts, (BLUE, GREY, ORANGE), strict=False)):
        share = np.array(forecasts[name]["distribution"]) / max(lead_time["onsets"], 1)
        axes.bar(leads + (place - (len(forecasts) - 1) / 2) * width, 100 * share, width, color=colour, label=name)
    axes.set_xticks(leads, ["not", *map(str, leads[1:-1].tolist()), f"{HORIZON_ROWS}+"])
    axes.set(xlabel="intervals ahead", ylabel=f"% of {lead_time['onsets']} onsets")
    axes.legend()


def roc(axes: Axes, probabilities: Floats, true: npt.NDArray[Any], areas: Mapping[str, float]) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linestyle=":")
    for index, level in enumerate(RISK_LEVELS):
        if level in areas:
            others, found, _ = roc_curve(true == index, probabilities[:, index])
            axes.plot(*_thinned(others, found), color=LEVEL_COLOURS[index], label=f"{level} {areas[level]:.3f}")
    axes.set(xlabel="others taken for it", ylabel="found")
    axes.legend(title="area")


def precision_recall(axes: Axes, probabilities: Floats, true: npt.NDArray[Any], areas: Mapping[str, float]) -> None:
    for index, level in enumerate(RISK_LEVELS):
        if level in areas:
            precision, recall, _ = precision_recall_curve(true == index, probabilities[:, index])
            axes.plot(*_thinned(recall, precision), color=LEVEL_COLOURS[index], label=f"{level} {areas[level]:.3f}")
    axes.set(xlabel="found (recall)", ylabel="right (precision)", ylim=(0, 1.03))
    axes.legend(title="average precision", loc="best")


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    places = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).astype(np.int64))
    return x[places], y[places]
