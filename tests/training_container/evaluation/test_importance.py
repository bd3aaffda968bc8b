from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from tests.training_container.conftest import Pipeline
from training_container.evaluation.importance import importance, left_out
from training_container.predictor import Predictor
from training_container.split_file import Split


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_a_feature_that_no_tree_asks_for_has_no_weight_and_the_first_has_most(pipeline: Pipeline, kind: str):
    predictor = Predictor.load(pipeline.models[kind])
    test = Split.read(pipeline.features / "columnar", "test").labelled(kind)

    found = importance(predictor, test)

    asked = {
        FEATURE_NAMES[int(name[1:])]
        for name in xgb.Booster(model_file=str(pipeline.models[kind] / "model.ubj")).get_score(importance_type="weight")
    }
    for measure in ("permutation", "mean_abs_shap"):
        values = found[measure]
        assert set(values) == set(FEATURE_NAMES)
        assert list(values.values()) == sorted(values.values(), reverse=True)
        assert [values[name] for name in FEATURE_NAMES if name not in asked] == pytest.approx(
            [0] * (25 - len(asked)), abs=1e-6
        )
        assert max(values.values()) > 0


def test_leaving_a_feature_out_takes_it_from_training_and_from_judging(pipeline: Pipeline):
    splits = {name: Split.read(pipeline.features / "columnar", name) for name in ("train", "test")}

    def blank(fitted: dict[str, Split], test: Split) -> list[list[bool]]:
        return [np.isnan(rows.X).all(axis=0).tolist() for rows in (fitted["train"], test)]

    before = np.array(blank(splits, splits["test"]))
    for place, (name, after) in enumerate(left_out(lambda given: given, splits, blank)):
        before_without = before.copy()
        before_without[:, place] = True
        assert np.array_equal(after, before_without), name
