"""How good a model is on rows it never saw; scikit-learn's definitions wherever it has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from insights.schema import RISK_LEVELS

Levels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CALIBRATION_BINS = 15
ALL_LEVELS = list(range(len(RISK_LEVELS)))


def level_metrics(true: Levels, predicted: Levels) -> dict[str, Any]:
    """What needs no probability. Macro-F1 is over the levels that occur in the truth."""
    present = np.unique(true).tolist()
    return {
        "accuracy": float(sk.accuracy_score(true, predicted)),
        "balanced_accuracy": float(sk.recall_score(true, predicted, labels=present, average="macro", zero_division=0)),
        "macro_f1": float(sk.f1_score(true, predicted, labels=present, average="macro", zero_division=0)),
    }


def risk_metrics(true: Levels, probabilities: Floats) -> dict[str, Any]:
    """All of level_metrics, per class, confusion matrix (rows true, columns predicted), and the probabilities' quality."""
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        true, predicted, labels=ALL_LEVELS, zero_division=0
    )
    per_class = {
        level: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
        }
        for i, level in enumerate(RISK_LEVELS)
    }
    return {
        **level_metrics(true, predicted),
        **({"recall_critical": float(recall[-1])} if support[-1] else {}),
        "per_class": per_class,
        "confusion_matrix": sk.confusion_matrix(true, predicted, labels=ALL_LEVELS).tolist(),
        "log_loss": float(sk.log_loss(true, probabilities, labels=ALL_LEVELS)),
        "brier": float(np.mean(np.sum((probabilities - np.eye(len(RISK_LEVELS))[true]) ** 2, axis=1))),
        "expected_calibration_error": expected_calibration_error(true, probabilities),
    }


def expected_calibration_error(true: Levels, probabilities: Floats) -> float:
    """Mean gap between confidence and accuracy over 15 equal bins of confidence (Naeini 2015, Guo 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    bins = confidence_bins(probabilities)
    gaps = [np.mean(bins == b) * abs(right[bins == b].mean() - confidence[bins == b].mean()) for b in np.unique(bins)]
    return float(np.sum(gaps))


def confidence_bins(probabilities: Floats) -> Levels:
    """(n,) which of the 15 equal bins the confidence of a row falls into."""
    bins: Levels = np.minimum((probabilities.max(axis=1) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return bins


def curve_metrics(true: Levels, probabilities: Floats) -> dict[str, dict[str, float]]:
    """Area under the ROC curve and average precision, each level against the rest, where rows of both are there."""
    areas: dict[str, dict[str, float]] = {"roc_auc": {}, "average_precision": {}}
    for index, level in enumerate(RISK_LEVELS):
        positive = true == index
        if positive.any() and not positive.all():
            areas["roc_auc"][level] = float(sk.roc_auc_score(positive, probabilities[:, index]))
            areas["average_precision"][level] = float(sk.average_precision_score(positive, probabilities[:, index]))
    return areas


def score_metrics(true: Floats, predicted: Floats) -> dict[str, float]:
    """Errors in score points (0-100)."""
    return {
        "rmse": float(sk.root_mean_squared_error(true, predicted)),
        "mae": float(sk.mean_absolute_error(true, predicted)),
        "r2": float(sk.r2_score(true, predicted)) if len(true) > 1 else 0.0,
    }


def interval_metrics(true: Floats, lower: Floats, upper: Floats) -> dict[str, float]:
    return {
        "interval_coverage": float(np.mean((true >= lower) & (true <= upper))),
        "interval_width": float(np.mean(upper - lower)),
    }
