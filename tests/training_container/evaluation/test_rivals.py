from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insights.preprocessing import Preprocessing
from tests.training_container.conftest import Pipeline
from training_container.evaluation.rivals import performance_rivals, risk_rivals
from training_container.model_folder import read_preprocessing
from training_container.split_file import Split


@pytest.fixture
def train(pipeline: Pipeline) -> Split:
    return Split.read(pipeline.features / "columnar", "train")


@pytest.fixture
def test_rows(pipeline: Pipeline) -> Split:
    return Split.read(pipeline.features / "columnar", "test")


@pytest.fixture
def preprocessing(pipeline: Pipeline) -> Preprocessing:
    return read_preprocessing(pipeline.models["risk"])


def test_a_sample_of_one_level_leaves_the_logistic_rival_saying_that_level(train: Split, preprocessing: Preprocessing):
    only_low = train.take(train.risk == 0)
    assert set(risk_rivals(only_low, only_low, preprocessing)["logistic"].tolist()) == {0}


def test_the_lookup_says_what_most_often_followed_the_state(train: Split, preprocessing: Preprocessing):
    # medium persists in training, but what follows it is high
    followed = replace(
        train,
        persistence_risk=np.where(np.arange(len(train)) % 2, 1, 0).astype(np.int8),
        persistence_score=np.full(len(train), 70, np.float32),
        breach=np.zeros(len(train), np.int8),
        risk=np.where(np.arange(len(train)) % 2, 2, 0).astype(np.int8),
    )

    said = risk_rivals(followed, followed, preprocessing)

    assert np.array_equal(said["lookup"], followed.risk)
    assert np.mean(said["persistence"] == followed.risk) == pytest.approx(0.5, abs=0.01)


def test_a_state_never_met_in_training_is_answered_with_the_commonest_level(train: Split, preprocessing: Preprocessing):
    strange = replace(
        train.take(np.array([0])), persistence_risk=np.array([3], np.int8), breach=np.array([-1], np.int8)
    )
    seen = replace(train, breach=np.zeros(len(train), np.int8))

    commonest = np.bincount(train.risk.astype(np.int64)).argmax()

    assert risk_rivals(seen, strange, preprocessing)["lookup"].tolist() == [commonest]


def test_the_score_lookup_bends_persistence_to_the_mean_that_followed(train: Split, preprocessing: Preprocessing):
    shifted = replace(train, score=(train.persistence_score * 0.5).astype(np.float32))
    known = shifted.take(~np.isnan(shifted.persistence_score))

    said = performance_rivals(known, known, preprocessing)

    assert np.abs(said["lookup"] - known.score).mean() < 0.2 * np.abs(said["persistence"] - known.score).mean()


def test_the_oracle_competes_only_where_it_knows_every_row(
    test_rows: Split, train: Split, preprocessing: Preprocessing
):
    unknown = replace(test_rows, oracle_risk=test_rows.oracle_risk.copy())
    unknown.oracle_risk[0] = -1

    assert "oracle" in risk_rivals(train, test_rows, preprocessing)
    assert "oracle" not in risk_rivals(train, unknown, preprocessing)


def test_where_persistence_is_unknown_the_rivals_say_what_is_commonest(
    test_rows: Split, train: Split, preprocessing: Preprocessing
):
    blind = replace(
        test_rows,
        persistence_risk=np.full(len(test_rows), -1, np.int8),
        persistence_score=np.full(len(test_rows), np.nan, np.float32),
    )

    risk, performance = risk_rivals(train, blind, preprocessing), performance_rivals(train, blind, preprocessing)

    assert np.array_equal(risk["persistence"], risk["majority"])
    assert performance["persistence"] == pytest.approx(performance["mean"])
    assert np.isfinite(performance["lookup"]).all()
