"""The same attribute values as boto3's own converters, with floats for its Decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from insights.schema import Insight, InvalidInsight
from lambdas.attribute_values import from_attribute_value, to_attribute_value

SEEDED = settings(derandomize=True, deadline=None)
# Within what DynamoDB holds: 1E-130 to 9.9E+125, 38 digits.
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(1e-90, 1e90) | st.floats(-1e90, -1e-90) | st.just(0.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.text() | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
)


def with_decimals(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [with_decimals(entry) for entry in value]
    if isinstance(value, dict):
        return {name: with_decimals(entry) for name, entry in value.items()}
    return value


@SEEDED
@given(JSON)
def test_what_is_written_reads_back_by_boto3_as_the_same(value: Any) -> None:
    assert TypeDeserializer().deserialize(to_attribute_value(value)) == with_decimals(value)


@SEEDED
@given(st.none() | st.booleans() | st.text() | st.floats(1e-90, 1e90))
def test_what_boto3_wrote_is_read(value: Any) -> None:
    assert from_attribute_value(TypeSerializer().serialize(with_decimals(value))) == value


@pytest.mark.parametrize("value", [{"SS": ["a"]}, {"L": [{"N": "1"}]}, {"M": {}}, {"B": b"1"}, {"NS": ["1"]}])
def test_a_kind_that_no_insight_has_is_refused_by_the_insight(value: dict[str, Any], make_insight: Any) -> None:
    fields = make_insight().to_json() | {"avg_latency_ms": from_attribute_value(value)}
    with pytest.raises(InvalidInsight, match="avg_latency_ms"):
        Insight.from_item(fields)


def test_what_is_not_json_is_named() -> None:
    with pytest.raises(TypeError, match=r"b'1' is a bytes"):
        to_attribute_value({"a": [b"1"]})
