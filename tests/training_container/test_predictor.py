from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from tests.training_container.conftest import Pipeline
from training_container.predictor import Predictor
from training_container.split_file import Split


def rows_of(pipeline: Pipeline) -> np.ndarray:
    """Test rows, one without any known value."""
    rows = Split.read(pipeline.features / "columnar", "test").X[:40].copy()
    rows[3] = np.nan
    return rows


def test_risk_answers_are_the_stored_trees_and_their_strongest_reasons(pipeline: Pipeline):
    rows, booster = rows_of(pipeline), xgb.Booster(model_file=str(pipeline.models["risk"] / "model.ubj"))
    temperature = json.loads((pipeline.models["risk"] / "model.json").read_text())["temperature"]
    powers = np.exp(booster.predict(xgb.DMatrix(rows), output_margin=True).astype(float) / temperature)
    expected = powers / powers.sum(axis=1, keepdims=True)
    shap = booster.predict(xgb.DMatrix(rows), pred_contribs=True)[np.arange(len(rows)), expected.argmax(axis=1), :-1]

    answers = Predictor.load(pipeline.models["risk"]).answers(rows)

    for answer, row, shares, values in zip(answers, rows, expected, shap, strict=True):
        levels = ("low", "medium", "high", "critical")
        assert answer["risk_level"] == levels[shares.argmax()]
        assert answer["confidence"] == max(answer["probabilities"].values())
        assert answer["probabilities"] == pytest.approx(dict(zip(levels, shares, strict=True)), abs=1e-5)
        reasons = answer["contributions"]
        assert [r["contribution"] for r in reasons] == pytest.approx(
            sorted(values, key=lambda value: -abs(value))[:5], abs=1e-5
        )
        for reason in reasons:
            place = FEATURE_NAMES.index(reason["feature"])
            assert reason["contribution"] == pytest.approx(values[place], abs=1e-5)
            assert reason["value"] == (None if np.isnan(row[place]) else row[place])
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers


def test_performance_answers_are_the_stored_trees_their_spread_and_their_reasons(pipeline: Pipeline):
    folder, rows = pipeline.models["performance"], rows_of(pipeline)
    middle, spread = (xgb.Booster(model_file=str(folder / name)) for name in ("model.ubj", "spread.ubj"))
    data = xgb.DMatrix(rows)
    quantile = json.loads((folder / "model.json").read_text())["conformal_quantile"]
    scores = middle.predict(data).clip(0, 100)
    low, high = spread.predict(data).T
    half = quantile * np.maximum(np.abs(high - low), 0.1)
    shap = middle.predict(data, pred_contribs=True)[:, :-1]

    answers = Predictor.load(folder).answers(rows)

    for answer, score, width, values in zip(answers, scores, half, shap, strict=True):
        interval = answer["interval"]
        assert answer["performance_score"] == pytest.approx(score, rel=1e-5)
        assert interval["lower"] == pytest.approx(max(score - width, 0), abs=1e-3)
        assert interval["upper"] == pytest.approx(min(score + width, 100), abs=1e-3)
        assert answer["confidence"] == pytest.approx(1 - (interval["upper"] - interval["lower"]) / 100)
        assert [r["contribution"] for r in answer["contributions"]] == pytest.approx(
            sorted(values, key=lambda value: -abs(value))[:5], rel=1e-4, abs=1e-4
        )


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_a_row_is_answered_alike_alone_and_among_others(pipeline: Pipeline, kind: str):
    predictor, rows = Predictor.load(pipeline.models[kind]), rows_of(pipeline)
    assert [predictor.answers(rows[i : i + 1])[0] for i in range(len(rows))] == predictor.answers(rows)


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_golden_rows_are_answered_as_at_training_and_a_lost_expectation_is_a_mismatch(
    pipeline: Pipeline, tmp_path: Path, kind: str
):
    folder = Path(shutil.copytree(pipeline.models[kind], tmp_path / kind))
    predictor = Predictor.load(folder)
    assert predictor.golden_mismatch(folder) == ""

    golden = json.loads((folder / "golden.json").read_text())
    golden["predictions"][4] = {}
    (folder / "golden.json").write_text(json.dumps(golden))
    assert predictor.golden_mismatch(folder).startswith("golden row 5: ")


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_a_predictor_of_xgboosts_own_trees_answers_the_same(pipeline: Pipeline, kind: str):
    rows = rows_of(pipeline)
    compiled, own = Predictor.load(pipeline.models[kind]), Predictor.uncompiled(pipeline.models[kind])

    assert own.answers(rows, explain=False) == compiled.answers(rows, explain=False)
    outputs = np.arange(len(rows)) % (4 if kind == "risk" else 1)
    np.testing.assert_allclose(
        own.reasons(rows, outputs).contributions, compiled.reasons(rows, outputs).contributions, rtol=1e-4, atol=1e-4
    )
