"""The gate: may a model go live? A pure decision on its metrics, one reason sentence per check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

GATE_DEFAULTS: Final[Mapping[str, float]] = {"min_accuracy": 0.90, "max_rmse": 10.0}


class Verdict(NamedTuple):
    passed: bool
    reasons: tuple[str, ...]


class _Check(NamedTuple):
    metric: str
    threshold: str
    at_least: bool


_CHECKS: Final[Mapping[str, tuple[_Check, ...]]] = {
    "risk": (_Check("accuracy", "min_accuracy", at_least=True),),
    "performance": (_Check("rmse", "max_rmse", at_least=False),),
}


def judge(kind: str, metrics: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Verdict:
    """Whether the metrics of a `kind` model pass; a threshold not given has its default of GATE_DEFAULTS."""
    if kind not in _CHECKS:
        raise ValueError(f"no gate for the model kind {kind!r}; it must be one of {', '.join(_CHECKS)}")
    unknown = sorted(set(thresholds) - set(GATE_DEFAULTS))
    if unknown:
        raise ValueError(f"unknown gate threshold {unknown[0]!r}; known are {', '.join(GATE_DEFAULTS)}")
    answers = [_answer(check, metrics, {**GATE_DEFAULTS, **thresholds}) for check in _CHECKS[kind]]
    return Verdict(all(passed for passed, _ in answers), tuple(reason for _, reason in answers))


def _answer(check: _Check, metrics: Mapping[str, Any], thresholds: Mapping[str, Any]) -> tuple[bool, str]:
    limit = thresholds[check.threshold]
    if not _is_finite_number(limit):
        raise ValueError(f"gate threshold {check.threshold} is {limit!r}; it must be a finite number")
    value = metrics.get(check.metric)
    if not _is_finite_number(value):
        return False, f"{check.metric} is {value!r}, not a finite number (the evaluation did not give one): failed"
    passed = value >= limit if check.at_least else value <= limit
    sign = (">=" if passed else "<") if check.at_least else ("<=" if passed else ">")
    digits = _digits_to_tell_apart(value, limit)
    word = "passed" if passed else "failed"
    return passed, f"{check.metric} {value:.{digits}f} {sign} {limit:.{digits}f}: {word}"


def _is_finite_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _digits_to_tell_apart(value: float, limit: float) -> int:
    """Three decimals, more only where rounding would print a failed value as equal to its limit."""
    for digits in range(3, 12):
        if value == limit or f"{value:.{digits}f}" != f"{limit:.{digits}f}":
            return digits
    return 12
