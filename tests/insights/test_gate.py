"""Every check from both sides of its limit; a verdict is the sum of its checks."""

from __future__ import annotations

import copy
import math
import sys
from typing import Any

import pytest

from insights.gate import GATE_DEFAULTS, THRESHOLDS, InvalidThreshold, checked_thresholds, judge

RISK: dict[str, Any] = {
    "accuracy": 0.93,
    "macro_f1": 0.9,
    "per_class": {"critical": {"recall": 0.87, "support": 61}},
    "rivals": {"persistence": {"macro_f1": 0.86}},
    "against_live": {"metric": "accuracy", "difference": 0.004, "lower": -0.006, "upper": 0.013},
}
PERFORMANCE: dict[str, Any] = {
    "rmse": 6.5,
    "rivals": {"persistence": {"rmse": 9.1}},
    "interval_coverage": 0.905,
    "intervals": {"interval_coverage": {"lower": 0.871, "upper": 0.931}},
    "against_live": None,
}
METRICS = {"risk": RISK, "performance": PERFORMANCE}


def changed(kind: str, path: str, value: object) -> dict[str, Any]:
    """The passing metrics with one of them changed."""
    metrics = copy.deepcopy(METRICS[kind])
    *parents, name = path.split(".")
    place = metrics
    for parent in parents:
        place = place[parent]
    place[name] = value
    return metrics


def test_a_good_risk_model_passes_for_these_reasons() -> None:
    assert judge("risk", RISK, {}) == (
        True,
        (
            "accuracy 0.930 >= 0.900: passed",
            "recall of critical 0.870 >= 0.800 (on 61 rows): passed",
            "macro-F1 0.900 > persistence 0.860: passed",
            "accuracy ahead of the live model by +0.004 (-0.0060 to +0.0130), lower bound > -0.02: passed",
        ),
    )


def test_a_good_performance_model_passes_for_these_reasons() -> None:
    assert judge("performance", PERFORMANCE, {}) == (
        True,
        (
            "RMSE 6.500 <= 10.000: passed",
            "RMSE 6.500 < persistence 9.100: passed",
            "interval coverage 0.905 (0.871 to 0.931) meets 0.88 to 0.92: passed",
            "no live model to compare with: passed",
        ),
    )


@pytest.mark.parametrize(
    ("kind", "path", "value", "passed", "reason"),
    [
        ("risk", "accuracy", 0.9, True, "accuracy 0.900 >= 0.900: passed"),
        ("risk", "accuracy", 0.89996, False, "accuracy 0.89996 < 0.90000: failed"),
        ("risk", "per_class.critical.recall", 0.8, True, "recall of critical 0.800 >= 0.800 (on 61 rows): passed"),
        ("risk", "per_class.critical.recall", 0.7, False, "recall of critical 0.700 < 0.800 (on 61 rows): failed"),
        ("risk", "macro_f1", 0.86, False, "macro-F1 0.860 <= persistence 0.860: failed"),
        ("risk", "macro_f1", 0.8600001, True, "macro-F1 0.8600001 > persistence 0.8600000: passed"),
        ("performance", "rmse", 9.1, False, "RMSE 9.100 >= persistence 9.100: failed"),
        ("performance", "rivals.persistence.rmse", 6.4, False, "RMSE 6.500 >= persistence 6.400: failed"),
    ],
)
def test_each_limit_from_both_sides(kind: str, path: str, value: float, passed: bool, reason: str) -> None:
    verdict = judge(kind, changed(kind, path, value), {})

    assert verdict.passed is passed
    assert reason in verdict.reasons


def test_an_rmse_at_the_limit_passes_and_above_it_fails() -> None:
    metrics = changed("performance", "rivals.persistence.rmse", 20.0)

    assert judge("performance", {**metrics, "rmse": 10.0}, {}).passed
    verdict = judge("performance", {**metrics, "rmse": 10.5}, {})
    assert not verdict.passed
    assert "RMSE 10.500 > 10.000: failed" in verdict.reasons


@pytest.mark.parametrize(("rows", "passed"), [(29, True), (30, False)])
def test_the_recall_of_few_critical_rows_is_not_judged_and_that_is_said(rows: int, passed: bool) -> None:
    metrics = changed("risk", "per_class.critical", {"recall": 0.1, "support": rows})

    verdict = judge("risk", metrics, {})

    assert verdict.passed is passed
    assert ("recall of critical not judged: 29 rows of 30 needed: passed" in verdict.reasons) is passed


