"""GetMetricData with expressions, statuses, order and pages, over MiniStack's store of points.

MiniStack 1.5.33 answers InternalError to an expression, gives points in one order, and knows neither pages nor refusals.
Time stamps and periods are real ones here as everywhere in the laptop's store.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.monitoring.metric_math import Calculation
from local.monitoring.points import ExpressionError, Points, is_series

MOST_QUERIES = 500
MOST_POINTS = 100_800
"""CloudWatch API reference, GetMetricData: both a call."""
QUERY_ID = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}")
SHORT_PERIODS = (1, 5, 10, 20, 30)
MINUTE_SECONDS = 60

Get = Callable[[Any, Mapping[str, Any], bool, bool], Any]


class Refused(ValueError):
    """A request that CloudWatch refuses, with its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Series:
    """One line of the answer: a value or none for each period."""

    query_id: str
    label: str
    points: Points


def register() -> None:
    from ministack.services import cloudwatch

    cloudwatch._get_metric_data = with_expressions(cloudwatch._get_metric_data)


def with_expressions(get: Get) -> Get:
    """_get_metric_data; a request in the query protocol, which no current SDK sends, stays MiniStack's."""

    def answered(params: Any, data: Mapping[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
        from ministack.services import cloudwatch

        if not (is_cbor or is_json):
            return get(params, data, is_cbor, is_json)
        try:
            answer = answer_to(data)
        except Refused as refused:
            return cloudwatch._error(refused.code, str(refused), 400, use_json=is_json, use_cbor=is_cbor)
        if is_cbor:
            results = [cloudwatch._cbor_metric_data_result(result) for result in answer["MetricDataResults"]]
            return cloudwatch._cbor_ok({**answer, "MetricDataResults": results})
        return cloudwatch._json_ok(answer)

    return answered


def answer_to(request: Mapping[str, Any]) -> dict[str, Any]:
    queries: Sequence[Mapping[str, Any]] = request.get("MetricDataQueries") or []
    start, end = _span(request)
    check(queries)
    by_period: dict[int, list[Mapping[str, Any]]] = {}
    for query in queries:
        by_period.setdefault(period_of(query, queries), []).append(query)
    lines = [
        (series, period)
        for period, together in by_period.items()
        for series in returned(together, start=start, end=end, period_seconds=period)
    ]
    order = {query["Id"]: place for place, query in enumerate(queries)}
    lines.sort(key=lambda line: order[line[0].query_id])
    return paged(lines, request, start=start, is_math=any(query.get("Expression") for query in queries))


def _span(request: Mapping[str, Any]) -> tuple[float, float]:
    from ministack.services import cloudwatch

    start, end = (cloudwatch._parse_ts(request.get(name)) for name in ("StartTime", "EndTime"))
    if start is None or end is None:
        raise Refused("MissingParameter", "The parameters StartTime and EndTime are required.")
    if start >= end:
        raise Refused("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
    # Less than 15 days ago StartTime is rounded down to a whole minute; the store keeps nothing older.
    return math.floor(start / MINUTE_SECONDS) * MINUTE_SECONDS, end


def check(queries: Sequence[Mapping[str, Any]]) -> None:
    if len(queries) > MOST_QUERIES:
        raise Refused("ValidationError", f"MetricDataQueries has {len(queries)} members; {MOST_QUERIES} are the most.")
    seen: set[str] = set()
    for query in queries:
        name = query.get("Id", "")
        if not QUERY_ID.fullmatch(name) or name in seen:
            raise Refused("ValidationError", f"The Id {name!r} is given twice or does not match {QUERY_ID.pattern}.")
        seen.add(name)
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise Refused("ValidationError", f"{name} must have either a MetricStat or an Expression.")
        if query.get("MetricStat"):
            period = int(query["MetricStat"]["Period"])
            if period not in SHORT_PERIODS and (period < MINUTE_SECONDS or period % MINUTE_SECONDS):
                raise Refused("ValidationError", f"The Period {period} of {name} is no multiple of 60.")


def period_of(query: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> int:
    """An expression has its own, or the one of the request's metrics."""
    if stat := query.get("MetricStat"):
        return int(stat["Period"])
    periods = {int(other["MetricStat"]["Period"]) for other in queries if other.get("MetricStat")}
    if len(periods) > 1:
        raise Refused(
            "ValidationError", f"on the laptop an expression's metrics have one period, not {sorted(periods)}"
        )
    return periods.pop() if periods else int(query.get("Period") or MINUTE_SECONDS)


def returned(
    queries: Sequence[Mapping[str, Any]], *, start: float, end: float, period_seconds: int
) -> Iterator[Series]:
    """Those that return data; an expression over several series has a line for each."""
    measured = {
        query["Id"]: measured_points(query["MetricStat"], start, end, period_seconds)
        for query in queries
        if query.get("MetricStat")
    }
    expressions = {query["Id"]: query["Expression"] for query in queries if query.get("Expression")}
    calculation = Calculation(expressions, measured, period_seconds)
    for query in queries:
        name, label = query["Id"], query.get("Label") or _label(query)
        try:
            value = calculation.value_of(name)
        except ExpressionError as wrong:
            raise Refused("ValidationError", f"Error in expression '{name}': {wrong}") from wrong
        if isinstance(value, float):
            raise Refused("ValidationError", f"Error in expression '{name}': it must return a time series.")
        if query.get("ReturnData", True):
            for points in [value] if is_series(value) else value:
                yield Series(name, label, list(points))  # type: ignore[arg-type]  # a list of series, or one


def measured_points(stat: Mapping[str, Any], start: float, end: float, period_seconds: int) -> Points:
    """A value for each period that begins from the one of `start` on and before `end`."""
    from ministack.services import cloudwatch

    metric = stat["Metric"]
    dimensions = {entry["Name"]: entry["Value"] for entry in metric.get("Dimensions") or []}
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    first = math.floor(start / period_seconds)
    inside: list[list[Any]] = [[] for _ in range(first, math.ceil(end / period_seconds))]
    for point in list(cloudwatch._metrics.get(key) or []):
        if start <= point["Timestamp"] < end and stat.get("Unit") in (None, point["Unit"]):
            inside[math.floor(point["Timestamp"] / period_seconds) - first].append(point)
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(points), stat["Stat"], points) if points else None
        for points in inside
    ]


def _label(query: Mapping[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"] if query.get("MetricStat") else query["Id"])


def paged(
    lines: Sequence[tuple[Series, int]], request: Mapping[str, Any], *, start: float, is_math: bool
) -> dict[str, Any]:
    """Up to MaxDatapoints points, then a token; none for a request with an expression, whose rest is left out."""
    most = min(int(request.get("MaxDatapoints") or MOST_POINTS), MOST_POINTS)
    each = max(1, most // max(1, len(lines)))
    offset = _offset(request)
    is_cut, results = False, []
    for series, period in lines:
        found = _in_order(series.points, start, period, request.get("ScanBy") or "TimestampDescending")
        page = found[offset : offset + each]
        goes_on = len(found) > offset + each
        is_cut = is_cut or goes_on
        results.append(
            {
                "Id": series.query_id,
                "Label": series.label,
                "Timestamps": [moment for moment, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "PartialData" if goes_on else "Complete",
            }
        )
    return {"MetricDataResults": results} | (
        {"NextToken": _token(request, offset + each)} if is_cut and not is_math else {}
    )


def _in_order(points: Points, start: float, period_seconds: int, order: str) -> list[tuple[str, float]]:
    from ministack.services import cloudwatch

    first = math.floor(start / period_seconds)
    known = [
        (cloudwatch._ts_iso((first + place) * period_seconds), value)
        for place, value in enumerate(points)
        if value is not None
    ]
    return known if order == "TimestampAscending" else known[::-1]


def _token(request: Mapping[str, Any], offset: int) -> str:
    return base64.b64encode(f"{offset}:{_digest(request)}".encode()).decode()


def _offset(request: Mapping[str, Any]) -> int:
    """Where a page begins; a token is good for the request that it was given for."""
    if not request.get("NextToken"):
        return 0
    try:
        offset, _, digest = base64.b64decode(request["NextToken"], validate=True).decode().partition(":")
        if digest == _digest(request):
            return int(offset)
    except (binascii.Error, ValueError):
        pass
    raise Refused("InvalidNextToken", "The next token specified is invalid.")


def _digest(request: Mapping[str, Any]) -> str:
    same = {name: value for name, value in request.items() if name != "NextToken"}
    return hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()[:16]
