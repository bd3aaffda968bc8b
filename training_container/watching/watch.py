"""watch: what a live model was asked in a period beside what it was trained on, and how good its answers turned out to be."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from insights.drift import FALSE_ALARM_RATE, MODELS, ColumnDrift, Comparison, compare
from insights.drift_baseline import PREDICTION, Baseline
from insights.schema import timestamp_text
from training_container.baseline_file import NoBaseline, read_baseline, said
from training_container.errors import UnusableInput
from training_container.model_folder import extracted, read_golden
from training_container.predictor import Predictor
from training_container.watching.captures import Captured, Period, read_captured
from training_container.watching.live_quality import few_outcomes, live_quality, read_outcomes, variant_quality
from training_container.watching.report import write_report


def watch(
    kind: str,
    *,
    model: Path,
    captured: Path,
    outcomes: Path | None,
    output: Path,
    period: Period | None = None,
    model_version: str = "",
    report_uri: str = "",
) -> None:
    """Write watch.json and report.html; UnusableInput where the model is none, or one of another feature table.

    Without a period every captured line counts. A model without a baseline is watched for what needs none.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = extracted(model, Path(scratch))
        predictor = Predictor.uncompiled(folder)
        if predictor.kind != kind:
            raise UnusableInput(f"{model} holds a {predictor.kind} model; it cannot be watched as {kind}")
        asked = read_captured(captured, period=period, golden=read_golden(folder)[0])
        baseline, comparison = _compared(folder, predictor, asked)
    known = read_outcomes(outcomes, kind)
    live = live_quality(known, kind, model_version)
    found = {
        "format": 1,
        "kind": kind,
        "period": _period(period, asked),
        "rows": len(asked.X),
        **drift_figures(comparison),
        "live": live,
        "variants": variant_quality(known, kind),
        "report": report_uri or str(output / "report.html"),
        "counts": {**asked.counts, "outcome_lines": known.lines, "broken_outcome_lines": known.broken_lines},
        "limits": [*_left_out(asked.counts), *comparison.limits, *few_outcomes(live)],
    }
    (output / "watch.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    write_report(found, comparison, baseline, output / "report.html")
    print(json.dumps({n: found[n] for n in ("kind", "rows", "drift_detected", "worst_psi", "limits")}), flush=True)


def _compared(folder: Path, predictor: Predictor, asked: Captured) -> tuple[Baseline | None, Comparison]:
    try:
        baseline = read_baseline(folder)
    except NoBaseline as missing:
        return None, Comparison(
            columns=(), baseline_units=0, units=0, rows=len(asked.X), limits=(f"drift is not judged: {missing}",)
        )
    if not len(asked.X):
        return baseline, Comparison(
            columns=(), baseline_units=0, units=0, rows=0, limits=("drift is not judged: no request was captured",)
        )
    return baseline, compare(baseline, baseline.coded(asked.X, asked.units, said(predictor, asked.X)))


def drift_figures(comparison: Comparison) -> dict[str, Any]:
    """`compared` says whether there is a judgement at all; where there is none, nothing has drifted as far as is known."""
    tested = [column for column in comparison.columns if column.p_value is not None]
    return {
        "compared": bool(tested),
        "drift_detected": bool(comparison.drifted),
        "drifted_features": [_told(column) for column in comparison.drifted],
        "worst_psi": max((column.psi for column in tested), default=0.0),
        "prediction_psi": comparison.columns[PREDICTION].psi if comparison.columns else 0.0,
        "missing_rate_shift": max((abs(column.missing_shift) for column in tested), default=0.0),
        "false_alarm_rate": FALSE_ALARM_RATE / MODELS,
        "devices": comparison.units,
        "training_devices": comparison.baseline_units,
        "features": [{**_told(column), "drifted": column.drifted} for column in comparison.columns],
    }


def _told(column: ColumnDrift) -> dict[str, Any]:
    values = asdict(column)
    return {
        "feature": values["name"],
        **{name: values[name] for name in ("psi", "ks", "p_value", "missing_before", "missing_now")},
    }


def _left_out(counts: Mapping[str, int]) -> Sequence[str]:
    sentences = {
        "broken_lines": "captured lines that are no requests the server would answer: {}",
        "rows_left_out": "rows left out past the first 200,000 (files are taken at random): {}",
        "rows_without_device": "rows that name no device: {}; each request is taken for one, so that false alarms may "
        "exceed their rate",
    }
    return [text.format(counts[name]) for name, text in sentences.items() if counts.get(name)]


def _period(period: Period | None, asked: Captured) -> dict[str, str | None]:
    ends: tuple[datetime | None, datetime | None] = period or (asked.first, asked.last)
    start, end = (None if moment is None else timestamp_text(moment) for moment in ends)
    return {"start": start, "end": end}
