"""XGBoost's own predictions are what the compiled trees are held against; small trees also against the definition."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from training_container import compiled_trees_kernels as kernels
from training_container.booster_trees import BoosterTrees
from training_container.compiled_trees import CompiledTrees, warm_up
from training_container.errors import UnusableInput

FEATURES = 25
RISK = {"objective": "multi:softprob", "num_class": 4}
SCORE = {"objective": "reg:squarederror"}
SPREAD = {"objective": "reg:quantileerror", "quantile_alpha": [0.05, 0.95]}


def random_rows(count: int, seed: int) -> np.ndarray:
    """Coarse and fine columns of many magnitudes, a constant one, one never known, and NaN in a tenth of the cells."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, FEATURES)) * 10.0 ** random.integers(-3, 6, FEATURES)
    rows[:, ::3] = np.round(random.normal(size=rows[:, ::3].shape))
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[:, 7], rows[:, 11] = 3.0, np.nan
    return rows.astype(np.float32)


def trained(seed: int, *, rounds: int = 8, count: int = 600, **parameters: Any) -> xgb.Booster:
    random = np.random.default_rng(seed)
    rows = random_rows(count, seed)
    signal = np.nan_to_num(rows[:, 0] + rows[:, 3] * rows[:, 6]) + 3 * np.isnan(rows[:, 1]) + random.normal(size=count)
    label = np.digitize(signal, [-1, 1, 3]) if "num_class" in parameters else 40 + 9 * signal
    given = {"nthread": 1, "seed": seed, "max_depth": 6, **parameters}
    return xgb.train(given, xgb.DMatrix(rows, label=label, nthread=1), num_boost_round=rounds)


def demanding_rows(booster: xgb.Booster, seed: int) -> np.ndarray:
    """New rows, one without any known value, and rows that stand exactly at a threshold or just below it."""
    rows = random_rows(60, seed + 1_000)
    rows[0] = np.nan
    splits = booster.trees_to_dataframe().query("Feature != 'Leaf'")
    for i, (name, threshold) in enumerate(zip(splits["Feature"][:50], splits["Split"][:50], strict=True)):
        at = np.float32(threshold)
        rows[1 + i, int(name[1:])] = at if i % 2 else np.nextafter(at, np.float32(-np.inf))
    return rows


def assert_equal_to_xgboost(booster: xgb.Booster, rows: np.ndarray) -> None:
    """Margins to the last bit; contributions and bias within 1e-5 of what a row's add up to without their signs."""
    trees, data = CompiledTrees.of(booster), xgb.DMatrix(rows, nthread=1)
    margins = booster.predict(data, output_margin=True).reshape(len(rows), -1)
    shap = booster.predict(data, pred_contribs=True).reshape(*margins.shape, FEATURES + 1)
    np.testing.assert_array_equal(trees.margins(rows), margins)
    for output in range(margins.shape[1]):
        values = trees.contributions(rows, np.full(len(rows), output))
        tolerance = 1e-5 * np.abs(shap[:, output]).sum(axis=1)
        assert np.all(np.abs(values - shap[:, output, :-1]) <= tolerance[:, np.newaxis])
        assert np.all(np.abs(trees.bias[output] - shap[:, output, -1]) <= tolerance)
        assert np.all(np.abs(values.sum(axis=1) + trees.bias[output] - margins[:, output]) <= tolerance)


@pytest.mark.parametrize("objective", [RISK, SCORE], ids=["risk", "score"])
@pytest.mark.parametrize("depth", range(1, 11))
def test_trees_of_every_depth_of_the_tuning_space_say_what_xgboost_says(objective: Mapping[str, Any], depth: int):
    booster = trained(depth, **objective, max_depth=depth)
    assert_equal_to_xgboost(booster, demanding_rows(booster, depth))