@pytest.mark.parametrize(
    ("lower", "upper", "passed"),
    [
        (0.70, 0.88, True),
        (0.70, 0.8799, False),
        (0.92, 0.99, True),
        (0.9201, 0.99, False),
        (0.5, 1.0, True),
        (0.89, 0.91, True),
    ],
)
def test_the_interval_of_the_coverage_must_meet_the_range(lower: float, upper: float, passed: bool) -> None:
    metrics = changed("performance", "intervals.interval_coverage", {"lower": lower, "upper": upper})
    assert judge("performance", metrics, {}).passed is passed


@pytest.mark.parametrize(("lower", "passed"), [(-0.0199, True), (-0.02, False), (-0.3, False), (0.1, True)])
@pytest.mark.parametrize(("kind", "word"), [("risk", "accuracy"), ("performance", "RMSE, relative,")])
def test_a_newcomer_may_lose_less_than_two_points_to_the_live_model(
    kind: str, word: str, lower: float, passed: bool
) -> None:
    live = {"metric": "accuracy" if kind == "risk" else "rmse", "difference": 0.2, "lower": lower, "upper": 0.4}

    verdict = judge(kind, changed(kind, "against_live", live), {})

    assert verdict.passed is passed
    assert verdict.reasons[-1].startswith(f"{word} ahead of the live model by +0.200")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("risk", "accuracy"),
        ("risk", "macro_f1"),
        ("risk", "per_class.critical.support"),
        ("risk", "per_class.critical.recall"),
        ("risk", "rivals.persistence.macro_f1"),
        ("risk", "against_live.lower"),
        ("performance", "rmse"),
        ("performance", "rivals.persistence.rmse"),
        ("performance", "interval_coverage"),
        ("performance", "intervals.interval_coverage.upper"),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.99", True])
def test_a_metric_that_is_no_finite_number_never_passes(kind: str, path: str, value: object) -> None:
    verdict = judge(kind, changed(kind, path, value), {})

    assert not verdict.passed
    assert any(reason.startswith(f"{path} is {value!r}, not a finite number") for reason in verdict.reasons)


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_metrics_that_are_not_there_fail_every_check(kind: str) -> None:
    verdict = judge(kind, {}, {})

    assert len(verdict.reasons) == 4
    assert all(reason.endswith("(the evaluation did not give it): failed") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("kind", "thresholds"),
    [
        ("risk", {"min_accuracy": 0.94}),
        ("risk", {"min_critical_recall": 0.9}),
        ("risk", {"max_loss_to_live": 0.005}),
        ("performance", {"max_rmse": 6}),
        ("performance", {"min_coverage": 0.94, "max_coverage": 0.96}),
    ],
)
def test_a_threshold_that_is_given_is_the_one_that_counts(kind: str, thresholds: dict[str, float]) -> None:
    assert judge(kind, METRICS[kind], {}).passed
    assert not judge(kind, METRICS[kind], thresholds).passed


def test_more_critical_rows_may_be_asked_for() -> None:
    poor = changed("risk", "per_class.critical.recall", 0.1)

    assert not judge("risk", poor, {}).passed
    assert judge("risk", poor, {"min_critical_rows": 62}).passed


@pytest.mark.parametrize(
    ("thresholds", "name"),
    [
        ({"min_acuracy": 0.5}, "min_acuracy"),
        ({"min_accuracy": 90}, "min_accuracy"),
        ({"min_accuracy": -0.1}, "min_accuracy"),
        ({"min_accuracy": math.nan}, "min_accuracy"),
        ({"min_accuracy": True}, "min_accuracy"),
        ({"max_rmse": "10"}, "max_rmse"),
        ({"max_rmse": 100.5}, "max_rmse"),
        ({"min_critical_rows": 0}, "min_critical_rows"),
        ({"min_critical_rows": 30.5}, "min_critical_rows"),
        ({"min_coverage": 0.93}, "min_coverage"),
        ({"max_coverage": 0.5}, "max_coverage"),
        ({"max_loss_to_live": 2}, "max_loss_to_live"),
    ],
)
def test_a_threshold_that_no_gate_can_have_is_refused_by_name(thresholds: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidThreshold) as refused:
        judge("risk", RISK, thresholds)

    assert (refused.value.name, refused.value.value) == (name, thresholds[name]) or math.isnan(thresholds[name])
    assert refused.value.remedy in str(refused.value)


