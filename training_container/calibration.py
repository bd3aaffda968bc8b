"""Calibration on devices that neither trained nor stopped the model: probabilities that mean it, intervals that cover."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from scipy.optimize import minimize_scalar

from training_container.errors import UnusableInput
from training_container.mapped_rows import Rows, blocks
from training_container.matrices import quantised
from training_container.predictor import INTERVAL_LEVEL, SCORE_RANGE, spread_width
from training_container.split_file import Split

Floats = npt.NDArray[np.float64]

SPREAD_QUANTILES = (0.05, 0.95)
SPREAD_ROUNDS = 100  # at most, of shallow trees: a trial must not wait for its interval
MOST_STOPPING_ROWS = 200_000  # of the validation split, evenly spaced: they only say when to stop
LOG_TEMPERATURE_LIMITS = (-2.0, 2.0)


def fit_temperature(margins: Floats, levels: npt.NDArray[np.int8]) -> float:
    """The one divisor of the margins (n, 4) that minimises log loss (Guo et al. 2017)."""

    def log_loss(log_temperature: float) -> float:
        scaled = margins / math.exp(log_temperature)
        largest = scaled.max(axis=1)
        normaliser = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float(np.mean(normaliser - scaled[np.arange(len(levels)), levels]))

    return math.exp(minimize_scalar(log_loss, bounds=LOG_TEMPERATURE_LIMITS, method="bounded").x)


def fit_spread(
    rows: Rows, scores: npt.NDArray[np.float32], validation: Split, *, seed: int, threads: int
) -> xgb.Booster:
    """The 5% and 95% quantiles of the score by pinball loss (Koenker 1978), from rows that trained the main model.

    Its width says how sure the score is. The held-out devices have no part in it but to stop it, so that the factor
    they then give is not their own echo. On one host: over several, XGBoost takes the mean of the hosts' quantiles for a
    leaf, which is another model (measured).
    """
    settings: dict[str, Any] = {
        "objective": "reg:quantileerror",
        "quantile_alpha": np.array(SPREAD_QUANTILES),
        "tree_method": "hist",
        "max_depth": 3,
        "eta": 0.1,
        "min_child_weight": 10,
        "seed": seed,
        "nthread": threads,
    }
    learnt = quantised(rows, scores, threads=threads)
    step = -(-len(validation) // MOST_STOPPING_ROWS)
    stopping = quantised(validation.X[::step], validation.score[::step], threads=threads, ref=learnt)
    spread = xgb.train(
        settings,
        learnt,
        num_boost_round=SPREAD_ROUNDS,
        evals=[(stopping, "validation")],
        early_stopping_rounds=10,
        verbose_eval=False,
    )
    spread.feature_names = None
    return spread[: spread.best_iteration + 1]


def fit_interval(booster: xgb.Booster, spread: xgb.Booster, held_out: Sequence[Split]) -> float:
    """The factor on the spread that covers 90% of rows of devices that trained neither.

    Normalised split conformal (Lei 2018) on the validation and calibration devices together: the calibration split's
    alone are so few that one of them moves the factor. UnusableInput where there are too few rows to promise anything.
    """
    return conformal_quantile(
        np.concatenate(
            [
                np.abs(score - _scores(booster, X)) / spread_width(spread.inplace_predict(X))
                for split in held_out
                for X, score in _scored_blocks(split)
            ]
        )
    )


def conformal_quantile(ratios: Floats) -> float:
    """The smallest factor that covers 90% of the rows, with the finite-sample correction."""
    rank = math.ceil((len(ratios) + 1) * INTERVAL_LEVEL)
    if rank > len(ratios):
        raise UnusableInput(
            f"the validation and calibration splits have {len(ratios)} scored rows, too few for an interval that "
            f"covers {INTERVAL_LEVEL:.0%} (9 at least); the source needs longer histories or labels"
        )
    return float(np.sort(ratios)[rank - 1])


def _scored_blocks(split: Split) -> Iterator[tuple[Rows, npt.NDArray[np.float32]]]:
    begin = 0
    for X in blocks(split.X):
        yield X, split.score[begin : begin + len(X)]
        begin += len(X)


def _scores(booster: xgb.Booster, X: Rows) -> Floats:
    clipped: Floats = np.clip(booster.inplace_predict(X).astype(np.float64), *SCORE_RANGE)
    return clipped
