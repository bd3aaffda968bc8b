"""A parser of outside input as a function of bytes, with the refusals that are its own."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

LONGEST_SENTENCE = 2_000


class Target(NamedTuple):
    """`parse` gives any value, or raises one of `refusals`, whose text tells what to do; everything else is a finding.

    `seeds` are valid inputs; `is_json`: mutated as JSON too.
    """

    name: str
    parse: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    is_json: bool = True


class BadRefusal(AssertionError):
    """The input was refused in words that help nobody."""


def check(target: Target, data: bytes) -> None:
    """Raises what is a finding."""
    try:
        target.parse(data)
    except target.refusals as refusal:
        check_sentence(str(refusal))


def check_sentence(text: str) -> None:
    """It is read in a console, an e-mail or a log: of some length, and never the whole input again."""
    if len(text) < 20 or len(text) > LONGEST_SENTENCE:
        raise BadRefusal(f"a refusal of {len(text)} characters: {text[:300]!r}")


class WellFormed(Exception):
    """Raised by a stand-in for what comes after the parser."""


class NotJson(ValueError):
    """What the caller of the parser has parsed already: the runtime, Step Functions, API Gateway."""


def parsed(data: bytes) -> Any:
    """As a runtime gives an event to its function; what is no JSON never comes so far."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise NotJson("the runtime would not have handed this over: it is no JSON") from None


def texts(data: bytes) -> dict[str, str]:
    """A mapping of texts such as an environment, a query or the hyperparameters."""
    value = parsed(data)
    if not isinstance(value, dict):
        raise NotJson("only an object becomes a mapping of texts")
    return {name: entry if isinstance(entry, str) else json.dumps(entry)[:100_000] for name, entry in value.items()}


def json_seeds(values: Iterable[object]) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


@cache
def scratch() -> Path:
    """A folder of this process, in memory where there is such a thing."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{os.getpid()}-", dir=shared if shared.is_dir() else None))


def as_file(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path
