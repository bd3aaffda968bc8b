"""Calibration on devices that neither trained nor stopped the model: probabilities that mean it, intervals that cover."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from scipy.optimize import minimize_scalar

from training_container.errors import UnusableInput
from training_container.predictor import INTERVAL_LEVEL, SCORE_RANGE, positive_spread
from training_container.split_file import Split

Floats = npt.NDArray[np.float64]

SPREAD_ROUNDS = 50  # shallow and few: a tenth of a trial's time at most
LOG_TEMPERATURE_LIMITS = (-2.0, 2.0)


def fit_temperature(margins: Floats, levels: npt.NDArray[np.int8]) -> float:
    """The one divisor of the margins (n, 4) that minimises log loss (Guo et al. 2017)."""

    def log_loss(log_temperature: float) -> float:
        scaled = margins / math.exp(log_temperature)
        largest = scaled.max(axis=1)
        normaliser = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float(np.mean(normaliser - scaled[np.arange(len(levels)), levels]))

    return math.exp(minimize_scalar(log_loss, bounds=LOG_TEMPERATURE_LIMITS, method="bounded").x)


def fit_spread(booster: xgb.Booster, split: Split, *, seed: int, threads: int) -> xgb.Booster:
    """A small model of the residual's size, fitted where the main model did not train."""
    residuals = np.abs(split.score - _scores(booster, split))
    settings: dict[str, Any] = {
        "objective": "reg:absoluteerror",
        "tree_method": "hist",
        "max_depth": 3,
        "eta": 0.1,
        "min_child_weight": 10,
        "seed": seed,
        "nthread": threads,
    }
    return xgb.train(settings, xgb.DMatrix(split.X, label=residuals, nthread=threads), num_boost_round=SPREAD_ROUNDS)


def conformal_quantile(booster: xgb.Booster, spread: xgb.Booster, split: Split) -> float:
    """The factor on the predicted spread that covers 90% of the calibration rows, with the finite-sample correction.

    UnusableInput where there are too few rows for any factor to promise that.
    """
    ratios = np.abs(split.score - _scores(booster, split)) / positive_spread(spread.inplace_predict(split.X))
    rank = math.ceil((len(ratios) + 1) * INTERVAL_LEVEL)
    if rank > len(ratios):
        raise UnusableInput(
            f"the calibration split has {len(ratios)} scored rows, too few for an interval that covers "
            f"{INTERVAL_LEVEL:.0%} (9 at least); the source needs longer histories or labels"
        )
    return float(np.sort(ratios)[rank - 1])


def _scores(booster: xgb.Booster, split: Split) -> Floats:
    clipped: Floats = np.clip(booster.inplace_predict(split.X).astype(np.float64), *SCORE_RANGE)
    return clipped
