"""What a segment of the export does with a row, and what it must at least do: ROWS (100,000) of a table in pages.

Pages are the JSON that DynamoDB answers. "As usually written" is what boto3 offers for each step: botocore's own parser
of answers, TypeDeserializer, Decimal, json.dumps; the CSV form is made from the JSON by a second function. CPU time of
one process, the faster of two rounds each.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
from boto3.dynamodb.types import TypeDeserializer
from botocore.parsers import JSONParser

from bench.material.table import keep, show
from insights.row_text import row_texts
from insights.schema import CSV_COLUMNS, Insight
from lambdas.attribute_values import to_item
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.export_insights.sources import plain_item
from lambdas.export_insights.table_client import ItemsAsTheyCome

PAGE_ROWS = 1200  # about the megabyte of one answer
DEVICE_ROWS = 500
SEED = 7


NAMES = ("as usually written", "export_insights")


def main() -> None:
    rows = int(os.environ.get("ROWS", "100000"))
    pages = list(answers(rows))
    some = [item for body in pages[: max(len(pages) // 4, 1)] for item in json.loads(body)["Items"]]
    insights = [Insight.from_item(plain_item(item)) for item in some]
    text = "\n".join(row_texts(insight)[0] for insight in insights).encode()
    steps: list[tuple[str, int, Callable[[], Any], Callable[[], Any]]] = [
        ("read the answer", rows, lambda: parsed(JSONParser(), pages), lambda: parsed(ItemsAsTheyCome(), pages)),
        ("to insights", len(some), lambda: usual_insights(some), lambda: quick_insights(some)),
        ("to JSON and CSV", len(some), lambda: usual_texts(insights), lambda: quick_texts(insights)),
        ("SHA-256", len(some), lambda: hashed(text), lambda: hashed(text)),
    ]
    rates = [(name, count / seconds(usual), count / seconds(quick)) for name, count, usual, quick in steps]
    rates.append(
        ("a whole segment", 1 / sum(1 / usual for _, usual, _ in rates), rows / seconds(lambda: export(pages)))
    )
    found = [{"step": name, NAMES[0]: round(usual), NAMES[1]: round(quick)} for name, usual, quick in rates]
    show(f"Rows a second of one core, {rows:,} rows", found)
    keep("export", {"rows": rows, "steps": found})


def seconds(call: Callable[[], Any]) -> float:
    def once() -> float:
        started = time.process_time()
        call()
        return time.process_time() - started

    return min(once(), once())


def answers(rows: int) -> Iterator[bytes]:
    left = items(rows)
    while page := list(itertools.islice(left, PAGE_ROWS)):
        yield json.dumps({"Items": page, "Count": len(page), "ScannedCount": len(page)}).encode()


def items(rows: int) -> Iterator[dict[str, Any]]:
    draw, start = random.Random(SEED).random, datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(rows):
        load = draw()
        insight = Insight(
            device_id=f"array-{number // DEVICE_ROWS:05d}/nvme0",
            timestamp=start + timedelta(minutes=5 * (number % DEVICE_ROWS)),
            interval_seconds=300.0,
            read_iops=load * 1000,
            write_iops=load * 500,
            avg_latency_ms=load,
            p95_latency_ms=load * 2,
            p99_latency_ms=load * 3,
            bandwidth_mbps=load * 40,
            error_rate=0.0,
            queue_depth=load * 1.5,
            io_size_kib=16.0,
            sequential_ratio=draw(),
            provisioned_iops=3000.0,
            latency_slo_ms=10.0,
            device_class="nvme",
            workload_type="mixed",
            is_anomaly=False,
            risk_level="low",
            performance_score=draw() * 100,
            label_source="auto",
        )
        yield to_item({name: value for name, value in insight.to_json().items() if value is not None})


def parsed(parser: Any, pages: list[bytes]) -> list[Any]:
    shape = botocore.session.Session().get_service_model("dynamodb").operation_model("Scan").output_shape
    return [parser.parse({"headers": {}, "status_code": 200, "body": body}, shape)["Items"] for body in pages]


def usual_insights(items: list[Any]) -> list[Insight]:
    found = []
    for item in items:
        deserialize = TypeDeserializer().deserialize
        found.append(Insight.from_item({name: deserialize(value) for name, value in item.items()}))
    return found


def quick_insights(items: list[Any]) -> list[Insight]:
    return [Insight.from_item(plain_item(item)) for item in items]


def usual_texts(insights: list[Insight]) -> str:
    lines = [json.dumps(insight.to_json(), separators=(",", ":")) for insight in insights]
    table = io.StringIO()
    writer = csv.DictWriter(table, CSV_COLUMNS, lineterminator="\n")
    for line in lines:
        writer.writerow(Insight.from_json(json.loads(line)).to_csv())
    return table.getvalue()


def quick_texts(insights: list[Insight]) -> list[tuple[str, str]]:
    return [row_texts(insight) for insight in insights]


def hashed(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def export(pages: list[bytes]) -> None:
    """Answers read, batches written into memory."""
    segment = Segment(
        run_id="bench",
        bucket="bucket",
        raw_prefix="raw/bench/",
        device_prefix=None,
        segment=0,
        start_key=None,
        batch=0,
    )
    export_insights(
        segment,
        environment=ExportEnvironment("insights"),
        remaining_seconds=lambda: 900.0,
        dynamodb=PagedTable(pages),
        s3=Sink(),
    )


class PagedTable:
    """DynamoDB's answers in order, read as the export's client reads them."""

    def __init__(self, pages: list[bytes]) -> None:
        self._pages, self._next = pages, 0
        self._parser: Any = ItemsAsTheyCome()
        model = botocore.session.Session().get_service_model("dynamodb")
        self._shape = model.operation_model("Scan").output_shape

    def scan(self, **_: Any) -> dict[str, Any]:
        response = {"headers": {}, "status_code": 200, "body": self._pages[self._next]}
        page: dict[str, Any] = self._parser.parse(response, self._shape)
        self._next += 1
        if self._next < len(self._pages):
            last = page["Items"][-1]
            page["LastEvaluatedKey"] = {name: last[name] for name in ("device_id", "timestamp")}
        return page


class Sink:
    """An S3 that keeps nothing."""

    def put_object(self, **_: Any) -> dict[str, str]:
        return {"ETag": ""}

    def get_paginator(self, _: str) -> Sink:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return []
