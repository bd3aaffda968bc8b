"""Predictor.answers for a few rows at a time: one kernel call, and no array that holds four numbers.

The same answers as Predictor gives, which a test holds it to; this one only spares what numpy's calls cost a single row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from insights.feature_table import FEATURE_NAMES
from training_container import compiled_trees_kernels as kernels
from training_container.compiled_trees import CompiledTrees
from training_container.predictor import (
    CONTRIBUTIONS,
    INTERVAL_LEVEL,
    SCORE_RANGE,
    Answers,
    Matrix,
    Predictor,
    spread_width,
)


def answers_of(predictor: Predictor) -> Answers:
    """The function that answers C-contiguous (n, 25) rows."""
    if not isinstance(predictor.trees, CompiledTrees):
        return predictor.answers
    description, trees = predictor.description, predictor.trees
    if description.temperature is not None:
        return _risk(trees, description.classes, description.temperature)
    if isinstance(predictor.spread, CompiledTrees) and description.conformal_quantile is not None:
        return _performance(trees, predictor.spread, description.conformal_quantile)
    return predictor.answers


def _risk(trees: CompiledTrees, classes: Sequence[str], temperature: float) -> Answers:
    count = len(classes)

    def answers(rows: Matrix) -> list[dict[str, Any]]:
        return [_risk_answer(row[:count], row[count:], classes, temperature) for row in _explained(trees, rows)]

    return answers


def _risk_answer(
    margins: list[float], reasons: list[float], classes: Sequence[str], temperature: float
) -> dict[str, Any]:
    scaled = [margin / temperature for margin in margins]
    highest = max(scaled)
    powers = [math.exp(value - highest) for value in scaled]
    total = sum(powers)
    shares = [power / total for power in powers]
    confidence = max(shares)
    return {
        "risk_level": classes[shares.index(confidence)],
        "probabilities": dict(zip(classes, shares, strict=True)),
        "confidence": confidence,
        "contributions": _contributions(reasons),
    }


def _performance(trees: CompiledTrees, spread: CompiledTrees, quantile: float) -> Answers:
    def answers(rows: Matrix) -> list[dict[str, Any]]:
        halves = (quantile * spread_width(spread.margins(rows))).tolist()
        return [
            _performance_answer(_clipped(row[0]), half, row[1:])
            for row, half in zip(_explained(trees, rows), halves, strict=True)
        ]

    return answers


def _performance_answer(score: float, half: float, reasons: list[float]) -> dict[str, Any]:
    lower, upper = _clipped(score - half), _clipped(score + half)
    return {
        "performance_score": score,
        "interval": {"lower": lower, "upper": upper, "level": INTERVAL_LEVEL},
        "confidence": 1.0 - (upper - lower) / (SCORE_RANGE[1] - SCORE_RANGE[0]),
        "contributions": _contributions(reasons),
    }


def _explained(trees: CompiledTrees, rows: Matrix) -> list[list[float]]:
    out = np.empty((len(rows), trees.outputs + 3 * CONTRIBUTIONS))
    kernels.explained(trees.forest, rows, out)
    found: list[list[float]] = out.tolist()
    return found


def _contributions(reasons: list[float]) -> list[dict[str, Any]]:
    """Of the kernel's triples; NaN is the one value that is not itself."""
    triples = zip(*[iter(reasons)] * 3, strict=True)
    return [
        {"feature": FEATURE_NAMES[int(place)], "value": value if value == value else None, "contribution": contribution}  # noqa: PLR0124
        for place, value, contribution in triples
    ]


def _clipped(score: float) -> float:
    return min(max(score, SCORE_RANGE[0]), SCORE_RANGE[1])
