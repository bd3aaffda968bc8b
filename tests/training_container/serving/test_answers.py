from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insights.feature_table import FEATURES
from tests.training_container.conftest import Pipeline
from training_container.model_folder import read_golden
from training_container.predictor import Predictor
from training_container.serving.answers import answers_of


def flat(answer: Any) -> list[Any]:
    """Keys and leaves in their order."""
    if isinstance(answer, dict):
        return [part for name, value in answer.items() for part in (name, *flat(value))]
    return [part for value in answer for part in flat(value)] if isinstance(answer, list) else [answer]


def random_rows(count: int) -> np.ndarray[Any, Any]:
    """Values over the orders of magnitude of every feature, a fifth of them unknown."""
    random = np.random.default_rng(3)
    rows = np.exp(random.normal(0, 4, (count, len(FEATURES))))
    rows = np.clip(rows, [max(f.minimum, -1e9) for f in FEATURES], [min(f.maximum, 1e9) for f in FEATURES])
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows.astype(np.float32)


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_the_server_gives_the_predictors_answers(pipeline: Pipeline, kind: str):
    predictor = Predictor.load(pipeline.models[kind])
    rows = np.concatenate([read_golden(pipeline.models[kind])[0], random_rows(300)])

    served, meant = answers_of(predictor)(rows), predictor.answers(rows)

    for left, right in zip(served, meant, strict=True):
        for found, wanted in zip(flat(left), flat(right), strict=True):
            assert found == (pytest.approx(wanted, rel=1e-12, abs=1e-12) if isinstance(wanted, float) else wanted)


def test_a_row_alone_is_answered_as_among_others(pipeline: Pipeline):
    answers = answers_of(Predictor.load(pipeline.models["risk"]))
    rows = random_rows(20)

    assert [answers(rows[i : i + 1])[0] for i in range(20)] == answers(rows)
