"""The fast way may only ever say what the thorough way says, and must take what callers usually send."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from insights.schema import Insight
from tests.insights.insight_strategies import INSIGHTS, histories, row
from training_container.invocations import InvalidRequest, read_rows, rows_from_json
from training_container.serving.window_reader import Uncertain, fill_features, windows_of

Matrix = npt.NDArray[np.float32]
repeatable = settings(derandomize=True, deadline=None, max_examples=300)


def finished(reading: Generator[None, None, Matrix]) -> Matrix:
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return end.value


def thorough(body: bytes) -> bytes | str:
    """The float32 rows, or the refusal."""
    try:
        return finished(rows_from_json(body.decode("utf-8"))).tobytes()
    except InvalidRequest as refused:
        return str(refused)
    except UnicodeDecodeError:
        return "no UTF-8"


def fast(body: bytes) -> bytes | None:
    """None where it is not certain."""
    try:
        windows = windows_of(body)
        rows = np.empty((len(windows), 25), np.float32)
        for place, read in enumerate(windows):
            fill_features(read, rows, place)
        return rows.tobytes()
    except Uncertain:
        return None


def window(insights: list[Insight], **further: Any) -> bytes:
    return json.dumps({"insights": [insight.to_json() for insight in insights], **further}).encode()


PLAIN = [row(index, avg_latency_ms=2.0 + index, error_rate=0.01 * index, alert=index == 3) for index in range(12)]
ODD_VALUES = [
    "null", "true", "false", "[]", "{}", "0", "-0.0", "-0", "1", "01", "1.", ".5", "+1", "1e5", "1E+5", "1e-13", "1e-11",
    "1e-400", "1e400", "5e-324", "-1", "1e9", "1000000000.0000001", "12345678901234567890", "1" * 400, "0." + "3" * 400,
    "NaN", "Infinity", "-Infinity", '"1"', '""', '" "', '"low"', '"LOW"', '"operator"', '"mixed"', '"\\u0000"',
    '"\\ud800"', '"\u00e9"', '"\u0085"', '"\t"', '"a\\tb"', '"' + "x" * 129 + '"', '"2026-01-05T00:00:00.000Z"',
    '"2026-01-05T00:00:00Z"', '"2026-01-05T01:00:00.000+01:00"', '"2026-01-05T00:00:00.0009999999Z"',
    '"2026-01-05 00:00:00.000Z"', '"20260105T000000.1234567Z"', '"2026-02-30T00:00:00.000Z"', '"2026-W02-1T00:00:00.000Z"',
    '"1969-12-31T23:59:59.999Z"', '"2200-01-01T00:00:00.000Z"', '"2026-01-05T00:00:60.000Z"', '"2026-01-05T24:00:00.000Z"',
    '"2026-01-05T00:00:00,000Z"', '"2026-01-05T00:00:00.000z"',
]  # fmt: skip


@repeatable
@given(insights=histories(max_rows=15), order=st.randoms(use_true_random=False))
def test_any_history_in_any_order_with_duplicates_gives_the_same_bits(insights: list[Insight], order: Any):
    given_rows = [*insights, *order.sample(insights, k=min(2, len(insights)))]
    order.shuffle(given_rows)
    body = window(given_rows)

    assert fast(body) == thorough(body)


@repeatable
@given(insight=INSIGHTS)
def test_any_valid_insight_is_read_alike_or_left_to_the_thorough_way(insight: Insight):
    body = window([insight])

    assert fast(body) in (thorough(body), None)


@repeatable
@given(
    name=st.sampled_from([*PLAIN[0].to_json(), "last_alert_at", "unheard_of"]),
    value=st.sampled_from(ODD_VALUES),
    place=st.integers(0, 11),
)
@example(name="read_iops", value="-0.0", place=11)
@example(name="alert", value="null", place=0)
def test_no_odd_value_is_taken_unless_the_thorough_way_takes_it_for_the_same(name: str, value: str, place: int):
    rows = [insight.to_json() for insight in PLAIN]
    target: dict[str, Any] = {"insights": rows}
    (target if name == "last_alert_at" else rows[place])[name] = "@"
    body = json.dumps(target).replace('"@"', value, 1).encode("utf-8", "surrogatepass")

    assert fast(body) in (thorough(body), None)


@repeatable
@given(at=st.integers(0, 400), put=st.binary(min_size=0, max_size=2), cut=st.integers(0, 2))
def test_no_damage_to_the_text_is_taken_unless_the_thorough_way_takes_it_for_the_same(at: int, put: bytes, cut: int):
    plain = window(PLAIN[:1])
    at = at % len(plain)
    body = plain[:at] + put + plain[at + cut :]

    assert fast(body) in (thorough(body), None)


@pytest.mark.parametrize("last_alert_at", [None, "2026-01-04T23:59:00.000Z", "2026-01-04T23:59:00+00:00"])
def test_what_callers_usually_send_takes_the_fast_way(last_alert_at: str | None):
    body = window(PLAIN, last_alert_at=last_alert_at)

    assert fast(body) == thorough(body)


def test_a_name_given_twice_counts_as_the_last():
    body = window(PLAIN[:1]).replace(b'"read_iops": 60.0', b'"read_iops": 60.0, "read_iops": 61.0')

    assert fast(body) == thorough(body)


def test_what_must_be_refused_is_left_to_the_thorough_way_to_word():
    wrong = [row(0), row(1, "another")]

    assert fast(window(wrong)) is None
    with pytest.raises(InvalidRequest, match=r"instances\[0\]\.insights"):
        finished(read_rows("application/json", window(wrong)))


def test_one_uncertain_window_of_many_changes_no_answer():
    certain, offset = json.loads(window(PLAIN)), json.loads(window(PLAIN))
    offset["insights"][4]["timestamp"] = offset["insights"][4]["timestamp"].replace("Z", "+00:00")
    body = json.dumps({"instances": [certain, offset, certain]}).encode()

    rows = finished(read_rows("application/json", body))

    assert rows.shape == (3, 25)
    assert len({values.tobytes() for values in rows}) == 1
