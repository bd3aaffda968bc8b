"""How good the answers were that callers got: predictions beside what really happened, with device-bootstrap intervals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from insights.formats import check_format
from insights.happened import happened_to
from insights.schema import ITEM_FORMAT, RISK_LEVELS
from insights.splits import group_of
from training_container.evaluation.bootstrap import DeviceBootstrap, bounds
from training_container.evaluation.limits import FEW_GROUPS
from training_container.evaluation.metrics import expected_calibration_error
from training_container.evaluation.resampled import resampled_risk, resampled_scores

MOST_PREDICTIONS: Final = 1_000_000


class Judged(NamedTuple):
    """A prediction whose outcome is known; `said` are the four probabilities, or the score."""

    group: str
    variant: str
    model_version: str
    said: tuple[float, ...]
    happened: float


@dataclass(frozen=True, slots=True)
class Outcomes:
    judged: Sequence[Judged]
    lines: int
    broken_lines: int


def read_outcomes(source: Path | None, kind: str) -> Outcomes:
    """Stored predictions of a kind with their `feedback` and `outcome`, one JSON object a line, of a file or a folder of
    .jsonl files; those without a known outcome are counted as lines only."""
    files = [] if source is None or not source.exists() else [source] if source.is_file() else source.rglob("*.jsonl")
    judged: list[Judged] = []
    lines = broken = 0
    for line in _lines(sorted(files)):
        lines += 1
        try:
            found = judged_of(json.loads(line), kind)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            broken += 1
            continue
        if found is not None and len(judged) < MOST_PREDICTIONS:
            judged.append(found)
    return Outcomes(judged, lines, broken)


def _lines(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as lines:
            yield from filter(str.strip, lines)


def judged_of(prediction: Mapping[str, Any], kind: str) -> Judged | None:
    """None for another kind, or where nobody knows what happened."""
    check_format(prediction, "a stored prediction", field=ITEM_FORMAT)
    if prediction["kind"] != kind:
        return None
    happened = happened_to(prediction)
    if happened is None:
        return None
    if kind == "risk":
        said = tuple(_number(prediction["probabilities"][level], 1) for level in RISK_LEVELS)
        happened = RISK_LEVELS.index(happened)
    else:
        said = (_number(prediction["performance_score"], 100),)
        happened = _number(happened, 100)
    return Judged(
        group_of(prediction["device_id"]),
        str(prediction.get("variant") or ""),
        str(prediction.get("model_version") or ""),
        said,
        float(happened),
    )


def _number(value: Any, high: float) -> float:
    """ValueError for what no prediction says: one such row would make every figure of the period unknown."""
    number = float(value)
    if not 0 <= number <= high:
        raise ValueError(f"{number} is no number from 0 to {high:g}")
    return number


def live_quality(outcomes: Outcomes, kind: str, model_version: str = "") -> dict[str, Any]:
    """Of the predictions of one model version, or of all where none is named; without outcomes only their number."""
    return _quality([j for j in outcomes.judged if model_version in ("", j.model_version)], kind)


def variant_quality(outcomes: Outcomes, kind: str) -> list[dict[str, Any]]:
    """The same of each variant that answered, whatever its version."""
    names = sorted({judged.variant for judged in outcomes.judged} - {""})
    return [{"variant": name, **_quality([j for j in outcomes.judged if j.variant == name], kind)} for name in names]


def few_outcomes(quality: Mapping[str, Any]) -> list[str]:
    groups = quality.get("groups", 0)
    if not quality["outcomes"]:
        return ["no outcome of a prediction is known: how good the live answers are is not known either"]
    if groups < FEW_GROUPS:
        return [
            f"outcomes are known of {groups} independent groups of devices: the intervals are too narrow to be believed"
        ]
    return []


def _quality(judged: Sequence[Judged], kind: str) -> dict[str, Any]:
    if not judged:
        return {"outcomes": 0}
    said = np.array([one.said for one in judged])
    happened = np.array([one.happened for one in judged])
    bootstrap = DeviceBootstrap(np.array([one.group for one in judged], np.str_))
    figures = _QUALITY[kind](bootstrap, happened, said)
    return {"outcomes": len(judged), "groups": bootstrap.groups, **figures}


def _of_risk(bootstrap: DeviceBootstrap, happened: Any, probabilities: Any) -> dict[str, Any]:
    true = happened.astype(np.int64)
    resampled = resampled_risk(bootstrap, true, probabilities)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == true)),
        **bounds(resampled["accuracy"]),
        "calibration_error": expected_calibration_error(true, probabilities),
        "calibration_error_interval": bounds(resampled["expected_calibration_error"]),
    }


def _of_performance(bootstrap: DeviceBootstrap, happened: Any, said: Any) -> dict[str, Any]:
    scores = said[:, 0]
    return {
        "rmse": float(np.sqrt(np.mean((happened - scores) ** 2))),
        **bounds(resampled_scores(bootstrap, happened, scores)["rmse"]),
    }


_QUALITY: Final[Mapping[str, Callable[[DeviceBootstrap, Any, Any], dict[str, Any]]]] = {
    "risk": _of_risk,
    "performance": _of_performance,
}
