"""The metrics of metrics.py on every resample of the bootstrap at once; with no resampling both are equal (tested)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from insights.schema import RISK_LEVELS
from training_container.evaluation.bootstrap import DeviceBootstrap, Floats, ratio
from training_container.evaluation.metrics import CALIBRATION_BINS, Levels, confidence_bins

LEVELS = len(RISK_LEVELS)
CRITICAL = LEVELS - 1
CURVE_STEPS = 500


def resampled_levels(bootstrap: DeviceBootstrap, true: Levels, predicted: Levels) -> dict[str, Floats]:
    """Each (resamples,), from the confusion matrix of each resample. Means over levels are over those that occur."""
    matrix = bootstrap.cells(true * LEVELS + predicted, LEVELS * LEVELS).reshape(-1, LEVELS, LEVELS)
    hits = np.diagonal(matrix, axis1=1, axis2=2)
    happened, said = matrix.sum(axis=2), matrix.sum(axis=1)
    recall = ratio(hits, happened)
    f1 = np.where(happened > 0, ratio(2 * hits, happened + said), np.nan)
    return {
        "accuracy": hits.sum(axis=1) / happened.sum(axis=1),
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "recall_critical": recall[:, CRITICAL],
    }


def resampled_risk(bootstrap: DeviceBootstrap, true: Levels, probabilities: Floats) -> dict[str, Floats]:
    right = probabilities.argmax(axis=1) == true
    chosen = np.take_along_axis(probabilities, true[:, None], axis=1)[:, 0]
    gaps = bootstrap.cells(confidence_bins(probabilities), CALIBRATION_BINS, right - probabilities.max(axis=1))
    return {
        **resampled_levels(bootstrap, true, probabilities.argmax(axis=1)),
        "log_loss": bootstrap.means(-np.log(np.maximum(chosen, np.finfo(np.float64).eps))),
        "brier": bootstrap.means(np.sum((probabilities - np.eye(LEVELS)[true]) ** 2, axis=1)),
        "expected_calibration_error": np.abs(gaps).sum(axis=1) / bootstrap.sums(np.ones(len(true))),
    }


def resampled_curves(bootstrap: DeviceBootstrap, positive: npt.NDArray[np.bool_], score: Floats) -> dict[str, Floats]:
    """Area under the ROC curve and average precision of one level against the rest, on at most 500 thresholds."""
    thresholds = np.unique(np.quantile(score, np.linspace(0, 1, CURVE_STEPS)))
    step = np.searchsorted(thresholds, score, side="right") - 1
    hits, misses = (bootstrap.cells(step, len(thresholds), among)[:, ::-1] for among in (positive, ~positive))
    hits_before = np.cumsum(hits, axis=1) - hits
    area = np.sum(misses * (hits_before + hits / 2), axis=1)
    precision = np.nan_to_num(ratio(np.cumsum(hits, axis=1), np.cumsum(hits + misses, axis=1)))
    return {
        "roc_auc": ratio(area, hits.sum(axis=1) * misses.sum(axis=1)),
        "average_precision": ratio(np.sum(hits * precision, axis=1), hits.sum(axis=1)),
    }


def resampled_scores(bootstrap: DeviceBootstrap, true: Floats, predicted: Floats) -> dict[str, Floats]:
    rows = bootstrap.sums(np.ones(len(true)))
    squares = bootstrap.sums((true - predicted) ** 2)
    spread = bootstrap.sums(true**2) - bootstrap.sums(true) ** 2 / rows
    return {
        "rmse": np.sqrt(squares / rows),
        "mae": bootstrap.sums(np.abs(true - predicted)) / rows,
        "r2": 1 - ratio(squares, np.where(spread > 1e-9, spread, 0.0)),
    }


def resampled_intervals(bootstrap: DeviceBootstrap, true: Floats, lower: Floats, upper: Floats) -> dict[str, Floats]:
    return {
        "interval_coverage": bootstrap.means((true >= lower) & (true <= upper)),
        "interval_width": bootstrap.means(upper - lower),
    }
