"""What the HTTP side and the model side of the server say to each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    content_type: str
    """Without its parameters, in lower case; empty when there is none."""
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: bytes = b""
    """Further header lines, each with its line end."""


Work = Generator[None, None, Answer]
"""An answer in the making: it yields between slices of some milliseconds, so that others need not wait for its end."""
Handler = Callable[[Request], Answer | Work]


def json_answer(status: int, values: dict[str, Any], headers: bytes = b"") -> Answer:
    return Answer(status, json.dumps(values, allow_nan=False).encode(), headers)
