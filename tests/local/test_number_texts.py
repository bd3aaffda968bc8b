"""A number's text has the same form, size and refusal the second time, and MiniStack's own."""

from typing import Any

import pytest
from ministack.services import dynamodb

from local.number_texts import ASKED, kept

GIVEN = (
    "7",
    "007",
    "-1.50",
    "1e3",
    "1E-130",
    "1E126",
    "9" * 39,
    " 5",
    "1_000",
    "",
    "NaN",
    "word",
    None,
    7,
    {"N": "7"},
    ["7"],
)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("given", GIVEN, ids=repr)
def test_what_is_kept_is_what_is_worked_out(name: str, given: Any) -> None:
    work_out = getattr(dynamodb, name)
    again = kept(work_out)

    assert again(given) == again(given) == work_out(given)


def test_a_text_is_worked_out_once() -> None:
    asked: list[Any] = []
    work_out = kept(asked.append)

    for given in ("7", "7", "8", 7, 7):
        work_out(given)
    assert asked == ["7", "8", 7, 7]
