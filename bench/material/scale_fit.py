"""Rates out of measured sizes: straight lines through them, how straight they are, and the model's word beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from lambdas.prepare_run.rates import Rates

Figures = Mapping[str, Any]
Steps = Mapping[str, Sequence[Figures]]


def exponent(rows: Sequence[float], values: Sequence[float]) -> float:
    """e of values ~ rows^e: the slope of a straight line through the logarithms; 1 is linear."""
    return float(np.polyfit(np.log(rows), np.log(values), 1)[0])


def linearity(steps: Steps) -> list[dict[str, Any]]:
    """Of every step with two sizes or more; `last` compares the two largest, where fixed seconds count least."""
    found = []
    for name, sizes in steps.items():
        if len(sizes) < 2:
            continue
        rows = [figures["rows"] for figures in sizes]
        seconds = [figures["seconds"] for figures in sizes]
        work = [figures["cpu_seconds"] for figures in sizes]
        peaks = [figures["peak_mb"] for figures in sizes]
        speeds = [count / spent for count, spent in zip(rows, work, strict=True)]
        found.append(
            {
                "step": name,
                "sizes": len(sizes),
                "e of seconds": exponent(rows, seconds),
                "e of CPU seconds": exponent(rows, work),
                "e of CPU seconds, last": exponent(rows[-2:], work[-2:]),
                "rows per CPU second, last over before": speeds[-1] / speeds[-2],
                "e of memory, last": exponent(rows[-2:], peaks[-2:]),
            }
        )
    return found


def line(rows: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope, neither below 0, with the least squared relative error: a small size counts as a large one."""
    if len(rows) == 1:
        return 0.0, values[0] / rows[0]
    weights = 1 / np.maximum(np.asarray(values, float), 1e-9)
    table = np.column_stack([np.ones(len(rows)), np.asarray(rows, float)])
    (intercept, slope), *_ = np.linalg.lstsq(table * weights[:, None], np.ones(len(rows)), rcond=None)
    if slope < 0:
        return float(np.mean(values)), 0.0
    if intercept < 0:
        return 0.0, values[-1] / rows[
            -1
        ]  # it grows faster than its rows: the largest size is the nearest to what comes
    return float(intercept), float(slope)


def fitted_rates(steps: Steps, *, origin: Mapping[str, str]) -> dict[str, Any]:
    """rates.json (lambdas/prepare_run/rates.py): CPU seconds, and so those of one core."""
    written: dict[str, float] = {}
    for found in steps.values():
        written |= found[-1].get("bytes_per_row", {})
    return {
        **origin,
        "cores": 1,
        "steps": {name: _rate(sizes) for name, sizes in steps.items()},
        "bytes_per_row": written,
    }


def predicted(rates: Rates, step: str, figures: Figures) -> dict[str, Any] | None:
    """The model's seconds and memory beside the measured ones; None for a step that it does not know."""
    rate = rates.steps.get(step)
    if rate is None:
        return None
    rounds = [trial["rounds"] for trial in figures.get("trials", [{"rounds": 0}])]
    seconds = sum(rate.seconds(figures["rows"], rounds=count) for count in rounds)
    worked = float(figures["cpu_seconds"])
    peak = rate.peak_mb(figures["rows"])
    return {
        "step": step,
        "rows": figures["rows"],
        "model, s": seconds,
        "worked, s": worked,
        "model / worked": seconds / worked,
        "by the clock, s": float(figures["seconds"]),
        "model, MB": peak,
        "measured, MB": float(figures["peak_mb"]),
        "model / measured": peak / figures["peak_mb"],
    }


def _rate(sizes: Sequence[Figures]) -> dict[str, float]:
    rows = [float(figures["rows"]) for figures in sizes]
    fixed_mb, mb_per_row = line(rows, [figures["peak_mb"] for figures in sizes])
    memory = {"fixed_mb": _rounded(fixed_mb), "peak_bytes_per_row": _rounded(1e6 * mb_per_row)}
    if "trials" not in sizes[0]:
        fixed, per_row = line(rows, [figures["cpu_seconds"] for figures in sizes])
        return {"fixed_seconds": _rounded(fixed), "seconds_per_million_rows": _rounded(1e6 * per_row), **memory}
    fixed, per_row, round_fixed, round_per_row = _of_trials(sizes)
    return {
        "fixed_seconds": _rounded(fixed),
        "seconds_per_million_rows": _rounded(1e6 * per_row),
        **memory,
        "fixed_seconds_per_round": _rounded(round_fixed),
        "seconds_per_million_rows_and_round": _rounded(1e6 * round_per_row),
    }


def _of_trials(sizes: Sequence[Figures]) -> Sequence[float]:
    """a, b, c, d, none below 0, of seconds = a + b rows + rounds (c + d rows), with the least squared relative error over all
    trials: two trials of one size alone tell a round's seconds by a difference, which noise makes anything."""
    trials = [
        (figures["rows"], trial["rounds"], trial["cpu_seconds"]) for figures in sizes for trial in figures["trials"]
    ]
    table = np.array([[1.0, rows, rounds, rounds * rows] for rows, rounds, _ in trials])
    seconds = np.array([spent for _, _, spent in trials])
    scale = table.max(axis=0)
    found, _ = nnls(table / scale / seconds[:, None], np.ones(len(trials)))
    return [float(value) for value in found / scale]


def _rounded(value: float) -> float:
    """Three digits: a measurement holds no more."""
    return 0.0 if value == 0 else round(value, 2 - math.floor(math.log10(abs(value))))
