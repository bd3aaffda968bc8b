"""The parameters of a query, each refused with its name, its value and what to send instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from insights.schema import InvalidInsight, check_device_id, parse_timestamp, timestamp_text
from lambdas.api.problems import InvalidRequest


def refuse(field: str, rule: str) -> NoReturn:
    raise InvalidRequest(f"{field}: {rule}", field=field)


def check_names(query: Mapping[str, str], known: Sequence[str]) -> None:
    for name in query:
        if name not in known:
            refuse(name[:80], f"there is no such parameter; known are {', '.join(known)}")


def device_id_of(values: Mapping[str, object]) -> str:
    """The device_id of a query or of a body."""
    device_id = values.get("device_id")
    try:
        check_device_id(device_id)
    except InvalidInsight as refusal:
        refuse("device_id", refusal.rule)
    return str(device_id)


def limit_of(query: Mapping[str, str], *, most: int, default: int) -> int:
    text = query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not 1 <= int(text) <= most:
        refuse("limit", f"it must be a whole number from 1 to {most}")
    return int(text)


def choice_of(query: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in choices:
        refuse(name, f"it must be one of {', '.join(choices)}")
    return value


def time_range_of(query: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`from` (inclusive) and `to` (exclusive) as the store's text, whose order is that of time."""
    start, end = (_moment(query, name) for name in ("from", "to"))
    if start and end and start >= end:
        refuse("to", "it must be later than from")
    return (timestamp_text(start) if start else None), (timestamp_text(end) if end else None)


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        return parse_timestamp(query[name])
    except InvalidInsight as refusal:
        refuse(name, f"{refusal.rule} (a + of an offset is written %2B in an address)")
