import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights import label_rule
from insights.columns import InsightColumns
from insights.hindsight import hindsight, horizon, is_complete
from insights.label_rule import DEFAULT_SLO_MS, score_of
from insights.labels import breaches, given_labels, label, persistence
from insights.schema import RISK_LEVELS, Insight
from tests.insights.insight_strategies import histories, row

LOW, MEDIUM, HIGH, CRITICAL, NONE = 0, 1, 2, 3, -1


def history(latencies: Sequence[float | None], slo: float = 10.0, **values: Any) -> list[Insight]:
    return [row(i, p99_latency_ms=value, latency_slo_ms=slo, **values) for i, value in enumerate(latencies)]


def risks(rows: Sequence[Insight]) -> list[int]:
    return [int(level) for level in label(InsightColumns.from_insights(rows)).risk]


def reference(rows: Sequence[Insight], place: int) -> int:
    """The design's rule in plain Python."""
    now = rows[place]
    span = 6.5 * now.interval_seconds
    horizon = [r for r in rows if 0 < (r.timestamp - now.timestamp).total_seconds() <= span]
    if len(horizon) < 3:
        return NONE
    by_p99 = any(r.p99_latency_ms is not None for r in horizon)

    def measure(r: Insight) -> float | None:
        return r.p99_latency_ms if by_p99 else r.avg_latency_ms

    busy = [x for r in horizon if (x := measure(r)) is not None and r.read_iops + r.write_iops > 0]
    slo = now.latency_slo_ms or DEFAULT_SLO_MS.get(now.device_class or "")
    if slo is None:
        past = [measure(r) for r in rows[: place + 1] if r.read_iops + r.write_iops > 0]
        known = [x for x in past if x is not None][-288:]
        slo = 3 * statistics.median(known) if len(known) >= 6 and statistics.median(known) > 0 else None
    if any((r.error_rate or 0) > 0.01 for r in horizon):
        return CRITICAL
    idle = [r for r in horizon if r.read_iops + r.write_iops == 0]
    if len(busy) + len(idle) < 3 or (slo is None and busy):
        return NONE
    if slo is None:
        return LOW
    breaches = [x for x in busy if x > slo]
    if len(breaches) >= 3:
        return CRITICAL if max(breaches) > 4 * slo else HIGH
    return LOW if not breaches else HIGH if max(breaches) > 2 * slo else MEDIUM


@given(histories())
def test_every_row_is_labelled_by_the_designs_rule(rows: list[Insight]) -> None:
    assert risks(rows) == [reference(rows, place) for place in range(len(rows))]


@pytest.mark.parametrize(
    ("horizon", "level"),
    [
        ([5, 5, 5, 5, 5, 5], LOW),
        ([10, 10, 10, 10, 10, 10], LOW),  # meeting the SLO exactly is no breach
        ([5, 11, 5, 5, 5, 5], MEDIUM),
        ([5, 11, 5, 20, 5, 5], MEDIUM),  # twice the SLO is not above it
        ([5, 11, 5, 20.1, 5, 5], HIGH),
        ([5, 500, 5, 5, 5, 5], HIGH),
        ([11, 11, 11, 5, 5, 5], HIGH),
        ([11, 11, 40, 5, 5, 5], HIGH),
        ([11, 11, 40.1, 5, 5, 5], CRITICAL),
        ([5, 5, 5, 5, 5, None], LOW),
    ],
)
def test_the_level_of_a_horizon(horizon: list[float | None], level: int) -> None:
    assert risks(history([5, *horizon]))[0] == level


def test_the_seventh_row_is_past_the_horizon_and_the_sixth_is_not() -> None:
    assert risks(history([5] * 7 + [500]))[0] == LOW
    assert risks(history([5] * 6 + [500]))[0] == HIGH


def test_errors_above_the_budget_are_critical_and_at_it_they_are_not() -> None:
    rows = history([5] * 7)
    assert risks([*rows[:3], replace(rows[3], error_rate=0.01), *rows[4:]])[0] == LOW
    assert risks([*rows[:3], replace(rows[3], error_rate=0.0101), *rows[4:]])[0] == CRITICAL


def test_idle_rows_do_not_breach() -> None:
    assert risks(history([500] * 7, read_iops=0, write_iops=0))[0] == LOW


def test_a_busy_horizon_whose_latency_is_mostly_unknown_is_unlabelled_and_not_low() -> None:
    assert risks(history([5, None, None, None, None, None, None]))[0] == NONE
    assert risks(history([5, 5, 5, None, None, None, None]))[0] == NONE
    assert risks(history([5, 5, 5, 5, None, None, None]))[0] == LOW


@pytest.mark.parametrize(("followers", "level"), [(2, NONE), (3, LOW)])
def test_half_of_the_horizon_must_be_there(followers: int, level: int) -> None:
    assert risks(history([5] * (followers + 1)))[0] == level


