"""What a schema cannot say, put right in the requests that schemathesis makes of it; the rest of a request is its own.

Rows of one request are of one device and of different times, `from` is before `to`, a calendar has no 30 February, and
`next` is what the API gave. Valid names become those of stored things in about every second request, so that answers come too.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis

KNOWN: dict[str, str] = json.loads(os.environ["IOPS_KNOWN"])
"""device_id and prediction_id that the store has."""
PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if isinstance(case.query, dict):
        _mend_query(case.query)
    if isinstance(case.body, dict):
        _mend_body(case.body)


def moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
        return found if found.tzinfo and EARLIEST <= found < LATEST else None
    except (TypeError, ValueError, OverflowError):
        return None


def _looks_like_a_time(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value) is not None


def _known(values: dict[str, Any]) -> None:
    """Both names at once, as a prediction is known by its device's alone."""
    valid = {name for name in KNOWN if _is_name(values.get(name))}
    if "device_id" in valid and len(values["device_id"]) % 2:
        values.update({name: KNOWN[name] for name in valid})


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and PRINTABLE.fullmatch(value) is not None and value.strip() != ""


def _mend_query(query: dict[str, Any]) -> None:
    _known(query)
    if isinstance(query.get("next"), str) and 1 <= len(query["next"]) <= 1024:
        del query["next"]
    for name in ("from", "to"):
        if _looks_like_a_time(query.get(name)) and moment(query[name]) is None:
            del query[name]
    start, end = moment(query.get("from")), moment(query.get("to"))
    if start and end and start >= end:
        del query["to"]


def _mend_body(body: dict[str, Any]) -> None:
    _known(body)
    rows = body.get("insights")
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        _mend_rows(rows)
        newest = max((at for row in rows if (at := moment(row.get("timestamp")))), default=None)
        alert = moment(body.get("last_alert_at"))
        if _looks_like_a_time(body.get("last_alert_at")) and (alert is None or newest is None or alert >= newest):
            del body["last_alert_at"]
    for item in body.get("items", []) if isinstance(body.get("items"), list) else []:
        if isinstance(item, dict):
            _mend_body(item)


def _mend_rows(rows: list[dict[str, Any]]) -> None:
    """Valid names become the first row's, valid times follow one another within the window of their intervals."""
    first = rows[0].get("device_id")
    for place, row in enumerate(rows):
        if _is_name(first) and _is_name(row.get("device_id")):
            row["device_id"] = first
        if _looks_like_a_time(row.get("timestamp")):
            at = datetime(2026, 3, 2, 10, 0, tzinfo=UTC) + timedelta(seconds=place)
            row["timestamp"] = at.isoformat()
