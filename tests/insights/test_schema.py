import math
import re
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from insights.schema import (
    CSV_COLUMNS,
    NUMBER_RULES,
    Insight,
    InvalidInsight,
    check_device_id,
    parse_timestamp,
    shown,
    timestamp_text,
)
from tests.insights.insight_strategies import INSIGHTS, row

VALID: dict[str, Any] = {
    "device_id": "rack1/nvme0",
    "timestamp": "2026-01-31T09:05:00.000Z",
    "interval_seconds": 300,
    "read_iops": 10,
    "write_iops": 0,
    "bandwidth_mbps": 0.5,
}


@given(INSIGHTS)
def test_every_wire_format_gives_the_same_insight_back(insight: Insight) -> None:
    assert Insight.from_json(insight.to_json()) == insight
    assert Insight.from_csv(insight.to_csv()) == insight
    assert Insight.from_item(insight.to_item()) == insight


@given(INSIGHTS)
def test_an_item_holds_what_dynamodb_takes(insight: Insight) -> None:
    for value in insight.to_item().values():
        assert isinstance(value, str | bool | Decimal)
        if isinstance(value, Decimal) and value:
            assert Decimal("1E-130") <= abs(value) <= Decimal("9.9E+125")
            assert len(value.as_tuple().digits) <= 38


def test_the_csv_columns_are_the_fields_of_the_design_in_its_order() -> None:
    assert ",".join(CSV_COLUMNS) == (
        "device_id,timestamp,interval_seconds,read_iops,write_iops,avg_latency_ms,p95_latency_ms,p99_latency_ms,"
        "bandwidth_mbps,error_rate,queue_depth,io_size_kib,sequential_ratio,provisioned_iops,latency_slo_ms,"
        "device_class,workload_type,alert,is_anomaly,risk_level,performance_score,label_source"
    )


def test_absent_fields_are_null_and_an_absent_alert_is_false() -> None:
    insight = Insight.from_json(VALID)
    assert insight.avg_latency_ms is None
    assert insight.error_rate is None
    assert insight.alert is False
    assert insight.is_anomaly is None


def test_null_and_zero_stay_apart_in_every_format() -> None:
    insight = Insight.from_json(VALID | {"avg_latency_ms": None, "queue_depth": 0})
    assert (insight.to_csv()["avg_latency_ms"], insight.to_csv()["queue_depth"]) == ("", "0.0")
    assert "avg_latency_ms" not in insight.to_item()
    assert insight.to_item()["queue_depth"] == 0


def test_only_an_alert_puts_the_sparse_index_key_into_the_item() -> None:
    assert "alert_at" not in Insight.from_json(VALID).to_item()
    alerting = Insight.from_json(VALID | {"alert": True}).to_item()
    assert alerting["alert_at"] == alerting["timestamp"] == "2026-01-31T09:05:00.000Z"


def test_the_stores_own_attributes_are_ignored_and_other_unknown_ones_are_refused() -> None:
    item = Insight.from_json(VALID).to_item()
    assert Insight.from_item(item | {"_version": Decimal(3)}) == Insight.from_json(VALID)
    with pytest.raises(InvalidInsight) as caught:
        Insight.from_item(item | {"version": Decimal(3)})
    assert caught.value.field == "version"


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("2026-01-31T10:05:00+01:00", "2026-01-31T09:05:00.000Z"),
        ("2026-01-31T09:05:00.1239Z", "2026-01-31T09:05:00.123Z"),
        ("2004-11-24 23:12:06.279Z", "2004-11-24T23:12:06.279Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(text: str, wire: str) -> None:
    assert timestamp_text(parse_timestamp(text)) == wire
    assert Insight.from_json(VALID | {"timestamp": text}).to_json()["timestamp"] == wire


def test_the_text_order_of_timestamps_is_their_time_order() -> None:
    moments = [datetime(1999, 12, 31, tzinfo=UTC) + timedelta(milliseconds=7_777_777 * i) for i in range(200)]
    texts = [timestamp_text(moment) for moment in moments]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {24}


def test_a_time_of_another_zone_equals_the_same_moment_in_utc() -> None:
    there = datetime(2026, 1, 5, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert row(timestamp=there) == row(0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((rule.name, bad) for rule in NUMBER_RULES for bad in (math.nan, math.inf, -1, -1e-9, "1", True, [1])),
        *((rule.name, 2 * rule.high) for rule in NUMBER_RULES),
        ("read_iops", None),
        ("read_iops", 10**400),
        ("avg_latency_ms", 1e-320),
        ("bandwidth_mbps", None),
        ("interval_seconds", 0),
        ("provisioned_iops", 0),
        ("latency_slo_ms", 0.0),
        ("device_id", ""),
        ("device_id", "   "),
        ("device_id", "x" * 129),
        ("device_id", 7),
        ("device_id", None),
        ("device_id", "a\nb"),
        ("device_id", "a\ud800"),
        ("timestamp", "2026-01-31T09:05:00"),
        ("timestamp", "yesterday"),
        ("timestamp", 1_700_000_000),
        ("timestamp", None),
        ("timestamp", "0001-01-01T00:00:00+14:00"),
        ("timestamp", "9999-12-31T23:59:59-14:00"),
        ("timestamp", "1969-12-31T23:59:59Z"),
        ("alert", None),
        ("alert", 1),
        ("is_anomaly", "true"),
        ("workload_type", "sequentially"),
        ("workload_type", ["random"]),
        ("risk_level", "Low"),
        ("risk_level", 0),
        ("label_source", "human"),
        ("device_class", ""),
        ("iops", 5),
        ("Alert", True),
    ],
)  # fmt: skip
def test_a_refusal_names_record_field_value_and_rule(field: str, value: object) -> None:
    with pytest.raises(InvalidInsight) as caught:
        Insight.from_json(VALID | {field: value}, record="line 3 of rack.jsonl")
    refusal = caught.value
    assert (refusal.record, refusal.field) == ("line 3 of rack.jsonl", field)
    assert refusal.rule
    assert "line 3 of rack.jsonl" in str(refusal)
    assert field in str(refusal)
    assert refusal.rule in str(refusal)
    assert "Correct" in str(refusal)


@pytest.mark.parametrize(
    "field", ["device_id", "timestamp", "interval_seconds", "read_iops", "write_iops", "bandwidth_mbps"]
)
def test_a_missing_required_field_is_named(field: str) -> None:
    with pytest.raises(InvalidInsight, match="missing") as caught:
        Insight.from_json({name: value for name, value in VALID.items() if name != field})
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, [], "text", 3, math.nan])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInsight, match="JSON object"):
        Insight.from_json(value, record="line 1")