def test_the_rules_numbers_are_those_of_the_docs() -> None:
    """Labels of one version are trained on by the next: whoever changes a number changes what every label means."""
    assert DEFAULT_SLO_MS == {"nvme": 2.0, "ssd": 5.0, "ssd-burst": 10.0, "provisioned": 5.0, "hdd": 60.0}
    assert (label_rule.OWN_PAST_MULTIPLE, label_rule.OWN_PAST_ROWS, label_rule.OWN_PAST_LEAST) == (3.0, 288, 6)
    assert (label_rule.ERROR_BUDGET, label_rule.LEAST_HORIZON_ROWS, label_rule.SUSTAINED_BREACHES) == (0.01, 3, 3)
    assert (label_rule.SEVERE_FACTOR, label_rule.EXTREME_FACTOR) == (2.0, 4.0)
    assert (label_rule.LATENCY_WEIGHT, label_rule.ERROR_WEIGHT, label_rule.QUEUE_WEIGHT) == (0.6, 0.2, 0.2)


def test_whether_a_row_itself_is_above_its_objective() -> None:
    """By p99 where it has one, else by the mean; an idle row is not, and of an unknown latency nobody knows."""
    rows = [
        row(0, p99_latency_ms=10.1, avg_latency_ms=1.0, latency_slo_ms=10.0),
        row(1, p99_latency_ms=10.0, avg_latency_ms=99.0, latency_slo_ms=10.0),
        row(2, avg_latency_ms=10.1, latency_slo_ms=10.0),
        row(3, p99_latency_ms=99.0, read_iops=0.0, write_iops=0.0, latency_slo_ms=10.0),
        row(4, latency_slo_ms=10.0),
    ]
    found = breaches(InsightColumns.from_insights(rows))
    assert (found.tolist(), found.dtype) == ([1, 0, 1, 0, -1], np.int8)


def test_the_horizon_begins_right_after_the_row() -> None:
    rows = [row(0), row(0.001), row(6.5), row(6.51)]
    assert horizon(rows[0], rows) == rows[1:3]


def test_a_class_has_its_default_and_a_stated_objective_goes_before_it() -> None:
    rows = [row(i, p99_latency_ms=3.0, device_class="nvme") for i in range(7)]
    assert risks(rows)[0] == HIGH  # the default of nvme is 2 ms
    assert risks([replace(r, latency_slo_ms=4.0) for r in rows])[0] == LOW


def test_without_any_objective_the_devices_own_past_is_the_measure() -> None:
    past = [row(i, avg_latency_ms=2.0) for i in range(6)]
    ahead = [row(6 + i, avg_latency_ms=value) for i, value in enumerate([6.0, 6.1, 6.1, 6.1, 6.0, 6.0])]
    assert risks(past + ahead)[5] == HIGH  # three times the median of 2 ms
    assert risks(past + ahead)[4] == NONE  # five known latencies are too few
    assert risks(past + [replace(r, avg_latency_ms=1e6) for r in ahead])[5] == CRITICAL


def test_a_long_past_keeps_its_last_day_only() -> None:
    latencies = [50.0] * 300 + [1.0] * 300
    rows = [row(i, avg_latency_ms=value) for i, value in enumerate(latencies)]
    rows += [row(600 + i, avg_latency_ms=3.5) for i in range(6)]
    assert risks(rows)[599] == HIGH
    assert risks(rows)[300 + 100] == LOW


@given(histories(), st.data())
def test_the_objective_of_a_row_never_sees_the_future(rows: list[Insight], data: st.DataObject) -> None:
    """Rows past the horizon may change as they like."""
    place = data.draw(st.integers(0, len(rows) - 1))
    edge = rows[place].timestamp.timestamp() + 6.5 * rows[place].interval_seconds
    changed = [replace(r, avg_latency_ms=1e5, error_rate=1.0) if r.timestamp.timestamp() > edge else r for r in rows]
    assert risks(rows)[place] == risks(changed)[place]


def test_given_labels_win_and_name_their_source() -> None:
    rows = history([5] * 8)
    rows[0] = replace(rows[0], risk_level="critical", performance_score=1.0, label_source="operator")
    rows[1] = replace(rows[1], risk_level="high")
    rows[7] = replace(rows[7], performance_score=33.0, label_source="auto")
    labels = label(InsightColumns.from_insights(rows))
    assert labels.risk.tolist() == [CRITICAL, HIGH, LOW, LOW, LOW, NONE, NONE, NONE]
    assert labels.source.tolist() == [1, 0, 0, 0, 0, -1, -1, 0]
    assert labels.score[[0, 7]].tolist() == [1.0, 33.0]
    assert np.isnan(labels.score[[5, 6]]).all()
    given = given_labels(InsightColumns.from_insights(rows))
    assert given.risk.tolist() == [CRITICAL, HIGH, NONE, NONE, NONE, NONE, NONE, NONE]
    assert given.source.tolist() == [1, 0, -1, -1, -1, -1, -1, 0]


