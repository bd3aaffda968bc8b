"""Where hyperparameters may lie and what to try next: ranges as the API gives them, suggestions by Optuna."""

from __future__ import annotations

import itertools
import math
import random
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.sagemaker.errors import validation

DEFAULT_SEED = 0
LOGARITHMIC_FROM_RATIO = 100.0
"""Auto scaling: AWS chooses by its own judgement; here two orders of magnitude above zero make a range logarithmic."""

RangeKind = Literal["Integer", "Continuous", "Categorical"]


@dataclass(frozen=True)
class Range:
    """One searched hyperparameter; `low` and `high` are meaningless for categories."""

    name: str
    kind: RangeKind
    low: float = 0.0
    high: float = 0.0
    scaling: str = "Linear"
    values: tuple[str, ...] = ()

    def suggest(self, trial: Any) -> str:
        """The text that the training job gets."""
        if self.kind == "Categorical":
            return str(trial.suggest_categorical(self.name, list(self.values)))
        logarithmic = self.scaling == "Logarithmic"
        if self.kind == "Integer":
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), log=logarithmic))
        if self.scaling == "ReverseLogarithmic":
            # close to `high` the values lie dense: 0.9, 0.99, 0.999
            return repr(1.0 - trial.suggest_float(self.name, 1.0 - self.high, 1.0 - self.low, log=True))
        return repr(trial.suggest_float(self.name, self.low, self.high, log=logarithmic))

    def count(self) -> float:
        """How many different values there are."""
        if self.kind == "Categorical":
            return len(self.values)
        return self.high - self.low + 1 if self.kind == "Integer" or self.low == self.high else math.inf


def ranges_of(parameter_ranges: Mapping[str, Any]) -> dict[str, Range]:
    """Raises ValidationException for ends that are no numbers or the wrong way round, and for names given twice."""
    found: dict[str, Range] = {}
    kinds: tuple[RangeKind, ...] = ("Integer", "Continuous", "Categorical")
    for kind in kinds:
        for entry in parameter_ranges.get(f"{kind}ParameterRanges", []):
            if entry["Name"] in found:
                raise validation(f"The hyperparameter {entry['Name']} has more than one range.")
            found[entry["Name"]] = _range(kind, entry)
    return found


def _range(kind: RangeKind, entry: Mapping[str, Any]) -> Range:
    name = entry["Name"]
    if kind == "Categorical":
        return Range(name, kind, values=tuple(entry["Values"]))
    try:
        convert = int if kind == "Integer" else float
        low, high = convert(entry["MinValue"]), convert(entry["MaxValue"])
    except ValueError:
        raise validation(f"The range of hyperparameter {name} must have {kind.lower()} numbers as its ends.") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise validation(f"The range of hyperparameter {name} must have MinValue <= MaxValue.")
    scaling = _scaling(name, kind, entry.get("ScalingType", "Auto"), low, high)
    return Range(name, kind, low, high, scaling)


def _scaling(name: str, kind: RangeKind, wanted: str, low: float, high: float) -> str:
    if wanted == "Auto":
        return "Logarithmic" if low > 0 and high / low >= LOGARITHMIC_FROM_RATIO else "Linear"
    if wanted == "Logarithmic" and low <= 0:
        raise validation(f"The range of hyperparameter {name} must lie above 0 for Logarithmic scaling.")
    if wanted == "ReverseLogarithmic" and not (kind == "Continuous" and low >= 0 and high < 1):
        raise validation(f"The range of hyperparameter {name} must lie in [0, 1) for ReverseLogarithmic scaling.")
    return wanted


class Search:
    """Asks for the next hyperparameters and learns how they did; for any number of threads."""

    def __init__(
        self, ranges: Mapping[str, Range], *, strategy: str, objective: Mapping[str, str], seed: int | None
    ) -> None:
        self._ranges = ranges
        self._lock = threading.Lock()
        self._study = _study(ranges, strategy, objective["Type"].lower(), DEFAULT_SEED if seed is None else seed)

    def suggest(self) -> tuple[Any, dict[str, str]]:
        """A trial to tell about and its hyperparameters, by what has been told so far."""
        with self._lock:
            trial = self._study.ask()
            return trial, {name: span.suggest(trial) for name, span in self._ranges.items()}

    def tell(self, trial: Any, value: float | None) -> None:
        """The trial's objective, or None when it has none."""
        from optuna.trial import TrialState

        with self._lock:
            if value is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)


def _study(ranges: Mapping[str, Range], strategy: str, direction: str, seed: int) -> Any:
    import optuna  # slow to import; the server starts without it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of these samplers' options being experimental
        if strategy == "Bayesian":
            # constant_liar: trials that still run count as bad, so that five at once do not try the same place
            sampler: Any = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        else:
            sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.create_study(sampler=sampler, direction=direction)
        for combination in grid(ranges, seed) if strategy == "Grid" else ():
            study.enqueue_trial(combination)
    return study


def grid(ranges: Mapping[str, Range], seed: int) -> list[dict[str, str]]:
    """Every combination of the categories, in an order that tells early what all of them are like."""
    found = [
        dict(zip(ranges, values, strict=True)) for values in itertools.product(*(s.values for s in ranges.values()))
    ]
    random.Random(seed).shuffle(found)
    return found


def combinations(ranges: Mapping[str, Range]) -> float:
    return math.prod(span.count() for span in ranges.values())
