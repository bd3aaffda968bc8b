"""The watched period as one self-contained page: what has drifted, by how much, and how good the live answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from insights.drift import LEAST_PSI, ColumnDrift, Comparison
from insights.drift_baseline import COLUMNS, MISSING, Baseline
from insights.schema import RISK_LEVELS
from training_container.evaluation.plots import BLUE, GREY, INK, ORANGE, Plot, interval_line, plot
from training_container.evaluation.report import rendered

TEMPLATE = Path(__file__).with_name("report.html.j2")
SHOWN_BARS, SHOWN_SHARES = 26, 6


def write_report(found: Mapping[str, Any], comparison: Comparison, baseline: Baseline | None, path: Path) -> None:
    """One HTML file, no script and nothing loaded; `found` is watch.json."""
    page = rendered(
        TEMPLATE,
        found=found,
        headline=list(headline(found)),
        verdict=verdict(found),
        plots=list(_plots(found, comparison, baseline)),
    )
    path.write_text(page)


def verdict(found: Mapping[str, Any]) -> str:
    if not found["compared"]:
        return "Whether the requests have drifted cannot be said."
    drifted = [feature["feature"] for feature in found["drifted_features"]]
    rate = f"an unchanged fleet raises this alarm in at most {found['false_alarm_rate']:.1%} of its periods"
    if not drifted:
        return f"No drift: no feature differs from training by more than devices differ among themselves ({rate})."
    return f"Drift in {', '.join(drifted)}: more than devices differ among themselves ({rate})."


def headline(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Figure, what it is, its interval."""
    yield f"{found['rows']:,}", "captured rows", f"of {found['devices']:,} devices or hosts"
    if found["compared"]:
        said = "features or predictions have drifted"
        yield f"{len(found['drifted_features'])}", said, f"largest PSI {found['worst_psi']:.2f}"
        yield f"{found['prediction_psi']:.2f}", "PSI of the predictions", f"{LEAST_PSI} and more is an effect"
    live = found["live"]
    if live["outcomes"]:
        of = f"of {live['outcomes']:,} known outcomes"
        if "accuracy" in live:
            ends = live["calibration_error_interval"]
            yield f"{live['accuracy']:.1%}", f"right {of}", f"{live['lower']:.1%} to {live['upper']:.1%}"
            yield (
                f"{live['calibration_error']:.3f}",
                "expected calibration error",
                f"{ends['lower']:.3f} to {ends['upper']:.3f}",
            )
        else:
            yield f"{live['rmse']:.2f}", f"score points off (RMSE) {of}", f"{live['lower']:.2f} to {live['upper']:.2f}"


def _plots(found: Mapping[str, Any], comparison: Comparison, baseline: Baseline | None) -> Iterator[Plot]:
    if comparison.columns and baseline is not None:
        yield plot(
            "How far each feature is from training",
            f"PSI; dotted: {LEAST_PSI}, below which no alarm is raised; orange has drifted, grey is not tested.",
            lambda axes: _distances(axes, comparison.columns),
            size=(5.2, 5.6),
        )
        strongest = sorted(
            comparison.columns, key=lambda column: (not column.drifted, column.p_value is None, -column.psi)
        )
        for column in strongest[:SHOWN_SHARES]:
            yield plot(
                f"{column.name}: training and now",
                "Share of each bin, a device counts once; the bins hold equal shares of the training rows where values allow.",
                partial(_shares, column=column, labels=_labels(found["kind"], column.name, baseline)),
            )
    variants = [variant for variant in found["variants"] if variant["outcomes"]]
    if variants:
        metric = "accuracy" if found["kind"] == "risk" else "rmse"
        yield plot(
            "Each variant's live answers",
            "With 95% intervals over devices.",
            lambda axes: _variants(axes, variants, metric),
        )


def _distances(axes: Axes, columns: Sequence[ColumnDrift]) -> None:
    ordered = sorted(columns, key=lambda column: column.psi)[-SHOWN_BARS:]
    colours = [ORANGE if column.drifted else GREY if column.p_value is None else BLUE for column in ordered]
    axes.barh([column.name for column in ordered], [column.psi for column in ordered], color=colours)
    axes.axvline(LEAST_PSI, color=INK, linestyle=":")
    axes.set(xlabel="population stability index")


def _shares(axes: Axes, column: ColumnDrift, labels: Sequence[str]) -> None:
    places = np.arange(len(labels))
    chosen = [*range(len(labels) - 1), MISSING]
    for offset, shares, colour, name in ((-0.2, column.before, GREY, "training"), (0.2, column.now, BLUE, "now")):
        axes.bar(places + offset, [shares[bin_] for bin_ in chosen], width=0.4, color=colour, label=name)
    axes.set_xticks(places, labels, rotation=90, fontsize=7)
    axes.set(ylabel="share")
    axes.legend()


def _labels(kind: str, name: str, baseline: Baseline) -> list[str]:
    """Of each bin in use its upper end, then the unknown."""
    edges = baseline.edges[COLUMNS.index(name)]
    if kind == "risk" and name == "prediction":
        return [*RISK_LEVELS, "unknown"]
    return [*(f"≤ {edge:.4g}" for edge in edges[np.isfinite(edges)]), "above", "unknown"]


def _variants(axes: Axes, variants: Sequence[Mapping[str, Any]], metric: str) -> None:
    for place, variant in enumerate(variants):
        interval_line(axes, variant[metric], variant["lower"], variant["upper"], place, BLUE)
    axes.set_yticks(range(len(variants)), [f"{one['variant']}  ({one['outcomes']} outcomes)" for one in variants])
    axes.set(xlabel=metric, ylim=(-0.6, len(variants) - 0.4))
