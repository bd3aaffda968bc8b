"""baseline.npz of the model folder: what later periods are compared with, and the model's own answers to held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from insights.drift_baseline import Baseline, OtherFeatureTable, prediction_edges
from insights.schema import shown
from training_container.errors import BROKEN_ARRAYS, UnusableInput
from training_container.learnt_rows import LearntRows
from training_container.mapped_rows import blocks
from training_container.predictor import Predictor
from training_container.split_file import Split

BASELINE: Final = "baseline.npz"


def write_baseline(folder: Path, predictor: Predictor, learnt: LearntRows, held_out: Sequence[Split]) -> None:
    """From every row that training was given; only the held-out ones carry what the model says to them."""
    kept = learnt.sampled
    is_held_out = kept.held_out >= 0
    predictions = np.full(len(kept.unit), np.nan)
    predictions[is_held_out] = said(predictor, kept.X[is_held_out])
    of_predictions = prediction_edges(
        predictor.kind,
        # A risk model's bins are its levels, whatever it says.
        np.empty(0)
        if predictor.kind == "risk"
        else np.concatenate([said(predictor, rows) for split in held_out for rows in blocks(split.X)]),
    )
    baseline = Baseline.of(
        predictor.kind,
        [*learnt.edges, of_predictions],
        kept.X,
        kept.unit,
        predictions,
        training_rows=learnt.count + sum(map(len, held_out)),
    )
    np.savez_compressed(folder / BASELINE, **baseline.to_arrays())  # type: ignore[arg-type]


class NoBaseline(UnusableInput):
    """The model was trained before there were baselines: it serves as ever, and nothing can be compared with it."""


def read_baseline(folder: Path) -> Baseline:
    """NoBaseline, or UnusableInput for a damaged one and for one of another feature table."""
    path = folder / BASELINE
    if not path.is_file():
        raise NoBaseline(
            f"the model carries no {BASELINE}: it was trained by an older version; train again to watch it"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Baseline.from_arrays(arrays)
    except OtherFeatureTable as refused:
        raise UnusableInput(
            f"{path}: {refused}; watch with the image that trained the model, or train again"
        ) from refused
    except BROKEN_ARRAYS as error:
        raise UnusableInput(f"{path} is no baseline: {shown(error, 300)}; train again") from error


def said(predictor: Predictor, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(n,) the place of each row's level in RISK_LEVELS, or its score."""
    if predictor.kind == "risk":
        return predictor.probabilities(rows).argmax(axis=1).astype(np.float64)
    return predictor.scores(rows)