@pytest.mark.parametrize(
    "parameters",
    [
        {**RISK, "subsample": 0.5, "colsample_bytree": 0.5, "gamma": 2.0, "alpha": 1.0, "min_child_weight": 5},
        {**RISK, "gamma": 1e9},  # every tree a single leaf
        {**RISK, "base_score": 0.3},
        {**RISK, "num_parallel_tree": 3, "subsample": 0.7},
        {**SCORE, "max_depth": 1, "rounds": 60},
        {**SCORE, "rounds": 1, "gamma": 1e12},
        {**SCORE, "tree_method": "exact", "gamma": 50.0},  # prunes: the model holds deleted nodes
        {**SCORE, "grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0},
        {**SCORE, "eta": 1.0, "lambda": 0.0, "min_child_weight": 0},
        {**SCORE, "base_score": -7.25},
        {**SPREAD, "max_depth": 3},
    ],
    ids=lambda parameters: ",".join(f"{name}={value}" for name, value in parameters.items() if name != "num_class"),
)
def test_whatever_training_may_be_asked_for_is_equal(parameters: dict[str, Any]):
    booster = trained(5, **parameters)
    assert_equal_to_xgboost(booster, demanding_rows(booster, 5))


@given(
    seed=st.integers(0, 2**31 - 1),
    objective=st.sampled_from([RISK, SCORE, SPREAD]),
    depth=st.integers(1, 10),
    rounds=st.integers(1, 6),
    subsample=st.floats(0.5, 1.0),
    gamma=st.sampled_from([0.0, 0.5, 5.0, 500.0]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_random_models_are_equal(seed, objective, depth, rounds, subsample, gamma):
    booster = trained(
        seed,
        count=200,
        rounds=rounds,
        **objective,
        max_depth=depth,
        subsample=subsample,
        gamma=gamma,
        min_child_weight=0.1,
    )
    assert_equal_to_xgboost(booster, demanding_rows(booster, seed))


def test_paths_of_more_than_eight_and_sixteen_features_take_more_quadrature_nodes():
    random = np.random.default_rng(1)
    rows = random.normal(size=(4_000, FEATURES)).astype(np.float32)
    label = (rows * np.arange(1, 26)).sum(axis=1)
    for depth, fours in ((8, 1), (10, 2), (18, 3)):
        given = {"max_depth": depth, "min_child_weight": 0, "colsample_bylevel": 0.3, "nthread": 1, "seed": 3}
        booster = xgb.train(given, xgb.DMatrix(rows, label=label, nthread=1), num_boost_round=4)
        assert len(CompiledTrees.of(booster).forest.weights) == fours * kernels.LANES
        assert_equal_to_xgboost(booster, rows[:50])


def test_infinities_take_the_branch_that_xgboost_gives_them():
    booster = trained(9, **SCORE)
    rows = random_rows(80, 10)
    rows[::2, 0], rows[1::2, 0], rows[::3, 3] = np.inf, -np.inf, -np.inf
    trees = CompiledTrees.of(booster)

    found = trees.margins(rows)[:, 0]

    np.testing.assert_array_equal(found, booster.inplace_predict(rows, predict_type="margin"))
    total = trees.contributions(rows, np.zeros(len(rows), np.int64)).sum(axis=1) + trees.bias[0]
    np.testing.assert_allclose(total, found, rtol=1e-5)


def expected_value(tree: Mapping[str, Any], row: np.ndarray, known: set[int], node: int = 0) -> float:
    """EXPVALUE of Lundberg et al. 2018 (Algorithm 1): an unknown feature sends the row both ways by cover."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return float(np.float32(tree["split_conditions"][node]))
    feature, cover = tree["split_indices"][node], tree["sum_hessian"]
    if feature in known:
        value = row[feature]
        goes_left = (
            tree["default_left"][node] if np.isnan(value) else value < np.float32(tree["split_conditions"][node])
        )
        return expected_value(tree, row, known, left if goes_left else right)
    return sum(cover[child] / cover[node] * expected_value(tree, row, known, child) for child in (left, right))


def test_contributions_are_the_shapley_values_of_their_definition():
    """Summed over every subset of features in float64, so closer than XGBoost itself can tell."""
    booster = trained(4, rounds=1, count=150, **SCORE, max_depth=6, min_child_weight=6)
    tree = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"][0]
    used = sorted({f for f, left in zip(tree["split_indices"], tree["left_children"], strict=True) if left >= 0})
    rows = demanding_rows(booster, 4)[:6]
    splits = sum(left >= 0 for left in tree["left_children"])
    assert 5 <= len(used) <= 12 < splits  # some feature splits again

    found = CompiledTrees.of(booster).contributions(rows, np.zeros(len(rows), np.int64))

    for row, values in zip(rows, found, strict=True):
        worth = {
            subset: expected_value(tree, row, set(subset))
            for size in range(len(used) + 1)
            for subset in itertools.combinations(used, size)
        }
        for feature in used:
            others = [subset for subset in worth if feature not in subset]
            shapley = sum(
                (worth[tuple(sorted((*subset, feature)))] - worth[subset])
                / (len(used) * math.comb(len(used) - 1, len(subset)))
                for subset in others
            )
            assert values[feature] == pytest.approx(shapley, abs=1e-9)
        assert not values[[feature for feature in range(FEATURES) if feature not in used]].any()


def test_each_row_is_explained_for_the_output_that_it_names():
    booster = trained(6, **RISK)
    rows, outputs = random_rows(70, 6), np.arange(70) % 4
    trees = CompiledTrees.of(booster)

    found = trees.contributions(rows, outputs)

    for i, output in enumerate(outputs):
        np.testing.assert_array_equal(found[i], trees.contributions(rows[i : i + 1], np.array([output]))[0])


def test_an_explanation_survives_a_share_of_cover_of_zero():
    booster = edited(trained(3, rounds=2, **SCORE), lambda tree: tree["sum_hessian"].__setitem__(-1, 0.0))
    assert_equal_to_xgboost(booster, random_rows(50, 3))


def edited(booster: xgb.Booster, change: Any) -> xgb.Booster:
    """The same model but for one thing about its first tree."""
    model = json.loads(booster.save_raw("json"))
    change(model["learner"]["gradient_booster"]["model"]["trees"][0])
    return xgb.Booster(model_file=bytearray(json.dumps(model).encode()))


def of_two_targets() -> xgb.Booster:
    rows = random_rows(100, 0)
    return xgb.train({"nthread": 1}, xgb.DMatrix(rows, label=np.ones((100, 2)), nthread=1), num_boost_round=1)


def of_categories() -> xgb.Booster:
    rows = np.nan_to_num(random_rows(100, 0))
    rows[:, 1] = np.arange(100) % 5
    data = xgb.DMatrix(
        rows, label=rows[:, 1] % 2, feature_types=["q", "c", *"q" * 23], enable_categorical=True, nthread=1
    )
    return xgb.train({"nthread": 1}, data, num_boost_round=1)


def of_fewer_features() -> xgb.Booster:
    data = xgb.DMatrix(random_rows(100, 0)[:, :24], label=np.arange(100), nthread=1)
    return xgb.train({"nthread": 1}, data, num_boost_round=1)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: trained(0, rounds=1, **SCORE, booster="dart"), "'dart'"),
        (lambda: trained(0, rounds=1, **SCORE, booster="gblinear", verbosity=0), "'gblinear'"),
        (lambda: trained(0, rounds=1, objective="reg:pseudohubererror"), "'reg:pseudohubererror'"),
        (lambda: trained(0, rounds=1, **{**RISK, "objective": "multi:softmax"}), "'multi:softmax'"),
        (lambda: trained(0, rounds=1, **RISK, multi_strategy="multi_output_tree"), "leaves of 4 values"),
        (of_two_targets, "2 targets"),
        (of_categories, "categories of write_iops"),
        (of_fewer_features, "24 features"),
        (
            lambda: edited(trained(0, rounds=1, **SCORE), lambda tree: tree["sum_hessian"].__setitem__(0, 0.0)),
            "cover (sum_hessian) is 0",
        ),
    ],
)
def test_what_cannot_be_walked_as_xgboost_does_is_refused_by_its_value(make: Any, named: str):
    with pytest.raises(UnusableInput) as refused:
        CompiledTrees.of(make())
    assert named in str(refused.value)


def test_rows_of_another_width_are_refused_and_other_layouts_are_read_as_they_are():
    trees, rows = CompiledTrees.of(trained(2, **RISK)), random_rows(30, 2)
    unwritable = rows.copy()
    unwritable.flags.writeable = False
    expected = trees.margins(rows)

    for other in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2], unwritable, rows.astype(np.float64)):
        np.testing.assert_array_equal(trees.margins(other), expected)
    with pytest.raises(ValueError, match=r"\(30, 24\)"):
        trees.margins(rows[:, :24])
    with pytest.raises(ValueError, match=r"\(25,\)"):
        trees.contributions(rows[0], np.zeros(1, np.int64))


def test_a_difference_to_xgboost_is_named():
    booster, other = trained(1, **RISK), trained(2, **RISK)
    rows = random_rows(20, 1)

    assert CompiledTrees.of(booster).difference(BoosterTrees(booster), rows) == ""
    assert CompiledTrees.of(other).difference(BoosterTrees(booster), rows).startswith("row 1: margin, output 0, is ")
    bias_of_another = CompiledTrees(CompiledTrees.of(booster).forest, CompiledTrees.of(other).bias)
    assert "bias" in bias_of_another.difference(BoosterTrees(booster), rows)
    recovered = edited(booster, lambda tree: tree["sum_hessian"].__setitem__(1, 2 * tree["sum_hessian"][1]))
    assert "contribution of " in CompiledTrees.of(recovered).difference(BoosterTrees(booster), rows)


def test_warming_up_compiles_all_that_a_model_will_call():
    warm_up()
    booster = trained(8, **RISK)
    trees = CompiledTrees.of(booster)
    rows = random_rows(5, 8)
    margins = trees.margins(rows)
    trees.contributions(rows, margins.argmax(axis=1))

    called = (kernels.margins, kernels.contributions, kernels.strongest)
    assert [len(kernel.signatures) for kernel in called] == [1, 1, 1]


def test_the_strongest_are_ordered_by_size_and_equals_by_place():
    places = np.empty((2, 3), np.int64)
    kernels.strongest(np.array([[0.5, -2.0, 2.0, 0.0], [0.0, 0.0, 0.0, -1.0]]), places)
    assert places.tolist() == [[1, 2, 0], [3, 0, 1]]
