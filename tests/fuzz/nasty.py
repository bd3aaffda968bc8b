"""What parsers stumble over: values, whole inputs, and small changes of valid ones, all from a seeded source."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

ATOMS: tuple[str, ...] = (
    "null", "true", "false", "0", "-0", "-1", "1", "1.0", "1.5", "1e308", "-1e308", "1e309", "5e-324", "NaN", "Infinity",
    "-Infinity", "1e99999", "9007199254740993", "1" + "0" * 400, "1" + "0" * 4000, "1" + "0" * 5000, "0." + "0" * 400 + "1",
    '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ufeff"', '"\\u202e"', '"é"', '"' + "x" * 129 + '"',
    '"' + "x" * 5000 + '"', '"1"', '"٣"', '"1_000"', '"' + "9" * 5000 + '"', '"NaN"', '"null"', '"=1+1"', '"..\\\\/.."',
    '"2026-01-31T09:05:00.000Z"', '"2026-01-31T09:05:00"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"',
    '"2026-02-30T00:00:00Z"', '"2026-W05-6T09:05Z"', "[]", "{}", "[[]]", "[null]", '{"":null}', '[1,"a",{}]', '{"a":1,"a":2}',
    "[" * 60 + "]" * 60, "[" * 960 + "]" * 960,
)  # fmt: skip


def deep_inputs() -> Iterator[bytes]:
    """Nested as deep as the reader's own recursion goes, and past it; near the limit a value is read that cannot be shown."""
    limit = sys.getrecursionlimit()
    for depth in (*range(limit - 260, limit, 10), limit, 10 * limit, 200_000):
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
    yield b"[" * 100_000


def whole_inputs() -> Iterator[bytes]:
    """For every target alike."""
    yield from (atom.encode() for atom in ATOMS)
    yield from (
        b"",
        b"\n",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf{}",
        b"\xed\xa0\x80",
        b"\x80",
        b"{",
        b'"',
        b"\r\n\r\n",
    )
    yield from (
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00" + b"\x00" * 40,
        b"PK\x03\x04" + b"\x00" * 30,
        b"\x93NUMPY\x01\x00" + b"\x00" * 60,
    )
    yield from deep_inputs()


def changed_json(seed: bytes, source: random.Random) -> bytes:
    """One place of a JSON text replaced by an atom, dropped, given twice, renamed, or wrapped up."""
    try:
        value = json.loads(seed)
    except (ValueError, RecursionError):
        return changed_bytes(seed, source)
    places = list(_places(value))
    if not places:
        return source.choice(ATOMS).encode()
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        holder, key = source.choice(places)
        _change(holder, key, source)
    try:
        return _dumped(value).encode("utf-8", "surrogatepass")
    except RecursionError:  # an earlier change has made it that deep
        return changed_bytes(seed, source)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        entries = (
            list(holder.items())
            if isinstance(holder, dict)
            else list(enumerate(holder))
            if isinstance(holder, list)
            else []
        )
        for key, entry in entries:
            yield holder, key
            waiting.append(entry)


def with_value(seed: bytes, place: int, value: Any) -> bytes:
    """A valid JSON text with the value in its place, counted round."""
    whole = json.loads(seed)
    places = list(_places(whole))
    if places:
        holder, key = places[place % len(places)]
        holder[key] = value
    return json.dumps(whole).encode("utf-8", "surrogatepass")


def growing_inputs() -> Iterator[tuple[bytes, bytes]]:
    """A small input and ten times as much of it."""
    for unit in (
        b"[",
        b'{"a":',
        b"1,",
        b'"',
        b"\n",
        b",,,,\n",
        b"0",
        b'{"insights":[],',
        b"\x00",
        b"a,b\n",
        b" ",
        b"(1e5)",
        b'"\\u00e9",',
        b"-",
    ):
        yield unit * (3_000 // len(unit)), unit * (30_000 // len(unit))


class _Raw:
    """Text that stands in the place of a value."""

    def __init__(self, text: str) -> None:
        self.text = text


def _change(holder: Any, key: Any, source: random.Random) -> None:
    if (isinstance(holder, dict) and key not in holder) or (isinstance(holder, list) and key >= len(holder)):
        return
    kind = source.random()
    if kind < 0.7:
        holder[key] = _Raw(source.choice(ATOMS))
    elif kind < 0.8:
        del holder[key]
    elif kind < 0.9 and isinstance(holder, dict):
        holder[source.choice(("", "\ud800", "x" * 300, str(key) + " ", str(key).upper(), "__class__"))] = holder.pop(
            key
        )
    elif isinstance(holder, list):
        holder.extend([holder[key]] * source.choice((1, 2, 60)))
    else:
        holder[key] = [holder[key]]


def _dumped(value: Any) -> str:
    """json.dumps with _Raw as it stands."""
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_dumped(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumped, value)) + "]"
    return json.dumps(value)


def changed_bytes(seed: bytes, source: random.Random) -> bytes:
    """A cut, a flip, a repeat, or an atom or separator where none belongs."""
    data = bytearray(seed)
    for _ in range(source.choice((1, 1, 2, 4))):
        place = source.randrange(len(data) + 1)
        kind = source.randrange(5)
        if kind == 0:
            del data[place : place + source.choice((1, 4, len(data)))]
        elif kind == 1 and place < len(data):
            data[place] ^= 1 << source.randrange(8)
        elif kind == 2:
            data[place:place] = source.choice(ATOMS).encode("utf-8", "surrogatepass")
        elif kind == 3:
            data[place:place] = source.choice(
                (b",", b"\n", b"\r", b'"', b"\x00", b";", b"\xff", b"'", b"[", b"}", b"\t")
            )
        else:
            data[place:place] = data[place : place + 30]
    return bytes(data)
