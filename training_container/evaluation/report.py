"""The evaluation as one self-contained page: what it comes to in words, plots that say what is seen, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from training_container.evaluation.performance_plots import performance_plots
from training_container.evaluation.risk_plots import risk_plots
from training_container.predictor import Predictor
from training_container.split_file import Split

TEMPLATE = Path(__file__).with_name("report.html.j2")
STYLE = Path(__file__).with_name("report.css")


def write_report(predictor: Predictor, test: Split, metrics: Mapping[str, Any], path: Path) -> None:
    """One HTML file, no script and nothing loaded."""
    plots = (risk_plots if predictor.kind == "risk" else performance_plots)(predictor, test, metrics)
    page = rendered(
        TEMPLATE,
        kind=predictor.kind,
        metrics=metrics,
        headline=list((risk_headline if predictor.kind == "risk" else performance_headline)(metrics)),
        verdicts=list(verdicts(metrics)),
        numbers=list(flattened(metrics)),
        plots=plots,
        description=predictor.description,
    )
    path.write_text(page)


def rendered(template: Path, **values: Any) -> str:
    """A page in the one style of all reports."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template.read_text()).render(style=STYLE.read_text(), **values)


def risk_headline(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Figure, what it is, its interval."""
    yield f"{metrics['accuracy']:.1%}", "of the rows get their level right", _ends(metrics, "accuracy", ".1%")
    yield f"{metrics['macro_f1']:.3f}", "macro-F1: every level counts the same", _ends(metrics, "macro_f1", ".3f")
    if metrics["per_class"]["critical"]["support"]:
        critical = metrics["per_class"]["critical"]
        said = f"of the {critical['support']:,} critical half hours are found"
        yield f"{critical['recall']:.0%}", said, _ends(metrics, "recall_critical", ".0%")
    lead = metrics["lead_time"]["forecasts"]["model"]
    if lead["foreseen"] is not None:
        ends, said = (
            lead["intervals"]["foreseen"],
            f"of the {metrics['lead_time']['onsets']:,} sudden breaches are foreseen",
        )
        yield f"{lead['foreseen']:.0%}", said, f"{ends['lower']:.0%} to {ends['upper']:.0%}"


def performance_headline(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield f"{metrics['rmse']:.2f}", "score points off (RMSE)", _ends(metrics, "rmse", ".2f")
    yield (
        f"{metrics['interval_coverage']:.1%}",
        "of the scores lie in their 90% interval",
        _ends(metrics, "interval_coverage", ".1%"),
    )
    yield (
        f"{metrics['interval_width']:.1f}",
        "points wide is the interval, on average",
        _ends(metrics, "interval_width", ".1f"),
    )


def verdicts(metrics: Mapping[str, Any]) -> Iterator[str]:
    """A sentence per rival: what the data prove, in the words that they allow."""
    for name, rival in metrics["rivals"].items():
        margin = rival["margin"]
        by = f"{margin['difference']:+.3f} {'macro-F1' if margin['metric'] == 'macro_f1' else 'points of RMSE'}"
        ends = f"({margin['lower']:+.3f} to {margin['upper']:+.3f})"
        if name == "oracle":
            yield f"The oracle knows the hidden state: the model is {by} {ends} from what can be known at best."
        elif margin["lower"] > 0:
            yield f"Better than {name}: {by} {ends}."
        elif margin["upper"] < 0:
            yield f"Worse than {name}: {by} {ends}."
        else:
            yield f"Not proven to differ from {name}: {by} {ends}."
    live = metrics["against_live"]
    if live and "unjudged" not in live:
        yield (
            f"Against the live model: {live['metric']} {live['model']:.3f} and {live['live']:.3f}, "
            f"{live['difference']:+.3f} ({live['lower']:+.3f} to {live['upper']:+.3f})."
        )


def flattened(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of metrics.json with its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}{name}.")
        elif isinstance(value, int | float):
            yield f"{path}{name}", value


def _ends(metrics: Mapping[str, Any], name: str, form: str) -> str:
    ends = metrics["intervals"][name]
    return f"{ends['lower']:{form}} to {ends['upper']:{form}}"
