"""The fast way from a JSON window to its features, for windows that are right beyond doubt.

Whatever is not certain is no error here: the thorough way (`invocations`) reads it again and accepts it or says what is
wrong. Field names, ranges and choices come from the insight's own tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from insights.features import WINDOW_FIELDS, newest_features
from insights.schema import (
    CHOICES,
    CSV_COLUMNS,
    EARLIEST,
    LATEST,
    MAX_ID_CHARACTERS,
    NUMBER_RULES,
    REQUIRED_FIELDS,
    SMALLEST_NUMBER,
    NumberRule,
    parse_timestamp,
)

Floats = npt.NDArray[np.float64]
FLOAT32_MAXIMUM: Final = float(np.finfo(np.float32).max)  # what the trees compare in
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Uncertain(Exception):
    """The window may be right or wrong; only the thorough way can tell."""


def _bounded(rule: NumberRule) -> Any:
    """Zero and what lies between it and SMALLEST_NUMBER cannot be told apart here; newest_features does it."""
    number = Annotated[float, msgspec.Meta(ge=0.0 if rule.zero else SMALLEST_NUMBER, le=rule.high)]
    return number | None if rule.nullable else number


def _insight_struct() -> Any:
    types: dict[str, Any] = {"device_id": str, "timestamp": str, "device_class": str | None, "is_anomaly": bool | None}
    types |= {rule.name: _bounded(rule) for rule in NUMBER_RULES}
    types |= {name: Literal[choices] | None for name, choices in CHOICES}
    required = [(name, types[name]) for name in REQUIRED_FIELDS]
    optional = [(name, types[name], None) for name in CSV_COLUMNS if name in types and name not in REQUIRED_FIELDS]
    fields: list[Any] = [*required, *optional, ("alert", bool, False)]
    return msgspec.defstruct("InsightText", fields, forbid_unknown_fields=True, gc=False)  # holds text and numbers only


InsightText: Any = _insight_struct()


class WindowText(msgspec.Struct, forbid_unknown_fields=True):
    insights: list[InsightText]
    last_alert_at: str | None = None


class BodyText(msgspec.Struct, forbid_unknown_fields=True):
    instances: list[msgspec.Raw]


_windows: Final = msgspec.json.Decoder(WindowText)
_bodies: Final = msgspec.json.Decoder(BodyText)
_numbers_of: Final = attrgetter(*WINDOW_FIELDS, "latency_slo_ms", "performance_score", "alert")
_EARLIEST_SECONDS: Final = EARLIEST.timestamp()
_LATEST_SECONDS: Final = LATEST.timestamp()


def windows_of(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The windows of a request, each still text; the body itself where it has no list of them."""
    try:
        return _bodies.decode(body).instances
    except UNREADABLE:
        return [body]


def window_features(text: bytes | msgspec.Raw) -> Floats:
    """What compute_window gives, shape (25,), bit for bit; raises Uncertain."""
    try:
        window = _windows.decode(text)
    except UNREADABLE as error:
        raise Uncertain from error
    rows = window.insights
    if not rows:
        raise Uncertain
    _check_texts({row.device_id for row in rows}, {row.device_class for row in rows})
    last_alert_seconds, out = _last_alert_seconds(window.last_alert_at), np.empty((1, len(FEATURE_NAMES)))
    if not newest_features(_table(rows), last_alert_seconds=last_alert_seconds, largest=FLOAT32_MAXIMUM, out=out):
        raise Uncertain
    return out[0]


def _check_texts(devices: set[str], classes: set[str | None]) -> None:
    if len(devices) > 1:
        raise Uncertain
    for text in (*devices, *classes):
        if text is not None and not (
            1 <= len(text) <= MAX_ID_CHARACTERS and text.isascii() and text.isprintable() and not text.isspace()
        ):
            raise Uncertain


def _table(rows: Sequence[Any]) -> Floats:
    """Times of the wire's own form, YYYY-MM-DDTHH:MM:SS.mmmZ, are certain; any other is left to the thorough way."""
    cells: list[float | None] = []
    for row in rows:
        text = row.timestamp
        if len(text) != 24 or text[19] != "." or text[23] != "Z":
            raise Uncertain
        try:
            seconds = datetime.fromisoformat(text).timestamp()
        except ValueError as error:
            raise Uncertain from error
        if not _EARLIEST_SECONDS <= seconds < _LATEST_SECONDS:
            raise Uncertain
        cells.append(seconds)
        cells += _numbers_of(row)
    return np.array(cells, np.float64).reshape(len(rows), -1)  # None becomes NaN


def _last_alert_seconds(text: str | None) -> float:
    if text is None:
        return -math.inf
    try:
        return parse_timestamp(text).timestamp()
    except ValueError as error:
        raise Uncertain from error
