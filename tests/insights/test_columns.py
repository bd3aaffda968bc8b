import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from insights.columns import ARRAY_COLUMNS, InsightColumns
from insights.schema import Insight, timestamp_text
from tests.insights.insight_strategies import INSIGHTS, row


def same(one: InsightColumns, other: InsightColumns) -> bool:
    return (one.devices, one.device_classes) == (other.devices, other.device_classes) and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ARRAY_COLUMNS
    )


@given(st.lists(INSIGHTS, max_size=12), st.integers(0, 12))
def test_parts_put_together_equal_the_whole(rows: list[Insight], cut: int) -> None:
    whole = InsightColumns.from_insights(rows)
    parts = [InsightColumns.from_insights(rows[:cut]), InsightColumns.from_insights(rows[cut:])]
    assert same(InsightColumns.concatenate(parts), whole)


def test_rows_are_sorted_by_device_and_time_whatever_their_order() -> None:
    rows = [row(index, device_id) for device_id in ("b", "a", "a/1") for index in range(4)]
    shuffled = random.Random(1).sample(rows, len(rows))
    columns = InsightColumns.from_insights(shuffled)
    expected = sorted((r.device_id, timestamp_text(r.timestamp)) for r in rows)
    assert list(zip(columns.device_ids(), columns.timestamps(), strict=True)) == expected
    assert same(columns, InsightColumns.from_insights(rows))


def test_of_two_rows_with_one_key_the_last_given_wins() -> None:
    first, second = row(1, queue_depth=1.0), row(1, queue_depth=2.0)
    columns = InsightColumns.from_insights([second, first, second, row(0)])
    assert columns.queue_depth.tolist()[1:] == [2.0]
    parts = [InsightColumns.from_insights([second]), InsightColumns.from_insights([first])]
    assert InsightColumns.concatenate(parts).queue_depth.tolist() == [1.0]


@given(st.lists(INSIGHTS, max_size=12, unique_by=lambda one: (one.device_id, one.timestamp)))
def test_columns_give_back_the_insights_that_they_were_made_from(rows: list[Insight]) -> None:
    ordered = sorted(rows, key=lambda one: (one.device_id, one.timestamp))
    assert list(InsightColumns.from_insights(iter(rows)).insights()) == ordered


def test_null_is_nan_or_minus_one_and_never_zero() -> None:
    columns = InsightColumns.from_insights([row()])
    assert np.isnan([columns.avg_latency_ms[0], columns.error_rate[0], columns.score[0]]).all()
    codes = (columns.risk, columns.label_source, columns.workload_type, columns.is_anomaly, columns.device_class)
    assert [int(code[0]) for code in codes] == [-1] * 5
    labelled = replace(row(), risk_level="critical", label_source="operator", is_anomaly=False, performance_score=0)
    columns = InsightColumns.from_insights([labelled])
    assert (columns.risk[0], columns.label_source[0], columns.is_anomaly[0], columns.score[0]) == (3, 1, 0, 0.0)


def test_no_insights_give_empty_columns() -> None:
    assert len(InsightColumns.from_insights([])) == 0
    assert len(InsightColumns.concatenate([])) == 0


def test_rows_taken_keep_the_meaning_of_their_codes() -> None:
    columns = InsightColumns.from_insights([row(0, "a"), row(0, "b", device_class="hdd"), row(1, "b")])
    taken = columns.take(columns.device == 1)
    assert taken.device_ids() == ["b", "b"]
    assert [taken.device_classes[code] if code >= 0 else None for code in taken.device_class] == ["hdd", None]
