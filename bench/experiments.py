"""The stopping rule of experiments, simulated: how often it promotes a challenger that is no better, how often it finds one
that is, and after how many days.

What a device's predictions lose is a model's own loss on the synthetic fleet: trained on 10,000 records of the default
seed, asked about FLEET_RECORDS of another. A simulated device draws a window of 64 of its rows as itself; each day it is
that window again (half of the days: what is particular to it lasts) or another one of its class. The rule looks every day.
A challenger's losses are the live model's less `gain`. SIMULATIONS (1000) of each, from a seed.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from bench.material.fleets import fleet, splits_of, whole
from bench.material.table import keep, show
from bench.material.tuned import silent, tuned
from insights.experiments import CHALLENGER, DEFAULT_RULE, LIVE, Arm, Decision, verdict

TRAINED, DEFAULT_SEED = 10_000, 7
FLEET_RECORDS, FLEET_SEED, SIMULATION_SEED = 51_200, 5_001, 11
KINDS = ("risk", "performance")
DESIGNS: Final = ((200, 50), (1_000, 10), (1_000, 50))
"""Devices of the fleet, and per cent of them with the challenger."""
GAINS: Final = (-0.10, 0.0, 0.10, 0.20, 0.40)
LASTING: Final = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Windows:
    """Mean loss of each device's window by the model, sorted by class; `first` and `count` of a class's windows."""

    loss: Floats
    of_class: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]

    @classmethod
    def of(cls, loss: Floats, device_class: npt.NDArray[np.int64]) -> Windows:
        order = np.argsort(device_class, kind="stable")
        classes, first, count = np.unique(device_class[order], return_index=True, return_counts=True)
        return cls(loss[order], np.searchsorted(classes, device_class[order]), first, count)

    def daily(self, devices: int, days: int, random: np.random.Generator) -> Floats:
        """(days, devices): the mean loss of everything known of a device until the end of each day."""
        own = random.integers(len(self.loss), size=devices)
        kind = self.of_class[own]
        others = self.first[kind] + (random.random((days, devices)) * self.count[kind]).astype(int)
        losses = np.where(random.random((days, devices)) < LASTING, self.loss[own], self.loss[others])
        return np.cumsum(losses, axis=0) / np.arange(1, days + 1)[:, None]


def main() -> None:
    simulations = int(os.environ.get("SIMULATIONS", "1000"))
    with silent():
        windows = {kind: model_windows(kind) for kind in KINDS}
    material = [
        {
            "kind": kind,
            "mean loss": float(w.loss.mean()),
            "sd between devices": float(w.loss.std()),
            "devices": len(w.loss),
        }
        for kind, w in windows.items()
    ]
    found = [
        {"kind": kind, "devices": devices, "share_percent": share, "gain": gain, **outcome}
        for kind in KINDS
        for devices, share in DESIGNS
        for gain in GAINS
        for outcome in [simulated(windows[kind], devices, share, gain, simulations)]
    ]
    show("A model's loss (1 - accuracy, squared error) by device", material)
    show(f"What the rule decides, {simulations} experiments each; gain is the part of the loss", list(rows(found)))
    rule = dataclasses.asdict(DEFAULT_RULE)
    show("The rule", [rule])
    keep("experiments", {"rule": rule, "simulations": simulations, "material": material, "scenarios": found})


def model_windows(kind: str) -> Windows:
    training = {name: rows.labelled(kind) for name, rows in splits_of(fleet(TRAINED, DEFAULT_SEED)).items()}
    asked = whole(splits_of(fleet(FLEET_RECORDS, FLEET_SEED))).labelled(kind)
    with tempfile.TemporaryDirectory() as folder:
        predictor = tuned(kind, training, trials=1).written(training, Path(folder))
    if kind == "risk":
        loss = (predictor.probabilities(asked.X).argmax(axis=1) != asked.risk).astype(float)
    else:
        loss = (predictor.scores(asked.X) - asked.score.astype(float)) ** 2
    devices, place, count = np.unique(asked.device, return_inverse=True, return_counts=True)
    class_of = np.zeros(len(devices), np.int64)
    class_of[place] = asked.device_class
    return Windows.of(np.bincount(place, weights=loss) / count, class_of)


def simulated(windows: Windows, devices: int, share: int, gain: float, simulations: int) -> dict[str, Any]:
    ends: dict[Decision, list[int]] = {Decision.PROMOTE: [], Decision.DROP: []}
    random = np.random.default_rng([SIMULATION_SEED, devices, share, round(1000 * (gain + 1))])
    for _ in range(simulations):
        decision, day = one(windows, devices, share, gain, random)
        ends[decision].append(day)
    promoted = len(ends[Decision.PROMOTE])
    lower, upper = clopper_pearson(promoted, simulations)
    days = [day for given in ends.values() for day in given]
    return {
        "promoted": promoted / simulations,
        "promoted_lower": lower,
        "promoted_upper": upper,
        "dropped": len(ends[Decision.DROP]) / simulations,
        "mean_days": float(np.mean(days)),
    }


def one(windows: Windows, devices: int, share: int, gain: float, random: np.random.Generator) -> tuple[Decision, int]:
    losses = windows.daily(devices, int(DEFAULT_RULE.most_days), random)
    is_challenged = random.random(devices) < share / 100
    losses[:, is_challenged] *= 1 - gain
    by_day = zip(arms(losses[:, ~is_challenged]), arms(losses[:, is_challenged]), strict=True)
    for day, (live, challenger) in enumerate(by_day, start=1):
        decision = verdict({LIVE: live, CHALLENGER: challenger}, days=day).decision
        if decision is not Decision.CONTINUE:
            return decision, day
    raise AssertionError("an experiment ends with its last day")


def arms(losses: Floats) -> Iterator[Arm]:
    """Arm.of for each day's row."""
    count = losses.shape[1]
    for mean, variance in zip(losses.mean(axis=1), losses.var(axis=1, ddof=1), strict=True):
        yield Arm(count, float(mean), float(variance) / count)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a rate."""
    tail = (1 - level) / 2
    lower = float(beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    upper = float(beta.ppf(1 - tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return lower, upper


def rows(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for scenario in found:
        yield {
            "kind": scenario["kind"],
            "devices": scenario["devices"],
            "share %": scenario["share_percent"],
            "gain": f"{scenario['gain']:+.0%}",
            "promoted": f"{scenario['promoted']:.1%}",
            "its 95% interval": f"{scenario['promoted_lower']:.1%} to {scenario['promoted_upper']:.1%}",
            "dropped": f"{scenario['dropped']:.1%}",
            "mean days": scenario["mean_days"],
        }


if __name__ == "__main__":
    main()
