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
FOLDS = 5
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


def fit_interval(booster: xgb.Booster, held_out: Split, *, seed: int, threads: int) -> tuple[xgb.Booster, float]:
    """The model of the residual's size and the factor on it that covers 90% of rows of devices it never saw.

    Cross-conformal (Vovk 2015) over the groups of devices that did not train the booster: each of five folds is
    measured by a spread fitted on the others, the spread that is kept is fitted on all. With one fold for the factor
    and the rest for the spread, the few devices of the fold would decide what the interval covers. UnusableInput where
    there are too few rows for any factor to promise it.
    """
    ratios = np.empty(len(held_out))
    fold = _folds(held_out, seed)
    for number in np.unique(fold):
        spread = fit_spread(booster, held_out.take(fold != number), seed=seed, threads=threads)
        rows = held_out.take(fold == number)
        residuals = np.abs(rows.score - _scores(booster, rows))
        ratios[fold == number] = residuals / positive_spread(spread.inplace_predict(rows.X))
    return fit_spread(booster, held_out, seed=seed, threads=threads), conformal_quantile(ratios)


def conformal_quantile(ratios: Floats) -> float:
    """The smallest factor that covers 90% of the rows, with the finite-sample correction."""
    rank = math.ceil((len(ratios) + 1) * INTERVAL_LEVEL)
    if rank > len(ratios):
        raise UnusableInput(
            f"the validation and calibration splits have {len(ratios)} scored rows, too few for an interval that "
            f"covers {INTERVAL_LEVEL:.0%} (9 at least); the source needs longer histories or labels"
        )
    return float(np.sort(ratios)[rank - 1])


def _folds(held_out: Split, seed: int) -> npt.NDArray[np.int64]:
    """(n,) the fold of each row; groups of devices stay whole. A single one (split by time) is cut into two halves."""
    names, group = np.unique(held_out.group(), return_inverse=True)
    if len(names) == 1:
        return np.arange(len(held_out)) * 2 // len(held_out)
    place = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    fold: npt.NDArray[np.int64] = place[group]
    return fold


def _scores(booster: xgb.Booster, split: Split) -> Floats:
    clipped: Floats = np.clip(booster.inplace_predict(split.X).astype(np.float64), *SCORE_RANGE)
    return clipped
