from typing import Any

import pytest

from local.monitoring.metric_math import check, returned
from local.monitoring.points import ExpressionError, Points

STAT = {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
MEASURED: dict[str, Points] = {
    "errors": [1.0, 0.0, None, 4.0],
    "calls": [10.0, 0.0, 5.0, 8.0],
    "gap": [1.0, None, None, 4.0],
}


def value_of(expression: str, **expressions: str) -> Points:
    queries: list[dict[str, Any]] = [{"Id": name, "MetricStat": STAT, "ReturnData": False} for name in MEASURED]
    queries += [{"Id": name, "Expression": text, "ReturnData": False} for name, text in expressions.items()]
    queries.append({"Id": "result", "Expression": expression})
    return returned(queries, MEASURED, period_seconds=60)


@pytest.mark.parametrize(
    ("expression", "points"),
    [
        ("errors + calls", [11.0, 0.0, None, 12.0]),
        ("100 * errors / calls", [10.0, None, None, 50.0]),
        ("-errors", [-1.0, 0.0, None, -4.0]),
        ("calls - errors * 2", [8.0, 0.0, None, 0.0]),
        ("calls ^ 2", [100.0, 0.0, 25.0, 64.0]),
        ("errors > 0", [1.0, 0.0, None, 1.0]),
        ("errors == 0", [0.0, 1.0, None, 0.0]),
        ("errors > 0 AND calls > 9", [1.0, 0.0, None, 0.0]),
        ("errors > 3 || calls >= 10", [1.0, 0.0, None, 1.0]),
        ("FILL(errors, 0)", [1.0, 0.0, 0.0, 4.0]),
        ("FILL(gap, REPEAT)", [1.0, 1.0, 1.0, 4.0]),
        ("FILL(gap, LINEAR)", [1.0, 2.0, 3.0, 4.0]),
        ("FILL(gap, calls)", [1.0, 0.0, 5.0, 4.0]),
        ("IF(calls > 0, FILL(errors, 0) / calls, 0)", [0.1, 0.0, 0.0, 0.5]),
        ("IF(errors > 0, calls)", [10.0, None, None, 8.0]),
        ("SUM(METRICS())", [12.0, 0.0, 5.0, 16.0]),
        ('SUM(METRICS("a"))', [11.0, 0.0, 5.0, 12.0]),
        ("MAX([errors, gap])", [1.0, 0.0, None, 4.0]),
        ("AVG([errors, calls])", [5.5, 0.0, 5.0, 6.0]),
        ("errors - MIN(calls)", [1.0, 0.0, None, 4.0]),
        ("calls / PERIOD(calls)", [10 / 60, 0.0, 5 / 60, 8 / 60]),
        ("ABS(0 - errors)", [1.0, 0.0, None, 4.0]),
        ("SUM(FILL(METRICS(), 0))", [12.0, 0.0, 5.0, 16.0]),
    ],
)
def test_an_expression_has_the_value_that_the_guide_gives_it(expression: str, points: Points) -> None:
    assert value_of(expression) == points


def test_expressions_build_on_one_another() -> None:
    assert value_of("IF(busy, rate, 0)", busy="calls > 6", rate="100 * errors / calls") == [10.0, 0.0, 0.0, 50.0]


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("errors +", "cannot be parsed"),
        ("missing * 2", "no element of Metrics has the Id missing"),
        ("RATE(errors)", "no RATE"),
        ("SUM(errors)", "must return a single time series"),
        ("METRICS()", "must return a single time series"),
        ("result + 1", "refers to itself"),
        ("errors.real", "does not know"),
        ("__import__(1)", "no __import__"),
        ("FILL(errors)", "no FILL"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_reason(expression: str, part: str) -> None:
    with pytest.raises(ExpressionError, match=part):
        value_of(expression)


@pytest.mark.parametrize(
    ("queries", "part"),
    [
        ([{"Id": "a", "MetricStat": STAT}, {"Id": "b", "MetricStat": STAT}], "exactly one element"),
        ([{"Id": "a", "MetricStat": STAT}, {"Id": "b", "MetricStat": {**STAT, "Period": 300}}], "exactly one period"),
        ([{"Id": "a", "MetricStat": STAT}, {"Id": "a", "MetricStat": STAT}], "not unique"),
        ([{"Id": "a", "MetricStat": STAT, "Expression": "a"}], "either"),
    ],
)
def test_the_metrics_of_an_alarm_are_checked_as_a_whole(queries: list[dict[str, Any]], part: str) -> None:
    with pytest.raises(ExpressionError, match=part):
        check(queries)