def test_a_live_model_that_cannot_be_judged_refuses_the_newcomer_unless_any_loss_is_accepted() -> None:
    metrics = changed("risk", "against_live", {"unjudged": "it was trained on another feature table"})
    verdict = judge("risk", metrics, {})
    assert not verdict.passed
    assert "another feature table" in " ".join(verdict.reasons)
    assert judge("risk", metrics, {"max_loss_to_live": 1}).passed


def test_defaults_lie_within_their_own_ends() -> None:
    assert checked_thresholds(GATE_DEFAULTS) == GATE_DEFAULTS
    assert set(THRESHOLDS) == set(GATE_DEFAULTS)


def test_a_kind_without_a_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="'latency'"):
        judge("latency", {}, {})


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "beyond"),
    [
        ("min_accuracy", 0, 1, 1.01),
        ("min_critical_recall", 0, 1, 1.01),
        ("min_critical_rows", 1, 1_000_000_000, 1_000_000_001),
        ("max_rmse", 0, 100, 100.1),
        ("max_loss_to_live", 0, 1, 1.01),
    ],
)
def test_a_threshold_may_be_either_of_its_ends_and_not_beyond(
    name: str, lowest: float, highest: float, beyond: float
) -> None:
    assert checked_thresholds({name: lowest}) == {name: lowest}
    assert checked_thresholds({name: highest}) == {name: highest}
    with pytest.raises(InvalidThreshold):
        checked_thresholds({name: beyond})


def test_the_wanted_coverage_may_be_one_value_and_anything_from_0_to_1() -> None:
    for low, high in ((0, 0), (0.9, 0.9), (1, 1), (0, 1)):
        assert checked_thresholds({"min_coverage": low, "max_coverage": high})
    for wrong in ({"min_coverage": 1.01, "max_coverage": 1}, {"max_coverage": 1.01}):
        with pytest.raises(InvalidThreshold, match="it must be a number from 0 to 1"):
            checked_thresholds(wrong)


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"min_accuracy": 90}, "gate threshold 'min_accuracy' is 90; it must be a number from 0 to 1"),
        (
            {"min_critical_rows": 0},
            "gate threshold 'min_critical_rows' is 0; it must be a whole number from 1 to 1,000,000,000",
        ),
        (
            {"min_coverage": 0.95},
            "gate threshold 'min_coverage' is 0.95; min_coverage 0.95 must not exceed max_coverage 0.92",
        ),
    ],
)
def test_a_refused_threshold_is_said_with_its_value_and_its_ends(thresholds: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidThreshold) as refused:
        checked_thresholds(thresholds)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("kind", "path", "value", "reason"),
    [
        ("performance", "rmse", 10.0, "RMSE 10.000 <= 10.000: passed"),
        (
            "performance",
            "intervals.interval_coverage",
            {"lower": 0.5, "upper": 0.6},
            "interval coverage 0.905 (0.500 to 0.600) misses 0.88 to 0.92: failed",
        ),
        (
            "risk",
            "against_live",
            {"metric": "accuracy", "difference": 0.0, "lower": -0.02, "upper": 0.01},
            "accuracy ahead of the live model by +0.000 (-0.0200 to +0.0100), lower bound <= -0.02: failed",
        ),
        ("risk", "accuracy", math.nextafter(0.9, 0), "accuracy 0.900000000000 < 0.900000000000: failed"),
        ("risk", "accuracy", sys.float_info.max, f"accuracy {sys.float_info.max:.3f} >= 0.900: passed"),
        ("risk", "accuracy", 10**400, f"accuracy is {10**400}, not a finite number (the evaluation did not give it): failed"),
    ],
)  # fmt: skip
def test_what_a_check_says_at_its_limit(kind: str, path: str, value: object, reason: str) -> None:
    assert reason in judge(kind, changed(kind, path, value), {}).reasons


def test_a_comparison_with_the_live_model_that_is_not_there_is_missing() -> None:
    metrics = {name: value for name, value in RISK.items() if name != "against_live"}
    assert judge("risk", metrics, {}).reasons[-1] == (
        "against_live is missing (the evaluation did not give it): failed"
    )