@pytest.mark.parametrize(
    ("field", "cell"),
    [("read_iops", "1,5"), ("read_iops", "1_000"), ("read_iops", "nan"), ("read_iops", "0x10"), ("read_iops", ""),
     ("alert", "yes"), ("error_rate", "inf"), ("queue_depth", "null"), ("timestamp", "")],
)  # fmt: skip
def test_a_bad_csv_cell_is_refused_by_name(field: str, cell: str) -> None:
    with pytest.raises(InvalidInsight) as caught:
        Insight.from_csv(row().to_csv() | {field: cell}, record="line 9")
    assert (caught.value.field, caught.value.record) == (field, "line 9")


def test_the_constructor_names_the_insight_that_it_refuses() -> None:
    with pytest.raises(InvalidInsight, match=r"'disk'.*2026-01-05.*queue_depth.*-3"):
        row(queue_depth=-3)
    with pytest.raises(InvalidInsight, match="offset"):
        row(timestamp=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("name", "unit", "highest"),
    [
        ("interval_seconds", "s", 604_800),
        ("read_iops", "operations/s", 1e9),
        ("write_iops", "operations/s", 1e9),
        ("avg_latency_ms", "ms", 1e8),
        ("p95_latency_ms", "ms", 1e8),
        ("p99_latency_ms", "ms", 1e8),
        ("bandwidth_mbps", "MB/s", 1e8),
        ("error_rate", "errors per operation", 1),
        ("queue_depth", "mean I/Os in flight", 1e8),
        ("io_size_kib", "KiB per operation", 1e8),
        ("sequential_ratio", "share", 1),
        ("provisioned_iops", "operations/s", 1e9),
        ("latency_slo_ms", "ms", 1e8),
        ("performance_score", "points", 100),
    ],
)
def test_each_number_has_its_highest_value_and_its_unit(name: str, unit: str, highest: float) -> None:
    """docs/api.md and the design's table name them; a wrong unit is found by its range."""
    assert getattr(Insight.from_json(VALID | {name: highest}), name) == highest
    with pytest.raises(InvalidInsight, match=rf"to {highest:g} \({re.escape(unit)}\)".replace("+", r"\+")):
        Insight.from_json(VALID | {name: math.nextafter(highest, math.inf)})


def test_a_device_id_is_checked_by_itself_too() -> None:
    check_device_id("nvme-1")
    with pytest.raises(InvalidInsight, match="field device_id has the value ''"):
        check_device_id("")


def test_a_value_is_shown_whole_up_to_its_limit_and_cut_beyond() -> None:
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == "'" + "x" * 76 + "..."
    assert shown("abcdef", 7) == "'abc..."
    assert shown(10**5000) == "a int too long to show"
    nested: list[object] = []
    for _ in range(2 * sys.getrecursionlimit()):
        nested = [nested]
    assert shown(nested) == "a list too deep to show"
