"""Drawing for the report: inline SVG without a script, readable on a light and on a dark page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#777777"  # becomes the page's own text colour
BLUE, ORANGE, GREY = "#2b7de9", "#d9730d", "#9aa3ad"
LEVEL_COLOURS = ("#2f9e63", "#c79a00", "#e0701a", "#d03a3a")
SHOWN_FEATURES = 12
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "iops-insights",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


class Plot(NamedTuple):
    """`said` is the sentence below the title: how to read it."""

    title: str
    said: str
    svg: str


def plot(title: str, said: str, draw: Callable[[Axes], None], *, size: tuple[float, float] = (5.2, 3.7)) -> Plot:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r"^.*?(<svg )", rf'\1role="img" aria-label="{title}" ', text.getvalue(), count=1, flags=re.DOTALL)
    return Plot(title, said, svg.replace(INK, "currentColor"))


def margins(axes: Axes, rivals: Mapping[str, Mapping[str, Any]], metric: str, label: str) -> None:
    """Each rival's distance to the model with its interval; right of zero the model is better."""
    names = list(rivals)[::-1]
    for place, name in enumerate(names):
        margin = rivals[name]["margin"]
        better = margin["lower"] > 0
        interval_line(axes, margin["difference"], margin["lower"], margin["upper"], place, BLUE if better else GREY)
    axes.axvline(0, color=INK, linestyle=":")
    axes.set_yticks(range(len(names)), [f"{name}  ({rivals[name][metric]:.2f})" for name in names])
    axes.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))


def importances(axes: Axes, values: Mapping[str, float], label: str) -> None:
    strongest = list(reversed(list(values.items())[:SHOWN_FEATURES]))
    axes.barh([name for name, _ in strongest], [value for _, value in strongest], color=BLUE)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set(xlabel=label)


def by_slice(axes: Axes, slices: Mapping[str, Mapping[str, Any]], metric: str, label: str) -> None:
    parts = [
        (f"{name}  ({part['devices']} devices)", part)
        for dimension in slices.values()
        for name, part in dimension.items()
    ]
    for place, (_, part) in enumerate(reversed(parts)):
        ends = part["intervals"][metric]
        interval_line(axes, part[metric], ends["lower"], ends["upper"], place, BLUE)
    axes.set_yticks(range(len(parts)), [name for name, _ in reversed(parts)])
    axes.set(xlabel=label, ylim=(-0.6, len(parts) - 0.4))


def interval_line(axes: Axes, value: float, lower: float, upper: float, place: int, colour: str) -> None:
    axes.plot([lower, upper], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot([value], [place], "o", color=colour, markersize=6)
