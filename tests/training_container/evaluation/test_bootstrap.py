from __future__ import annotations

import numpy as np
import pytest

from training_container.evaluation.bootstrap import DeviceBootstrap, interval, intervals, ratio
from training_container.evaluation.metrics import curve_metrics, interval_metrics, risk_metrics, score_metrics
from training_container.evaluation.resampled import (
    resampled_curves,
    resampled_intervals,
    resampled_levels,
    resampled_risk,
    resampled_scores,
)

ROWS = 240
RANDOM = np.random.default_rng(3)
TRUE = RANDOM.choice(4, ROWS, p=[0.5, 0.3, 0.15, 0.05])
PROBABILITIES = RANDOM.dirichlet(np.ones(4), ROWS) * 0.5 + 0.5 * np.eye(4)[TRUE]
PROBABILITIES[:40] = RANDOM.dirichlet(np.ones(4), 40)
SCORES = RANDOM.uniform(0, 100, ROWS)
FORECAST = SCORES + RANDOM.normal(0, 5, ROWS)


@pytest.fixture
def undrawn() -> DeviceBootstrap:
    """One group: every resample is the sample itself."""
    return DeviceBootstrap(np.zeros(ROWS), resamples=3)


def test_the_sample_itself_has_the_metrics_that_scikit_learn_gives(undrawn: DeviceBootstrap):
    expected = risk_metrics(TRUE, PROBABILITIES)
    for name, values in resampled_risk(undrawn, TRUE, PROBABILITIES).items():
        assert values == pytest.approx(np.full(3, expected[name])), name


def test_the_sample_itself_has_the_scores_that_scikit_learn_gives(undrawn: DeviceBootstrap):
    lower, upper = FORECAST - 6, FORECAST + 6
    expected = {**score_metrics(SCORES, FORECAST), **interval_metrics(SCORES, lower, upper)}
    found = {
        **resampled_scores(undrawn, SCORES, FORECAST),
        **resampled_intervals(undrawn, SCORES, lower, upper),
    }
    for name, values in found.items():
        assert values == pytest.approx(np.full(3, expected[name])), name


@pytest.mark.parametrize("level", range(4))
def test_the_sample_itself_has_the_areas_that_scikit_learn_gives(undrawn: DeviceBootstrap, level: int):
    name = ("low", "medium", "high", "critical")[level]
    expected = curve_metrics(TRUE, PROBABILITIES)
    for area, values in resampled_curves(undrawn, level == TRUE, PROBABILITIES[:, level]).items():
        assert values == pytest.approx(np.full(3, expected[area][name])), area


def test_a_mean_over_devices_varies_as_statistics_says():
    groups = np.repeat(np.arange(400), 5)
    effect = np.random.default_rng(1).normal(0, 1, 400)[groups]

    ends = interval(DeviceBootstrap(groups).means(effect))

    assert ends is not None
    # the rows of a device are copies of one another: 400 values count, not 2,000
    assert ends["upper"] - ends["lower"] == pytest.approx(2 * 1.96 * effect.std() / np.sqrt(400), rel=0.1)


def test_ninety_five_of_a_hundred_intervals_hold_the_truth():
    random = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        values = np.repeat(random.exponential(1, 60), 3)
        ends = interval(DeviceBootstrap(np.repeat(np.arange(60), 3), resamples=400).means(values))
        assert ends is not None
        held += ends["lower"] <= 1 <= ends["upper"]
    assert 0.90 <= held / 300 <= 0.98  # the percentile interval of a skewed mean is known to fall a little short


def test_resamples_are_the_same_for_every_metric_so_that_differences_are_paired():
    bootstrap = DeviceBootstrap(np.arange(50))
    values = np.random.default_rng(2).normal(size=50)

    assert bootstrap.means(values + 1) - bootstrap.means(values) == pytest.approx(np.ones(1_000))
    assert np.array_equal(bootstrap.sums(values), DeviceBootstrap(np.arange(50)).sums(values))


def test_a_level_that_a_resample_misses_does_not_count_as_zero():
    groups, true = np.array([0, 0, 1, 1]), np.array([0, 0, 3, 3])
    found = resampled_levels(DeviceBootstrap(groups, resamples=200), true, true)

    assert np.all(found["macro_f1"] == 1)
    assert np.isnan(found["recall_critical"]).any()
    assert set(found["recall_critical"][~np.isnan(found["recall_critical"])].tolist()) == {1.0}


def test_what_no_resample_defines_has_no_interval():
    assert interval(np.full(5, np.nan)) is None
    assert intervals({"a": np.full(5, np.nan), "b": np.ones(5)}) == {"b": {"lower": 1.0, "upper": 1.0}}
    assert np.isnan(ratio(np.ones(1), np.zeros(1))[0])
