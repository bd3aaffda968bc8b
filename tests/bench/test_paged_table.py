from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench.material import paged_table, scale_steps
from bench.material.folder_bucket import FolderBucket
from bench.material.paged_table import Pages, StoredTable, answering
from bench.scale import NO_AWS
from insights.files import write_json
from insights.schema import Insight
from lambdas.insight_writer import InsightWriter

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def insights(devices: int, rows: int) -> list[Insight]:
    return [
        Insight(
            device_id=f"synthetic-7-{device:06d}",
            timestamp=START + timedelta(minutes=5 * row),
            interval_seconds=300.0,
            read_iops=float(row),
            write_iops=1.5,
            bandwidth_mbps=42.0,
            risk_level="low" if row % 2 else None,
        )
        for device in range(devices)
        for row in range(rows)
    ]


def scanned(table: Pages, segment: int, first: Any = None) -> list[tuple[str, str]]:
    client = answering(
        boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"), table
    )
    request: dict[str, Any] = {"TableName": "insights", "Segment": segment, "TotalSegments": 3}
    request |= {"ExclusiveStartKey": first} if first else {}
    found = []
    while True:
        page = client.scan(**request)
        found += [(item["device_id"]["S"], item["timestamp"]["S"]) for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return found
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged_table, "PAGE_BYTES", 2000)


def test_a_scan_gives_every_row_once_and_a_device_within_one_segment(small_pages: None, tmp_path: Path) -> None:
    written = insights(devices=20, rows=9)
    table = StoredTable(tmp_path / "table", segments=3)
    InsightWriter("insights", table).write(written)
    table.close()
    opened = StoredTable.opened(tmp_path / "table")
    segments = [scanned(opened, number) for number in range(3)]
    keys = [(row.to_item()["device_id"], row.to_item()["timestamp"]) for row in written]
    assert sorted(row for rows in segments for row in rows) == sorted(keys)
    assert len({device for rows in segments for device, _ in set(rows)}) == 20
    assert sum(len({device for device, _ in rows}) for rows in segments) == 20
    assert all(len(rows) > 9 for rows in segments)


def test_a_scan_goes_on_behind_any_row_not_only_behind_a_page(small_pages: None, tmp_path: Path) -> None:
    table = StoredTable(tmp_path / "table", segments=1)
    InsightWriter("insights", table).write(insights(devices=6, rows=9))
    table.close()
    opened = StoredTable.opened(tmp_path / "table")
    rows = scanned(opened, 0)
    for place in (0, 4, 8, 30, 52):
        device, moment = rows[place]
        assert scanned(opened, 0, {"device_id": {"S": device}, "timestamp": {"S": moment}}) == rows[place + 1 :]


def test_what_is_exported_from_a_table_and_without_one_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their manifests agree on everything but how the rows are divided among objects."""
    for name, value in NO_AWS.items():
        monkeypatch.setenv(name, value)
    manifests = {}
    for way in ("export", "export_generated"):
        folder = tmp_path / way
        generated = folder / scale_steps.BUCKET / scale_steps.RAW_PREFIX / "generated"
        generated.mkdir(parents=True)
        write_json(generated / "part-00000.json", insights(devices=20, rows=9))
        for step in ("ingest", "export", "manifest") if way == "export" else (way, "manifest"):
            scale_steps.main(step, folder)
        text = FolderBucket(folder / scale_steps.BUCKET).get_object(Key=f"{scale_steps.RAW_PREFIX}manifest.json")
        manifests[way] = json.loads(text["Body"].read())
    told = ("rows", "labelled", "labelled_by_source", "counts", "devices", "quarantined")
    assert {name: manifests["export"][name] for name in told} == {
        name: manifests["export_generated"][name] for name in told
    }
    assert manifests["export"]["rows"] == 180
    assert manifests["export"]["counts"]["low"] == 80
