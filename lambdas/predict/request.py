"""The body of a prediction request, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from insights.schema import WHOLE_RECORD, Insight, InvalidInsight, parse_timestamp
from lambdas.api.problems import InvalidRequest, Problem
from lambdas.api.queries import device_id_of

MOST_INSIGHTS = 48  # four windows
MOST_ITEMS = 100
_FIELDS = ("device_id", "insights", "last_alert_at")


@dataclass(frozen=True, kw_only=True)
class PredictionRequest:
    """A stored device (`insights` empty), or a caller's own rows, oldest first."""

    device_id: str
    insights: tuple[Insight, ...] = ()
    last_alert_at: datetime | None = None


def parse_body(body: object) -> PredictionRequest | list[PredictionRequest | Problem]:
    """One request; or those of `items` in their order, with the problem in the place of one that is wrong."""
    if not isinstance(body, Mapping) or "items" not in body:
        return parse_request(body)
    for name in body:
        if name != "items":
            _refuse(str(name), "items stand alone; put it into each of them")
    items = body["items"]
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        count = f", not {len(items)}" if isinstance(items, list) else ""
        _refuse("items", f"it must be a list of 1 to {MOST_ITEMS} requests{count}")
    return [_parsed_item(place, item) for place, item in enumerate(items)]


def _parsed_item(place: int, item: object) -> PredictionRequest | Problem:
    try:
        return parse_request(item)
    except InvalidRequest as problem:
        return InvalidRequest(problem.detail, field=f"items[{place}].{problem.field}")


def parse_request(body: object) -> PredictionRequest:
    if not isinstance(body, Mapping):
        _refuse("body", 'it must be a JSON object such as {"device_id": "array-1/nvme0"}')
    for name in body:
        if name not in _FIELDS:
            _refuse(str(name)[:80], f"no such field; known are {', '.join(_FIELDS)}, or items")
    if ("device_id" in body) == ("insights" in body):
        _refuse("device_id", "give exactly one of device_id (a stored device) and insights (your own rows)")
    if "insights" in body:
        return _own_rows(body["insights"], body.get("last_alert_at"))
    if "last_alert_at" in body:
        _refuse("last_alert_at", "it belongs to insights; of a stored device the last alert is known")
    return PredictionRequest(device_id=device_id_of(body))


def _own_rows(given: object, last_alert_at: object) -> PredictionRequest:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_INSIGHTS:
        _refuse("insights", f"it must be a list of 1 to {MOST_INSIGHTS} insights of one device")
    rows = [_row(position, value) for position, value in enumerate(given)]
    seen: set[datetime] = set()
    for position, row in enumerate(rows):
        if row.device_id != rows[0].device_id:
            _refuse(f"insights[{position}].device_id", f"one request is about one device, here {rows[0].device_id!r}")
        if row.timestamp in seen:
            _refuse(f"insights[{position}].timestamp", "another row of the request has the same timestamp")
        seen.add(row.timestamp)
    rows.sort(key=lambda row: row.timestamp)
    return PredictionRequest(
        device_id=rows[0].device_id,
        insights=tuple(rows),
        last_alert_at=_last_alert(last_alert_at, before=rows[-1].timestamp),
    )


def _row(position: int, value: Any) -> Insight:
    place = f"insights[{position}]"
    try:
        return Insight.from_json(value, record=place)
    except InvalidInsight as refusal:
        field = place if refusal.field == WHOLE_RECORD else f"{place}.{refusal.field}"
        raise InvalidRequest(str(refusal), field=field) from refusal


def _last_alert(value: object, *, before: datetime) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parse_timestamp(value) if isinstance(value, str) else None
    except InvalidInsight:
        moment = None
    if moment is None or moment >= before:
        _refuse("last_alert_at", "it must be an ISO 8601 time with its offset, before the newest insight; or null")
    return moment


def _refuse(field: str, rule: str) -> NoReturn:
    raise InvalidRequest(f"field {field}: {rule}", field=field)
