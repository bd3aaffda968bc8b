"""Tables as the data stack's template defines them, in an in-memory AWS; events are real ones, in events/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from insights.schema import Insight
from lambdas.insight_writer import InsightWriter

BUCKET = "iops-bucket"
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
EVENTS = Path(__file__).parent / "events"
_TABLE_PROPERTIES = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


@dataclass(frozen=True)
class Cloud:
    """Clients of the in-memory AWS and the names of what stands in it."""

    s3: Any
    dynamodb: Any
    insights_table: str = "insights"
    predictions_table: str = "predictions"
    devices_table: str = "devices"
    requests_table: str = "requests"
    bucket: str = BUCKET

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"]: self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read() for entry in found
        }

    def json(self, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def rows(self) -> list[dict[str, Any]]:
        return list(self.dynamodb.scan(TableName=self.insights_table)["Items"])


@pytest.fixture
def aws_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)


@cache
def client_of(service: str) -> Any:
    """A client per service for all tests (making one takes longer than most of them); it keeps no state."""
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture(scope="session")
def aws_client() -> Callable[[str], Any]:
    return client_of


@pytest.fixture
def cloud(aws_identity: None, aws_client: Any, templates: Mapping[str, dict[str, Any]]) -> Iterator[Cloud]:
    with mock_aws():
        made = Cloud(aws_client("s3"), aws_client("dynamodb"))
        made.s3.create_bucket(Bucket=BUCKET)
        names = {
            ("device_id", "timestamp"): made.insights_table,
            ("device_id", "predicted_at_id"): made.predictions_table,
            ("device_id",): made.devices_table,
            ("client_minute",): made.requests_table,
        }
        for table in (*_tables(templates["IopsData"]), *_tables(templates["IopsApi"])):
            properties = {name: table[name] for name in _TABLE_PROPERTIES if table.get(name)}
            key = tuple(entry["AttributeName"] for entry in properties["KeySchema"])
            made.dynamodb.create_table(TableName=names[key], **properties)
        yield made


def _tables(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::DynamoDB::Table"]


@pytest.fixture
def event() -> Callable[[str], Any]:
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text())


@dataclass
class Context:
    """What Lambda hands to a handler."""

    remaining_ms: int = 900_000
    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "52fdfc07-2182-454f-963f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def make_insight() -> Callable[..., Insight]:
    """An insight of `device` in the n-th five-minute interval after 2026-03-02T10:00Z."""

    def make(device: str = "nvme-1", interval: int = 0, **changes: Any) -> Insight:
        values: dict[str, Any] = {
            "device_id": device,
            "timestamp": START + timedelta(minutes=5 * interval),
            "interval_seconds": 300.0,
            "read_iops": 1000.0,
            "write_iops": 500.5,
            "bandwidth_mbps": 42.0,
            "avg_latency_ms": 1.25,
        }
        return Insight(**{**values, **changes})

    return make


@pytest.fixture
def stored(cloud: Cloud, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Twenty rows of nvme-1 in a row, and three of hdd-2."""
    rows = [make_insight("nvme-1", n) for n in range(20)] + [make_insight("hdd-2", n) for n in range(3)]
    InsightWriter("insights", cloud.dynamodb).write(rows)
    return rows


def refusal(code: str, operation: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code} was made up"}, **more}, operation)


@pytest.fixture
def make_refusal() -> Callable[..., ClientError]:
    return refusal


@dataclass
class MeteredTable:
    """A DynamoDB client with small pages that throttles the calls whose numbers (from 0) are in `throttled`."""

    client: Any
    page_rows: int = 1000
    throttled: frozenset[int] = frozenset()
    calls: int = 0
    last_code: str = "ProvisionedThroughputExceededException"
    delays: list[float] = field(default_factory=list)

    def scan(self, **request: Any) -> Any:
        self._meter("Scan")
        return self.client.scan(**request, Limit=self.page_rows)

    def batch_write_item(self, **request: Any) -> Any:
        self._meter("BatchWriteItem")
        return self.client.batch_write_item(**request)

    def _meter(self, operation: str) -> None:
        self.calls += 1
        if self.calls - 1 in self.throttled:
            raise refusal(self.last_code, operation)


@pytest.fixture
def metered() -> type[MeteredTable]:
    return MeteredTable
