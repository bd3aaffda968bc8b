"""EC2 and CloudWatch in memory, as far as the collector asks them: pages, statuses, points that come late, refusals."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.validate import validate_parameters

from lambdas.throttling import Backoff

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PERIOD = timedelta(minutes=5)
INSTANCE = "i-0123456789abcdef0"
# A busy period: 100 reads/s of 4 KiB at 1 ms, 50 writes/s of 8 KiB at 3 ms.
BUSY: Mapping[str, float] = {
    "VolumeReadOps": 30_000,
    "VolumeWriteOps": 15_000,
    "VolumeReadBytes": 30_000 * 4096,
    "VolumeWriteBytes": 15_000 * 8192,
    "VolumeTotalReadTime": 30,
    "VolumeTotalWriteTime": 45,
    "VolumeQueueLength": 0.25,
    "VolumeIdleTime": 200,
}


def described(volume_id: str, volume_type: str = "gp3", *, attached: bool = True, **more: Any) -> dict[str, Any]:
    """An entry of DescribeVolumes."""
    attachments = [{"InstanceId": INSTANCE, "State": "attached", "VolumeId": volume_id}] if attached else []
    entry = {"VolumeId": volume_id, "VolumeType": volume_type, "Size": 100, "Iops": 3000, "Attachments": attachments}
    return {**entry, **more}


@cache
def _model(service: str) -> Any:
    return Session().get_service_model(service)


def _check(service: str, operation: str, request: Mapping[str, Any]) -> None:
    validate_parameters(request, _model(service).operation_model(operation).input_shape)


@dataclass
class Refusals:
    """Throttles the calls whose numbers (from 0) are in `throttled`."""

    throttled: frozenset[int] = frozenset()
    calls: int = 0

    def meter(self, operation: str) -> None:
        self.calls += 1
        if self.calls - 1 in self.throttled:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, operation)


@dataclass
class Ec2:
    """Two volumes a page."""

    volumes: list[dict[str, Any]]
    refusals: Refusals = field(default_factory=Refusals)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def describe_volumes(self, **request: Any) -> dict[str, Any]:
        _check("ec2", "DescribeVolumes", request)
        self.asked.append(request)
        self.refusals.meter("DescribeVolumes")
        first = int(request.get("NextToken", "0"))
        page: dict[str, Any] = {"Volumes": self.volumes[first : first + 2]}
        return page | ({"NextToken": str(first + 2)} if first + 2 < len(self.volumes) else {})


@dataclass
class CloudWatch:
    """`now`: what it was given later than that is not there yet. Points come back in any order within a query."""

    now: datetime = NOON
    refusals: Refusals = field(default_factory=Refusals)
    most_points: int = 100_800
    partial: set[str] = field(default_factory=set)
    """Volumes of which it never has all."""
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    _points: dict[tuple[str, ...], dict[datetime, tuple[float, datetime]]] = field(default_factory=dict)
    _order: random.Random = field(default_factory=lambda: random.Random(5))

    def put(
        self,
        volume_id: str,
        start: datetime,
        points: Mapping[str, float] = BUSY,
        *,
        seen_at: datetime | None = None,
        instance: str | None = None,
    ) -> None:
        for name, value in points.items():
            key = (name, volume_id, *([instance] if instance else []))
            self._points.setdefault(key, {})[start] = (float(value), seen_at or start + PERIOD)

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        _check("cloudwatch", "GetMetricData", request)
        queries = request["MetricDataQueries"]
        assert len(queries) <= 500
        self.refusals.meter("GetMetricData")
        self.spans.append((request["StartTime"], request["EndTime"]))
        measured = {q["Id"]: self._measured(q["MetricStat"], request) for q in queries if "MetricStat" in q}
        lines = {q["Id"]: measured.get(q["Id"]) for q in queries if q.get("ReturnData", True)}
        for query in queries:
            if "Expression" in query:
                lines[query["Id"]] = _greatest(query["Expression"], measured)
        is_math = any("Expression" in query for query in queries)
        return self._page(lines, request, {q["Id"]: _volume_of(q, queries) for q in queries}, is_math=is_math)

    def _measured(self, stat: Mapping[str, Any], request: Mapping[str, Any]) -> dict[datetime, float]:
        assert stat["Metric"]["Namespace"] == "AWS/EBS"
        assert stat["Period"] == PERIOD.total_seconds()
        dimensions = {entry["Name"]: entry["Value"] for entry in stat["Metric"]["Dimensions"]}
        instance = [dimensions["InstanceId"]] if "InstanceId" in dimensions else []
        found = self._points.get((stat["Metric"]["MetricName"], dimensions["VolumeId"], *instance), {})
        return {
            start: value
            for start, (value, seen_at) in found.items()
            if request["StartTime"] <= start < request["EndTime"] and seen_at <= self.now
        }

    def _page(
        self, lines: Mapping[str, Any], request: Mapping[str, Any], volumes: Mapping[str, str], *, is_math: bool
    ) -> dict[str, Any]:
        first, each = int(request.get("NextToken", "0")), max(1, self.most_points // len(lines))
        is_cut, results = False, []
        for name, points in lines.items():
            page = sorted(points.items())[first : first + each]
            self._order.shuffle(page)
            goes_on = len(points) > first + each
            is_cut = is_cut or goes_on
            results.append(
                {
                    "Id": name,
                    "Label": name,
                    "Timestamps": [start for start, _ in page],
                    "Values": [value for _, value in page],
                    "StatusCode": "PartialData" if goes_on or volumes[name] in self.partial else "Complete",
                }
            )
        return {"MetricDataResults": results} | ({"NextToken": str(first + each)} if is_cut and not is_math else {})


def _greatest(expression: str, measured: Mapping[str, Mapping[datetime, float]]) -> dict[datetime, float]:
    listed = re.fullmatch(r"MAX\(\[(.*)\]\)", expression)
    assert listed, f"only MAX over a list is known here, not {expression}"
    found: dict[datetime, float] = {}
    for name in listed[1].split(", "):
        for start, value in measured[name].items():
            found[start] = max(value, found.get(start, value))
    return found


def _volume_of(query: Mapping[str, Any], queries: list[dict[str, Any]]) -> str:
    place = query["Id"].partition("_")[0]
    [stat, *_] = [q["MetricStat"] for q in queries if "MetricStat" in q and q["Id"].startswith(f"{place}_")]
    [volume_id] = [entry["Value"] for entry in stat["Metric"]["Dimensions"] if entry["Name"] == "VolumeId"]
    return str(volume_id)


def periods(count: int, *, before: datetime = NOON) -> Iterator[datetime]:
    """Starts of the last periods that are over, oldest first."""
    return (before - back * PERIOD for back in range(count, 0, -1))


def quick(attempts: int = 3) -> Backoff:
    return Backoff(attempts=attempts, sleep=lambda _: None)
