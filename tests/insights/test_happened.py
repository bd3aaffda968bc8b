from __future__ import annotations

from typing import Any

import pytest

from insights.happened import happened_to

SAID, MEASURED = {"risk_level": "high", "performance_score": None}, {"risk_level": "low", "performance_score": 81.5}


@pytest.mark.parametrize(
    ("kind", "sources", "happened"),
    [
        ("risk", {"feedback": SAID, "outcome": MEASURED}, "high"),
        ("risk", {"outcome": MEASURED}, "low"),
        ("performance", {"feedback": SAID, "outcome": MEASURED}, 81.5),
        ("performance", {"feedback": None, "outcome": {"performance_score": 0.0}}, 0.0),
        ("performance", {"feedback": SAID}, None),
        ("risk", {}, None),
    ],
)
def test_an_operators_word_counts_first_where_it_names_the_outcome(
    kind: str, sources: dict[str, Any], happened: Any
) -> None:
    assert happened_to({"kind": kind, **sources}) == happened
