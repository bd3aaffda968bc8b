"""What CloudWatch is asked about a volume, and its answers put together: pages, statuses, values in any order.

Sums and averages are asked for as they are, and what is worked out of them is worked out here (measuring.py): CloudWatch's
arithmetic takes a missing point for 0 (its user guide, "Metric math syntax and functions"), which would make operations
whose time is unknown infinitely fast. Only the checks are joined by metric math: MAX over a list is the same however a
missing check counts, and one series comes back in place of three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lambdas.collect_volumes.asking import Asker
from lambdas.collect_volumes.volumes import Volume

NAMESPACE: Final = "AWS/EBS"
# Names of points here: metric and statistic there (EBS user guide, "Amazon CloudWatch metrics for Amazon EBS": Sum and
# Average are right for volumes of Nitro and of Xen instances; Minimum and Maximum exist for Nitro alone).
OF_VOLUME: Final[Mapping[str, tuple[str, str]]] = {
    "read_ops": ("VolumeReadOps", "Sum"),
    "write_ops": ("VolumeWriteOps", "Sum"),
    "read_bytes": ("VolumeReadBytes", "Sum"),
    "write_bytes": ("VolumeWriteBytes", "Sum"),
    "read_seconds": ("VolumeTotalReadTime", "Sum"),
    "write_seconds": ("VolumeTotalWriteTime", "Sum"),
    "queue": ("VolumeQueueLength", "Average"),
    "idle_seconds": ("VolumeIdleTime", "Sum"),
}
BURST: Final = ("BurstBalance", "Average")
# 0 or 1 a minute, for volumes of Nitro instances, by instance and volume (CloudWatch user guide, "Supported AWS
# infrastructure metrics", AWS/EBS).
CHECKS: Final[Mapping[str, tuple[str, str]]] = {
    "iops_exceeded": ("VolumeIOPSExceededCheck", "Maximum"),
    "throughput_exceeded": ("VolumeThroughputExceededCheck", "Maximum"),
    "stalled": ("VolumeStalledIOCheck", "Maximum"),
}
# GetMetricData: 500 queries and 100,800 points a call. A call with an expression gets no NextToken, so one must do.
CALL_QUERIES: Final = 500
CALL_POINTS: Final = 100_800
CALL_VOLUMES: Final = CALL_QUERIES // (len(OF_VOLUME) + 1 + len(CHECKS) + 1)
CALL_PERIODS: Final = CALL_POINTS // CALL_QUERIES

Periods = Mapping[datetime, Mapping[str, float]]
"""By the start of a period, the points that it has."""


@dataclass
class Answer:
    """By volume id; what is said of an `incomplete` one is not all that there is."""

    periods: dict[str, dict[datetime, dict[str, float]]] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)


def read_periods(
    volumes: Sequence[Volume], start: datetime, end: datetime, *, period_seconds: int, cloudwatch: Any, asker: Asker
) -> Answer:
    """All points of the periods that begin from `start` on and before `end`, at most CALL_PERIODS of CALL_VOLUMES."""
    request: dict[str, Any] = {
        "MetricDataQueries": [
            query for place, volume in enumerate(volumes) for query in queries_of(volume, place, period_seconds)
        ],
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    answer, statuses = Answer({volume.volume_id: {} for volume in volumes}), _asked(request["MetricDataQueries"])
    while True:
        page = asker.ask(cloudwatch.get_metric_data, "GetMetricData", **request)
        for result in page["MetricDataResults"]:
            place, name = _place_and_name(result["Id"])
            statuses[result["Id"]] = result["StatusCode"]
            _add(answer.periods[volumes[place].volume_id], name, result)
        if not page.get("NextToken"):
            break
        request["NextToken"] = page["NextToken"]
    broken = (_place_and_name(query)[0] for query, status in statuses.items() if status != "Complete")
    answer.incomplete = {volumes[place].volume_id for place in broken}
    return answer


def queries_of(volume: Volume, place: int, period_seconds: int) -> list[dict[str, Any]]:
    """The ids begin with the volume's place in the call."""
    named = dict(OF_VOLUME) | ({"burst": BURST} if volume.spends_credits else {})
    dimensions = {"VolumeId": volume.volume_id}
    queries = [_query(f"v{place}_{name}", asked, dimensions, period_seconds) for name, asked in named.items()]
    if volume.instance_id is None:
        return queries
    dimensions["InstanceId"] = volume.instance_id
    for name, asked in CHECKS.items():
        queries.append(_query(f"v{place}_{name}", asked, dimensions, period_seconds) | {"ReturnData": False})
    joined = ", ".join(f"v{place}_{name}" for name in CHECKS)
    return [*queries, {"Id": f"v{place}_failed_checks", "Expression": f"MAX([{joined}])", "Period": period_seconds}]


def _query(query_id: str, asked: tuple[str, str], dimensions: Mapping[str, str], period_seconds: int) -> dict[str, Any]:
    metric, statistic = asked
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": period_seconds,
            "Stat": statistic,
        },
    }


def _asked(queries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A query that the answer does not mention has not been answered."""
    return {query["Id"]: "" for query in queries if query.get("ReturnData", True)}


def _place_and_name(query_id: str) -> tuple[int, str]:
    place, _, name = query_id.partition("_")
    return int(place.removeprefix("v")), name


def _add(periods: dict[datetime, dict[str, float]], name: str, result: Mapping[str, Any]) -> None:
    for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
        periods.setdefault(moment.astimezone(UTC), {})[name] = value


def period_start(moment: datetime, period_seconds: int) -> datetime:
    """The newest start of a period that is not after the moment."""
    return moment - timedelta(seconds=moment.timestamp() % period_seconds)
