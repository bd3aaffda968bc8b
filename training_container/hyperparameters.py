"""Hyperparameters arrive as strings; they are parsed once, here, and a wrong one is named with its value and remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from insights.schema import KINDS, shown
from training_container.errors import UnusableInput


class Range(NamedTuple):
    low: float
    high: float
    whole: bool = False


TUNED: Mapping[str, Range] = {
    "max_depth": Range(3, 10, whole=True),
    "eta": Range(0.01, 0.3),
    "subsample": Range(0.5, 1),
    "colsample_bytree": Range(0.5, 1),
    "min_child_weight": Range(1, 10),
    "gamma": Range(0, 5),
    "alpha": Range(0, 2),
    "lambda": Range(0, 2),
}
FIXED: Mapping[str, Range] = {
    "num_round": Range(1, 10_000, whole=True),
    "early_stopping_rounds": Range(1, 1_000, whole=True),
    "seed": Range(0, 2**31 - 1, whole=True),
    "nthread": Range(1, 1_024, whole=True),
}
SWITCHES = ("external_memory",)
IGNORED = ("_tuning_objective_metric",)  # SageMaker's tuning adds it to every trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """`lambda_` is XGBoost's lambda; nthread None: as many threads as the platform grants.

    With `external_memory` the training rows are quantised into a cache on the storage volume.
    """

    kind: str
    max_depth: int = 6
    eta: float = 0.1
    subsample: float = 0.9
    colsample_bytree: float = 0.9
    min_child_weight: float = 1.0
    gamma: float = 0.0
    alpha: float = 0.0
    lambda_: float = 1.0
    num_round: int = 300
    early_stopping_rounds: int = 10
    seed: int = 7
    nthread: int | None = None
    external_memory: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Hyperparameters:
        """Raises UnusableInput for an unknown name, a missing or wrong kind, or a value outside its range."""
        kind = given.get("kind", "")
        if kind not in KINDS:
            raise UnusableInput(f"hyperparameter kind is {shown(kind)}; give one of {', '.join(KINDS)}")
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name == "kind" or name in IGNORED:
                continue
            if name in SWITCHES:
                values[name] = _switch(name, text)
                continue
            allowed = TUNED.get(name) or FIXED.get(name)
            if allowed is None:
                known = ", ".join((*TUNED, *FIXED, *SWITCHES))
                raise UnusableInput(f"unknown hyperparameter {shown(name)} = {shown(text)}; known are kind, {known}")
            values["lambda_" if name == "lambda" else name] = _number(name, text, allowed)
        return cls(kind=kind, **values)

    def booster_parameters(self) -> dict[str, Any]:
        """The tuned ones by XGBoost's names."""
        values = asdict(self)
        return {name: values["lambda_" if name == "lambda" else name] for name in TUNED}


def _switch(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise UnusableInput(f"hyperparameter {name} is {text!r}; give true or false")
    return text == "true"


def _number(name: str, text: str, allowed: Range) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not allowed.low <= value <= allowed.high or (allowed.whole and value != int(value)):
        kind = "a whole number" if allowed.whole else "a number"
        raise UnusableInput(
            f"hyperparameter {name} is {shown(text)}; give {kind} from {allowed.low:g} to {allowed.high:g}"
        )
    return int(value) if allowed.whole else value
