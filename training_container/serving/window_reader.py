"""The fast way from JSON windows to their features, for windows that are right beyond doubt.

Whatever is not certain is no error here: the thorough way (`invocations`) reads it again and accepts it or says what is
wrong. Field names, ranges and choices come from the insight's own tables.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from insights.features import WINDOW_FIELDS, newest_features
from insights.schema import (
    CHOICES,
    CSV_COLUMNS,
    MAX_ID_CHARACTERS,
    NUMBER_RULES,
    REQUIRED_FIELDS,
    SMALLEST_NUMBER,
    NumberRule,
    parse_timestamp,
)

Floats = npt.NDArray[np.float64]


NUMBERS: Final = (*WINDOW_FIELDS, "alert")


class Uncertain(Exception):
    """The request may be right or wrong; only the thorough way can tell."""


def _bounded(rule: NumberRule) -> Any:
    """Zero and what lies between it and SMALLEST_NUMBER cannot be told apart here; window_features does it."""
    number = Annotated[float, msgspec.Meta(ge=0.0 if rule.zero else SMALLEST_NUMBER, le=rule.high)]
    return number | None if rule.nullable else number


def _insight_struct() -> Any:
    types: dict[str, Any] = {"device_id": str, "timestamp": str, "device_class": str | None, "is_anomaly": bool | None}
    types["alert"] = bool
    types |= {rule.name: _bounded(rule) for rule in NUMBER_RULES}
    types |= {name: Literal[choices] | None for name, choices in CHOICES}
    defaults = {name: None for name in CSV_COLUMNS if name not in REQUIRED_FIELDS} | {"alert": False}
    fields = [
        (name, types[name], defaults[name]) if name in defaults else (name, types[name])
        for name in sorted(CSV_COLUMNS, key=_place)
    ]
    # gc: an insight holds text and numbers only
    return msgspec.defstruct("InsightText", fields, forbid_unknown_fields=True, kw_only=True, gc=False)


def _place(name: str) -> int:
    """What the kernel reads stands first."""
    return NUMBERS.index(name) if name in NUMBERS else len(NUMBERS)


InsightText: Any = _insight_struct()


class WindowText(msgspec.Struct, forbid_unknown_fields=True):
    insights: list[InsightText]
    last_alert_at: str | None = None


class BodyText(msgspec.Struct, forbid_unknown_fields=True):
    """Windows, or one window by itself."""

    instances: list[WindowText] | None = None
    insights: list[InsightText] | None = None
    last_alert_at: str | None = None


_bodies: Final = msgspec.json.Decoder(BodyText)


def windows_of(body: bytes) -> list[WindowText]:
    """At least one; raises Uncertain."""
    try:
        read = _bodies.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Uncertain from error
    if read.instances and read.insights is None and read.last_alert_at is None:
        return read.instances
    if read.insights is not None and read.instances is None:
        return [WindowText(read.insights, read.last_alert_at)]
    raise Uncertain


def fill_features(window: WindowText, out: npt.NDArray[np.float32], place: int) -> None:
    """out[place] becomes what compute_window gives, rounded to float32, bit for bit; raises Uncertain."""
    rows = window.insights
    _check_texts({row.device_id for row in rows}, {row.device_class for row in rows})
    texts = [row.timestamp for row in rows]
    timestamps = "".join(texts).encode()
    is_certain = len(timestamps) == 24 * len(rows) and newest_features(
        timestamps, _numbers(rows), last_alert_seconds=_seconds(window.last_alert_at), out=out, place=place
    )
    if not is_certain:
        raise Uncertain


def _check_texts(devices: set[str], classes: set[str | None]) -> None:
    if len(devices) != 1:
        raise Uncertain
    for text in (*devices, *classes):
        if text is not None and not (
            1 <= len(text) <= MAX_ID_CHARACTERS and text.isascii() and text.isprintable() and not text.isspace()
        ):
            raise Uncertain


def _numbers(rows: Sequence[Any]) -> Floats:
    cells: list[float | None] = []
    for row in rows:
        cells += astuple(row)[: len(NUMBERS)]
        score = row.performance_score
        if score is not None and 0.0 < score < SMALLEST_NUMBER:  # of the fields that no feature reads the only one
            raise Uncertain
    form = f"{len(cells)}d"  # a third of np.array's time
    try:
        packed = struct.pack(form, *cells)
    except struct.error:
        packed = struct.pack(form, *[math.nan if cell is None else cell for cell in cells])
    return np.frombuffer(packed)


def _seconds(text: str | None) -> float:
    if text is None:
        return -math.inf
    try:
        return parse_timestamp(text).timestamp()
    except ValueError as error:
        raise Uncertain from error
