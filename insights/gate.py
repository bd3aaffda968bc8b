"""The gate: may a model go live? A pure decision on its metrics, one reason sentence per check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from insights.schema import is_finite_number, shown


class Threshold(NamedTuple):
    """What a run's input may set: the default and the ends it must lie between."""

    default: float
    low: float
    high: float
    whole: bool = False


THRESHOLDS: Final[Mapping[str, Threshold]] = {
    "min_accuracy": Threshold(0.90, 0, 1),
    "min_critical_recall": Threshold(0.80, 0, 1),
    "min_critical_rows": Threshold(30, 1, 1_000_000_000, whole=True),  # fewer: the recall of critical is not judged
    "max_rmse": Threshold(10.0, 0, 100),  # points of the performance score
    "min_coverage": Threshold(0.88, 0, 1),  # of the 90% interval
    "max_coverage": Threshold(0.92, 0, 1),
    "max_loss_to_live": Threshold(0.02, 0, 1),  # accuracy; for the RMSE relative to the live model's
}
GATE_DEFAULTS: Final[Mapping[str, float]] = {name: threshold.default for name, threshold in THRESHOLDS.items()}


class InvalidThreshold(ValueError):
    """A threshold that no gate can have; `name`, `value` and `remedy` for a caller that words it for its own field."""

    def __init__(self, name: str, value: object, remedy: str) -> None:
        super().__init__(f"gate threshold {shown(name)} is {shown(value)}; {remedy}")
        self.name, self.value, self.remedy = name, value, remedy


class Verdict(NamedTuple):
    passed: bool
    reasons: tuple[str, ...]


class Answer(NamedTuple):
    passed: bool
    reason: str


class _Unjudged(Exception):
    """A metric that the check needs is missing or no finite number."""


