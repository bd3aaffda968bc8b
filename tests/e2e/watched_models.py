"""Traffic of a fleet at the endpoints, and what WatchModels finds in it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from insights.schema import Insight, timestamp_text
from lambdas.attribute_values import to_item
from lambdas.metric_names import METRICS_NAMESPACE
from tests.e2e.served_models import ServedModels, endpoint_name
from tests.training_container.captured_requests import windows

SEED, WINDOWS_A_REQUEST = 91, 20
LATENCIES = ("avg_latency_ms", "p95_latency_ms", "p99_latency_ms")


@dataclass(frozen=True)
class Watched:
    """What one execution came to by kind, what it left in latest.json, and its metrics by kind and name."""

    outputs: Mapping[str, Mapping[str, Any]]
    latest: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[tuple[str, str], float]


def slower(insight: Insight) -> Insight:
    return replace(insight, **{name: 2 * getattr(insight, name) for name in LATENCIES})


def same(insight: Insight) -> Insight:
    return insight


def ask(served: ServedModels, kind: str, change: Any) -> int:
    """Windows of a fleet that trained nothing, as the API sends them; how many."""
    instances = [
        {"insights": [row.to_json() for row in window], "last_alert_at": None}
        for window in windows(seed=SEED, change=change)
    ]
    for first in range(0, len(instances), WINDOWS_A_REQUEST):
        body = json.dumps({"instances": instances[first : first + WINDOWS_A_REQUEST]})
        served.invoke(kind, body, ContentType="application/json")
    return len(instances)


def captured(served: ServedModels, kind: str, since: datetime) -> int:
    """Windows that the capture files hold of requests made since."""
    s3, bucket = served.cloud.client("s3"), served.deployment["IopsData.BucketName"]
    found = 0
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"monitoring/data-capture/{endpoint_name(kind)}/"
    )
    for entry in (entry for page in pages for entry in page.get("Contents", [])):
        for line in s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().splitlines():
            record = json.loads(line)
            side, moment = record["captureData"]["endpointInput"], record["eventMetadata"]["inferenceTime"]
            if datetime.fromisoformat(moment) >= since and side["observedContentType"] == "application/json":
                found += len(json.loads(side["data"])["instances"])
    return found


def know_outcomes(served: ServedModels) -> None:
    """Predictions of twenty devices, 15 right and 5 wrong, as the API stores them and outcomes are joined to them."""
    dynamodb, made_at = served.cloud.client("dynamodb"), timestamp_text(datetime.now(UTC))
    for number in range(20):
        device = f"fleet-{number}"
        prediction = {
            "device_id": device,
            "predicted_at_id": f"{made_at}#risk#{number:08x}",
            "kind": "risk",
            "predicted_at": made_at,
            "variant": "live",
            "model_version": served.live_package("risk"),
            "risk_level": "low",
            "probabilities": {"low": 0.75, "medium": 0.125, "high": 0.0625, "critical": 0.0625},
            "outcome": {"risk_level": "low" if number < 15 else "high", "performance_score": 90.0},
        }
        for table, item in (("Predictions", prediction), ("Devices", {"device_id": device})):
            dynamodb.put_item(TableName=served.deployment[f"IopsData.{table}TableName"], Item=to_item(item))


def watch(served: ServedModels, since: datetime, asked: Mapping[str, int]) -> Watched:
    """The period from `since` to now, once every request of it is captured."""
    deadline = time.monotonic() + 60
    while any(captured(served, kind, since) < count for kind, count in asked.items()) and time.monotonic() < deadline:
        time.sleep(1)
    end = datetime.now(UTC) + timedelta(seconds=1)
    hours = (end - since).total_seconds() / 3600
    execution = served.execute("WatchModels", {"end": end.isoformat(), "hours": hours})
    assert execution.status == "SUCCEEDED", execution.cause
    s3, bucket = served.cloud.client("s3"), served.deployment["IopsData.BucketName"]
    latest = {
        kind: json.loads(s3.get_object(Bucket=bucket, Key=f"monitoring/{kind}/latest.json")["Body"].read())
        for kind in asked
    }
    metrics = {
        (kind, name): metric(served, kind, name, since)
        for kind in asked
        for name in ("DriftDetected", "CapturedRows", "JoinedOutcomes")
    }
    return Watched({output["kind"]: output for output in execution.output["models"]}, latest, metrics)


def metric(served: ServedModels, kind: str, name: str, since: datetime) -> float:
    """The largest value that the function has put since; it reaches CloudWatch through the function's log."""
    dimensions = [{"Name": "Kind", "Value": kind}, {"Name": "service", "Value": "publish_watch"}]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        points = served.cloud.client("cloudwatch").get_metric_statistics(
            Namespace=METRICS_NAMESPACE,
            MetricName=name,
            Dimensions=dimensions,
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=2),
            Period=1,
            Statistics=["Maximum"],
        )["Datapoints"]
        if points:
            return float(max(points, key=lambda point: point["Timestamp"])["Maximum"])
        time.sleep(0.5)
    raise AssertionError(f"{name} of {kind} never reached CloudWatch")


def truncated(moment: datetime) -> datetime:
    """Captured requests are stamped by the second."""
    return moment.replace(microsecond=0)