@pytest.mark.parametrize(
    ("inputs", "score"),
    [
        ((0.0, 10.0, 0.0, 0.0, 100.0), 100.0),
        ((10.0, 10.0, 0.01, 1.0, 100.0), 50.0),  # each term is one half
        ((10.0, 10.0, 0.0, 0.0, 100.0), 70.0),  # 0.6 / 2 + 0.2 + 0.2
        ((30.0, 10.0, math.nan, math.nan, 100.0), 10.0),  # 1 / (1 + 9), the only known term
        ((math.nan, 10.0, 0.0, 3.0, 100.0), 55.0),  # (0.2 + 0.2 / 10) / 0.4
        ((math.nan, 10.0, 0.01, math.nan, 0.0), 90.0),  # idle: 0.8 + 0.2 / 2
    ],
)
def test_the_score_by_hand(inputs: tuple[float, float, float, float, float], score: float) -> None:
    assert score_of(*inputs) == pytest.approx(score)


def test_nothing_known_has_no_score() -> None:
    assert math.isnan(score_of(math.nan, 10.0, 0.0, math.nan, 100.0))
    assert math.isnan(score_of(5.0, math.nan, 0.0, 1.0, 100.0))


@given(*[st.floats(0, 1e6)] * 2, st.floats(0, 1), st.floats(0, 1e6), st.floats(0.001, 1e6), st.integers(0, 2))
def test_the_score_falls_with_latency_errors_and_queueing(
    latency: float, slo: float, errors: float, queue: float, iops: float, worse: int
) -> None:
    inputs = [latency, slo + 0.001, errors, queue, iops]
    worsened = list(inputs)
    worsened[(0, 2, 3)[worse]] *= 2
    assert 0 <= score_of(*worsened) <= score_of(*inputs) <= 100


def test_the_score_of_a_row_is_the_mean_over_its_horizon() -> None:
    rows = history([5, 10, 10, 10, 30, 30, 30])
    assert label(InsightColumns.from_insights(rows)).score[0] == pytest.approx(
        30.0
    )  # 1/2 and 1/10, the only known term


def test_persistence_judges_the_last_six_rows_by_the_same_rule() -> None:
    rows = history([11, 11, 41, 5, 5, 5, 5, 5, 5])
    risk, score = persistence(InsightColumns.from_insights(rows))
    assert risk.tolist() == [MEDIUM, MEDIUM, CRITICAL, CRITICAL, CRITICAL, CRITICAL, HIGH, HIGH, LOW]
    assert score[8] == pytest.approx(80.0)
    risk, _ = persistence(InsightColumns.from_insights(history([5, None, None, 500])))
    assert risk.tolist() == [LOW, LOW, LOW, HIGH]


def test_no_rows_and_rows_without_latency_are_no_trouble() -> None:
    assert len(label(InsightColumns.from_insights([])).risk) == 0
    assert len(persistence(InsightColumns.from_insights([]))[0]) == 0
    rows = [row(i) for i in range(8)]
    assert risks(rows) == [NONE] * 8
    assert np.isnan(label(InsightColumns.from_insights(rows)).score).all()


@given(histories())
def test_one_devices_few_rows_in_plain_python_have_the_labels_of_the_whole_table(rows: list[Insight]) -> None:
    labels = label(InsightColumns.from_insights(rows))
    for place, now in enumerate(rows):
        end = now.timestamp.timestamp() + 6.5 * now.interval_seconds
        outcome = hindsight(now, [r for r in rows if r.timestamp.timestamp() <= end])
        assert outcome.risk_level == (None, *RISK_LEVELS)[labels.risk[place] + 1]
        assert (outcome.performance_score is None) == np.isnan(labels.score[place])
        assert outcome.performance_score is None or outcome.performance_score == labels.score[place]


@given(st.lists(st.sampled_from([1.0, 2.0, 5.0, 9.0]), min_size=285, max_size=300), st.sampled_from([6.0, 16.0, 40.0]))
def test_a_long_past_gives_the_same_objective_in_plain_python(past: list[float], ahead: float) -> None:
    rows = [row(i, avg_latency_ms=value) for i, value in enumerate([*past, *[ahead] * 6])]
    place = len(past) - 1
    assert hindsight(rows[place], rows).risk_level == (None, *RISK_LEVELS)[risks(rows)[place] + 1]


@pytest.mark.parametrize(("followers", "complete"), [(5, False), (6, True)])
def test_a_horizon_is_complete_with_six_rows_or_one_from_after_it(followers: int, complete: bool) -> None:
    rows = [row(i) for i in range(followers + 1)]
    assert is_complete(rows[0], rows) is complete
    assert is_complete(rows[0], [rows[0], row(6.5)]) is False
    assert is_complete(rows[0], [rows[0], row(6.51)]) is True
