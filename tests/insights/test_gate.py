import math
from typing import Any

import pytest

from insights.gate import judge


@pytest.mark.parametrize(
    ("kind", "metrics", "thresholds", "passed", "reason"),
    [
        ("risk", {"accuracy": 0.931}, {}, True, "accuracy 0.931 >= 0.900: passed"),
        ("risk", {"accuracy": 0.9}, {}, True, "accuracy 0.900 >= 0.900: passed"),
        ("risk", {"accuracy": 0.89996}, {}, False, "accuracy 0.89996 < 0.90000: failed"),
        ("risk", {"accuracy": 0.7}, {"min_accuracy": 0.65}, True, "accuracy 0.700 >= 0.650: passed"),
        ("performance", {"rmse": 4.2}, {"min_accuracy": 0.99}, True, "rmse 4.200 <= 10.000: passed"),
        ("performance", {"rmse": 12}, {}, False, "rmse 12.000 > 10.000: failed"),
    ],
)
def test_each_check_gives_one_sentence(
    kind: str, metrics: dict[str, Any], thresholds: dict[str, Any], passed: bool, reason: str
) -> None:
    assert judge(kind, metrics, thresholds) == (passed, (reason,))


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.99", True])
def test_a_metric_that_is_no_number_never_passes(value: object) -> None:
    verdict = judge("risk", {"accuracy": value}, {})
    assert not verdict.passed
    assert "accuracy" in verdict.reasons[0]
    assert not judge("performance", {}, {}).passed


def test_unknown_kinds_and_thresholds_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'latency'"):
        judge("latency", {}, {})
    with pytest.raises(ValueError, match="'min_acuracy'"):
        judge("risk", {"accuracy": 1.0}, {"min_acuracy": 0.5})
    with pytest.raises(ValueError, match="min_accuracy"):
        judge("risk", {"accuracy": 1.0}, {"min_accuracy": math.nan})
