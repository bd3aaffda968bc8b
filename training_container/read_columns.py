"""Files of insights as columns, several times as fast as record by record, and exactly as strict.

What the export and the generator write (an object a line) is decoded and checked in bulk. Whatever is not surely an
insight in that form goes the way of insights/files.py from there on, which alone decides and words every refusal.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple, TextIO, cast

import msgspec
import numpy as np
import numpy.typing as npt

from insights.columns import Floats, InsightColumns
from insights.files import read_insights
from insights.schema import (
    CHOICES,
    CSV_COLUMNS,
    EARLIEST,
    LATEST,
    NUMBER_RULES,
    REQUIRED_FIELDS,
    SMALLEST_NUMBER,
    InvalidInsight,
    NumberRule,
    check_device_id,
)

ROWS_READ: Final = 20_000  # rows that stand in memory as objects: about 20 MB
_BLANKS: Final = " \t\r\n"
_FORM: Final = b"0000-00-00T00:00:00.000Z"  # of schema.timestamp_text; 0 is any digit


class Block(NamedTuple):
    """Some rows of a file: how many there were, and their columns, where duplicates are one."""

    rows: int
    columns: InsightColumns


class _Unsure(Exception):
    """Nothing is wrong yet; only the strict reader can tell."""


_LOOKS_WRONG: Final = (_Unsure, InvalidInsight, msgspec.MsgspecError, ValueError, OSError, EOFError, zlib.error)


def read_columns(path: Path) -> Iterator[Block]:
    """A file's rows in its order; raises InvalidInsight or UnreadableFile as read_insights does."""
    done = 0
    try:
        with path.open("rb") as raw:
            rows = map(_DECODE, _objects(_text(raw)))
            while block := list(itertools.islice(rows, ROWS_READ)):
                columns = _columns(block)
                yield Block(len(block), columns)
                done += len(block)
    except _LOOKS_WRONG:
        records = itertools.islice(read_insights(path), done, None)
        while insights := list(itertools.islice(records, ROWS_READ)):
            yield Block(len(insights), InsightColumns.from_insights(insights))


def _row_type() -> Any:
    """An insight of JSON types; ranges, texts and times are checked in bulk."""
    numbers = {rule.name: float | None if rule.nullable else float for rule in NUMBER_RULES}
    choices = {name: Literal[values] | None for name, values in CHOICES}
    others = {"device_id": str, "timestamp": str, "device_class": str | None, "alert": bool, "is_anomaly": bool | None}
    types: dict[str, Any] = {**numbers, **choices, **others}
    fields: list[Any] = [
        (name, types[name]) if name in REQUIRED_FIELDS else (name, types[name], False if name == "alert" else None)
        for name in CSV_COLUMNS
    ]
    return msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)


_Row: Final = _row_type()
_DECODE: Final = msgspec.json.Decoder(_Row).decode


def _text(raw: IO[bytes]) -> TextIO:
    is_gzip = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    plain = gzip.GzipFile(fileobj=raw) if is_gzip else raw
    return io.TextIOWrapper(cast(IO[bytes], plain), encoding="utf-8-sig", newline="")


def _objects(stream: TextIO) -> Iterator[str]:
    first = stream.readline()
    if first.strip(_BLANKS) == "[":
        return _of_array(stream)
    if first.startswith("{"):
        return (line for line in itertools.chain([first], stream) if line.strip())
    raise _Unsure


def _of_array(lines: TextIO) -> Iterator[str]:
    """An object a line, each but the last with its comma, then the bracket: this form of an array and no other."""
    is_first, has_comma = True, False
    for line in lines:
        text = line.strip(_BLANKS)
        if text == "]":
            if has_comma or any(rest.strip(_BLANKS) for rest in lines):
                raise _Unsure
            return
        if not (is_first or has_comma):
            raise _Unsure
        is_first, has_comma = False, text.endswith(",")
        yield text[:-1] if has_comma else text
    raise _Unsure


def _columns(rows: Sequence[Any]) -> InsightColumns:
    values: dict[str, Any] = dict(
        zip(_Row.__struct_fields__, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True)
    )
    for rule in NUMBER_RULES:
        values[rule.name] = _checked_numbers(rule, np.array(values[rule.name], np.float64))
    for text in {*values["device_id"], *values["device_class"]} - {None}:
        check_device_id(text)
    return InsightColumns.from_values(values, _checked_seconds(values["timestamp"]))


def _checked_numbers(rule: NumberRule, values: Floats) -> Floats:
    """JSON has no NaN, so that one here is a null, which the type has allowed."""
    is_valid = np.isnan(values) | ((values >= SMALLEST_NUMBER) & (values <= rule.high))
    if rule.zero:
        is_valid |= values == 0.0
    if not is_valid.all():
        raise _Unsure
    return values + 0.0  # of minus zero, zero


def _checked_seconds(texts: Sequence[str]) -> Floats:
    """Seconds of timestamps of one form; a day or hour that no calendar has is a ValueError."""
    packed: npt.NDArray[Any] = np.array(texts, np.bytes_)
    if packed.itemsize != len(_FORM):
        raise _Unsure
    characters = packed.view(np.uint8).reshape(-1, len(_FORM))
    form = np.frombuffer(_FORM, np.uint8)
    is_digit = form == ord("0")
    digits, marks = characters[:, is_digit], characters[:, ~is_digit]
    if (digits - np.uint8(ord("0")) > 9).any() or (marks != form[~is_digit]).any():
        raise _Unsure
    moments = packed.astype(f"S{len(_FORM) - 1}").astype("datetime64[ms]").astype(np.int64)
    if moments.min() < _milliseconds(EARLIEST) or moments.max() >= _milliseconds(LATEST):
        raise _Unsure
    seconds: Floats = moments / 1000.0
    return seconds


def _milliseconds(moment: datetime) -> int:
    return round(1000 * moment.timestamp())
