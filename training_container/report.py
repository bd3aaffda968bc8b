"""The evaluation as one self-contained page: plots that say what is seen, then the numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from insights.feature_table import FEATURE_NAMES
from insights.schema import RISK_LEVELS
from training_container.predictor import Predictor
from training_container.split_file import Split

TEMPLATE = Path(__file__).with_name("report.html.j2")
INK = "#777"  # readable on a white and on a black page
BLUE, ORANGE = "#2b7de9", "#d9730d"
MOST_POINTS = 2_000
SHOWN_FEATURES = 12
PLOT_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "iops-insights",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def write_report(predictor: Predictor, test: Split, metrics: Mapping[str, Any], path: Path) -> None:
    """One HTML file, no script and nothing loaded."""
    with mpl.rc_context(PLOT_STYLE):
        plots = risk_plots(predictor, test, metrics) if predictor.kind == "risk" else performance_plots(predictor, test)
        plots.append(plot("What the model leans on (gain)", lambda axes: importance(axes, predictor)))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    page = environment.from_string(TEMPLATE.read_text()).render(
        kind=predictor.kind, metrics=metrics, numbers=numbers, plots=plots, description=predictor.description
    )
    path.write_text(page)


def risk_plots(predictor: Predictor, test: Split, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    matrix = np.array(metrics["confusion_matrix"])
    probabilities = predictor.probabilities(test.X)
    return [
        plot("Where it is right, and what it takes for what", lambda axes: confusion(axes, matrix)),
        plot("Does it mean its confidence?", lambda axes: reliability(axes, probabilities, test.risk)),
    ]


def performance_plots(predictor: Predictor, test: Split) -> list[tuple[str, str]]:
    lower, upper = predictor.intervals(test.X)
    scores = predictor.scores(test.X)
    return [
        plot("Forecast against what happened", lambda axes: against(axes, scores, test.score)),
        plot("How wide the 90% interval is", lambda axes: widths(axes, upper - lower)),
    ]


def plot(title: str, draw: Callable[[Axes], None]) -> tuple[str, str]:
    """Title and inline SVG."""
    figure = Figure(figsize=(5.2, 3.9), layout="constrained")
    draw(figure.subplots())
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r"^.*?(<svg )", rf'\1role="img" aria-label="{title}" ', text.getvalue(), count=1, flags=re.DOTALL)
    return title, svg


def confusion(axes: Axes, matrix: np.ndarray[Any, Any]) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "#333"
        )
    places = range(len(RISK_LEVELS))
    axes.set_xticks(places, RISK_LEVELS)
    axes.set_yticks(places, RISK_LEVELS)
    axes.set(xlabel="predicted", ylabel="happened")


def reliability(axes: Axes, probabilities: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> None:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    order = np.argsort(confidence)
    groups = [group for group in np.array_split(order, 10) if len(group)]
    axes.plot([0.25, 1], [0.25, 1], color=INK, linestyle=":", label="means what it says")
    axes.plot(
        [confidence[g].mean() for g in groups],
        [right[g].mean() for g in groups],
        "o-",
        color=BLUE,
        label="tenths of the rows",
    )
    axes.set(xlabel="confidence", ylabel="share that was right")
    axes.legend(frameon=False)


def against(axes: Axes, scores: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> None:
    step = max(1, len(scores) // MOST_POINTS)
    axes.plot([0, 100], [0, 100], color=INK, linestyle=":")
    axes.scatter(scores[::step], true[::step], s=6, alpha=0.4, color=BLUE, linewidths=0)
    axes.set(xlabel="forecast score", ylabel="score that came", xlim=(-2, 102), ylim=(-2, 102))


def widths(axes: Axes, values: np.ndarray[Any, Any]) -> None:
    axes.hist(values, bins=40, color=ORANGE)
    axes.set(xlabel="width of the interval, score points", ylabel="test rows")


def importance(axes: Axes, predictor: Predictor) -> None:
    gains = predictor.trees.get_score(importance_type="total_gain")
    named = {FEATURE_NAMES[int(key.removeprefix("f"))]: value for key, value in gains.items()}
    strongest = sorted(named.items(), key=lambda pair: pair[1])[-SHOWN_FEATURES:]
    total = sum(named.values()) or 1.0
    axes.barh([name for name, _ in strongest], [100 * value / total for _, value in strongest], color=BLUE)
    axes.set(xlabel="% of the total gain")
