from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from insights.feature_table import FEATURE_NAMES
from tests.training_container.serving.test_window_reader import finished, repeatable
from training_container.invocations import MAXIMUM_ROWS, InvalidRequest, rows_from_csv
from training_container.serving.row_reader import plain_rows

ODD_CELLS = [
    "",
    "0",
    "-0.0",
    "1.",
    ".5",
    "+1",
    "1e5",
    "1E-3",
    "1e39",
    "1e400",
    "1e",
    ".",
    "-",
    " 1",
    '"1"',
    "1_0",
    "nan",
    "inf",
    "x",
]
CELLS = st.sampled_from(ODD_CELLS) | st.floats(0, 1).map(repr)


def thorough(text: str) -> bytes | None:
    try:
        return finished(rows_from_csv(text)).tobytes()
    except InvalidRequest:
        return None


def fast(text: str) -> bytes | None:
    rows = plain_rows(text.encode(), most=MAXIMUM_ROWS)
    return None if rows is None else rows.tobytes()


@repeatable
@given(
    rows=st.lists(st.lists(st.floats(0, 1).map(repr) | st.just(""), min_size=25, max_size=25), min_size=1, max_size=4),
    line_end=st.sampled_from(["\n", "\r\n"]),
    has_header=st.booleans(),
    ends=st.booleans(),
)
def test_plain_rows_take_the_fast_way_and_give_the_same_bits(
    rows: list[list[str]], line_end: str, has_header: bool, ends: bool
):
    lines = [",".join(row) for row in ([list(FEATURE_NAMES)] if has_header else []) + rows]
    text = line_end.join(lines) + line_end * ends

    assert fast(text) == thorough(text) != None  # noqa: E711 - both must take it


@repeatable
@given(
    rows=st.lists(st.lists(CELLS, min_size=24, max_size=26), max_size=3),
    separator=st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n,", " \n"]),
)
def test_no_odd_text_is_taken_unless_the_thorough_way_takes_it_for_the_same(rows: list[list[str]], separator: str):
    text = separator.join(",".join(row) for row in rows)

    assert fast(text) in (thorough(text), None)


def test_more_rows_than_a_request_may_have_are_left_to_the_thorough_way():
    assert plain_rows(b"\n".join([b"1," * 24 + b"1"] * 3), most=2) is None
