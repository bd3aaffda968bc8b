"""What MiniStack works out of a number's text is kept: for each number that is written it asks again and again, which
is half of what a batch costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

KEPT_TEXTS = 100_000
ASKED = ("_ddb_canonicalize_number", "_number_error", "_number_size_bytes")


def register() -> None:
    from ministack.services import dynamodb

    for name in ASKED:
        setattr(dynamodb, name, kept(getattr(dynamodb, name)))


def kept(work_out: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function of a text; what is none is its to refuse, and may be anything."""
    of_text = lru_cache(KEPT_TEXTS)(work_out)
    return lambda given: of_text(given) if isinstance(given, str) else work_out(given)