def judge(kind: str, metrics: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Verdict:
    """Whether the metrics of a `kind` model pass every check; a threshold not given has its default."""
    if kind not in _CHECKS:
        raise ValueError(f"no gate for the model kind {kind!r}; it must be one of {', '.join(_CHECKS)}")
    limits = {**GATE_DEFAULTS, **checked_thresholds(thresholds)}
    answers = [_answer(check, metrics, limits) for check in _CHECKS[kind]]
    return Verdict(all(answer.passed for answer in answers), tuple(_worded(answer) for answer in answers))


def checked_thresholds(given: Mapping[str, Any]) -> dict[str, float]:
    """The same thresholds; InvalidThreshold for an unknown name, a value out of its ends, or limits that exclude all."""
    for name, value in given.items():
        if name not in THRESHOLDS:
            raise InvalidThreshold(name, value, f"no such threshold; known are {', '.join(THRESHOLDS)}")
        _, low, high, whole = THRESHOLDS[name]
        if not is_finite_number(value) or not low <= value <= high or (whole and value != int(value)):
            wanted = "a whole number" if whole else "a number"
            raise InvalidThreshold(name, value, f"it must be {wanted} from {low:g} to {high:,.12g}")
    limits = {**GATE_DEFAULTS, **given}
    if limits["min_coverage"] > limits["max_coverage"]:
        name = "min_coverage" if "min_coverage" in given else "max_coverage"
        raise InvalidThreshold(
            name,
            given[name],
            f"min_coverage {limits['min_coverage']:g} must not exceed max_coverage {limits['max_coverage']:g}",
        )
    return dict(given)


def accuracy(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    return _at_least("accuracy", _number(metrics, "accuracy"), limits["min_accuracy"])


def critical_recall(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    """Not judged, and passed, where the test split holds too few critical rows to say anything."""
    rows = int(_number(metrics, "per_class", "critical", "support"))
    if rows < limits["min_critical_rows"]:
        return Answer(True, f"recall of critical not judged: {rows} rows of {limits['min_critical_rows']:g} needed")
    recall = _number(metrics, "per_class", "critical", "recall")
    return _at_least("recall of critical", recall, limits["min_critical_recall"], suffix=f" (on {rows} rows)")


def macro_f1_above_persistence(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    model, rival = _number(metrics, "macro_f1"), _number(metrics, "rivals", "persistence", "macro_f1")
    digits = _digits_to_tell_apart(model, rival)
    sign = ">" if model > rival else "<="
    return Answer(model > rival, f"macro-F1 {model:.{digits}f} {sign} persistence {rival:.{digits}f}")


def rmse(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    value, limit = _number(metrics, "rmse"), limits["max_rmse"]
    digits = _digits_to_tell_apart(value, limit)
    sign = "<=" if value <= limit else ">"
    return Answer(value <= limit, f"RMSE {value:.{digits}f} {sign} {limit:.{digits}f}")


def rmse_below_persistence(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    model, rival = _number(metrics, "rmse"), _number(metrics, "rivals", "persistence", "rmse")
    digits = _digits_to_tell_apart(model, rival)
    sign = "<" if model < rival else ">="
    return Answer(model < rival, f"RMSE {model:.{digits}f} {sign} persistence {rival:.{digits}f}")


def coverage(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    """The bootstrap interval of the coverage must meet the wanted range: a small test split proves little."""
    value = _number(metrics, "interval_coverage")
    ends = [_number(metrics, "intervals", "interval_coverage", end) for end in ("lower", "upper")]
    low, high = limits["min_coverage"], limits["max_coverage"]
    passed = ends[0] <= high and ends[1] >= low
    word = "meets" if passed else "misses"
    return Answer(passed, f"interval coverage {value:.3f} ({ends[0]:.3f} to {ends[1]:.3f}) {word} {low:g} to {high:g}")


def against_live(metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    """The newcomer must not be worse than what serves today, as far as the same test devices can tell."""
    if "against_live" not in metrics:
        raise _Unjudged("against_live is missing")
    if metrics["against_live"] is None:
        return Answer(True, "no live model to compare with")
    if "unjudged" in metrics["against_live"]:
        # Nothing says that the newcomer is no worse; who accepts any loss accepts that too.
        reason = f"the live model cannot be judged on these rows ({metrics['against_live']['unjudged']})"
        return Answer(limits["max_loss_to_live"] >= 1, f"{reason}; max_loss_to_live 1 lets that pass")
    difference, lower, upper = (_number(metrics, "against_live", name) for name in ("difference", "lower", "upper"))
    named = "RMSE, relative," if metrics["against_live"].get("metric") == "rmse" else "accuracy"
    least = -limits["max_loss_to_live"]
    sign = ">" if lower > least else "<="
    return Answer(
        lower > least,
        f"{named} ahead of the live model by {difference:+.3f} ({lower:+.4f} to {upper:+.4f}), "
        f"lower bound {sign} {least:g}",
    )


_Check = Callable[[Mapping[str, Any], Mapping[str, float]], Answer]
_CHECKS: Final[Mapping[str, Iterable[_Check]]] = {
    "risk": (accuracy, critical_recall, macro_f1_above_persistence, against_live),
    "performance": (rmse, rmse_below_persistence, coverage, against_live),
}


def _answer(check: _Check, metrics: Mapping[str, Any], limits: Mapping[str, float]) -> Answer:
    try:
        return check(metrics, limits)
    except _Unjudged as missing:
        return Answer(False, f"{missing} (the evaluation did not give it)")


def _worded(answer: Answer) -> str:
    return f"{answer.reason}: {'passed' if answer.passed else 'failed'}"


def _at_least(name: str, value: float, limit: float, *, suffix: str = "") -> Answer:
    digits = _digits_to_tell_apart(value, limit)
    sign = ">=" if value >= limit else "<"
    return Answer(value >= limit, f"{name} {value:.{digits}f} {sign} {limit:.{digits}f}{suffix}")


def _number(metrics: Mapping[str, Any], *path: str) -> float:
    value: object = metrics
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not is_finite_number(value):
        raise _Unjudged(f"{'.'.join(path)} is {value!r}, not a finite number")
    return value


def _digits_to_tell_apart(value: float, limit: float) -> int:
    """Three decimals, more only where rounding would print two different numbers as equal."""
    for digits in range(3, 12):
        if value == limit or f"{value:.{digits}f}" != f"{limit:.{digits}f}":
            return digits
    return 12
