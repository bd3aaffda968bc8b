"""A point-in-time export gives the manifest that a scan gives."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.export_insights.data_file import DamagedDataFile, DataFile
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.insight_writer import InsightWriter
from lambdas.labels import label_by_operator
from lambdas.write_manifest.write_manifest import write_manifest
from local.table_export import files_of

ENVIRONMENT = ExportEnvironment("insights", export_batch_rows=8)


@pytest.fixture
def table(cloud: Any, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Twelve measured devices of five rows, one with a label of its own and one that was given later; synthetic ones;
    and an item that is no insight."""
    rows = [
        make_insight(device, n, risk_level="high" if device == "nvme-03" and n == 1 else None)
        for device in (*(f"nvme-{k:02d}" for k in range(12)), "synthetic-7-0001")
        for n in range(5)
    ]
    InsightWriter("insights", cloud.dynamodb).write(rows)
    label_by_operator(
        {"risk_level": "critical", "performance_score": None},
        device_id="nvme-05",
        timestamp=rows[0].to_json()["timestamp"],
        table="insights",
        dynamodb=cloud.dynamodb,
    )
    broken = {"device_id": {"S": "nvme-07"}, "timestamp": {"S": "yesterday"}, "read_iops": {"N": "7"}}
    cloud.dynamodb.put_item(TableName="insights", Item=broken)
    return rows


def segment_of(run_id: str, number: int, **changes: Any) -> Segment:
    given = {"device_prefix": None, "start_key": None, "batch": 0, **changes}
    return Segment(run_id=run_id, bucket="iops-bucket", raw_prefix=f"raw/{run_id}/", segment=number, **given)


def to_the_end(cloud: Any, segment: Segment, remaining_seconds: Callable[[], float] = lambda: 900.0) -> int:
    """As the workflow does; returns the number of invocations."""
    invocations = 0
    while True:
        answer = export_insights(
            segment, environment=ENVIRONMENT, remaining_seconds=remaining_seconds, dynamodb=cloud.dynamodb, s3=cloud.s3
        )
        invocations += 1
        if answer["done"]:
            return invocations
        segment = replace(segment, start_key=json.loads(json.dumps(answer["start_key"])), batch=answer["batch"])


def exported_files(cloud: Any) -> list[DataFile]:
    """The table's data files, as the laptop's DynamoDB cuts them."""
    items = cloud.rows()
    found = []
    for number, file in enumerate(files_of(items, ["device_id", "timestamp"])):
        body = gzip.compress("".join(json.dumps({"Item": item}) + "\n" for item in file).encode(), mtime=0)
        key = f"exports/files/table/data/{number}.json.gz"
        cloud.put(key, body)
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        found.append(DataFile(key=key, item_count=len(file), md5=md5))
    return found


def manifest_of(cloud: Any, run_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest and every row that its objects hold, in the order of their keys."""
    write_manifest(run_id=run_id, bucket=cloud.bucket, raw_prefix=f"raw/{run_id}/", s3=cloud.s3)
    manifest = cloud.json(f"raw/{run_id}/manifest.json")
    rows = [row for entry in manifest["objects"] for row in cloud.json(entry["key"])]
    return manifest, sorted(rows, key=lambda row: (row["device_id"], row["timestamp"]))


@pytest.mark.parametrize("prefix", [None, "nvme-0", "synthetic-7-"])
def test_a_scan_and_a_point_in_time_export_of_one_table_give_the_same_account(
    cloud: Any, table: list[Insight], prefix: str | None
) -> None:
    to_the_end(cloud, segment_of("scanned", 0, device_prefix=prefix))
    files = exported_files(cloud)
    for number, file in enumerate(files):
        to_the_end(cloud, segment_of("files", number, device_prefix=prefix, data_file=file))
    scanned, scanned_rows = manifest_of(cloud, "scanned")
    exported, exported_rows = manifest_of(cloud, "files")
    same = ("rows", "labelled", "labelled_by_source", "counts", "devices", "quarantined", "newest_at")
    assert {name: exported[name] for name in same} == {name: scanned[name] for name in same}
    assert exported_rows == scanned_rows
    assert exported["devices_in_several_objects"] == scanned["devices_in_several_objects"] == 0
    assert len(files) == 4


def test_a_device_that_files_were_cut_in_is_brought_together_without_touching_others(
    cloud: Any, table: list[Insight]
) -> None:
    for number, file in enumerate(exported_files(cloud)):
        to_the_end(cloud, segment_of("files", number, data_file=file))
    before = {entry["Key"] for entry in cloud.s3.list_objects_v2(Bucket=cloud.bucket, Prefix="raw/")["Contents"]}
    manifest, _ = manifest_of(cloud, "files")
    kept = [entry for entry in manifest["objects"] if entry["key"] in before]
    together = [entry for entry in manifest["objects"] if entry["key"] not in before]
    assert manifest["regrouped_devices"] == sum(entry["devices"] for entry in together) > 0
    assert {entry["rows"] for entry in together} == {5}
    assert sum(entry["rows"] for entry in kept) == 60 - 5 * len(together)


def test_a_file_that_is_handed_on_leaves_the_same_objects(
    cloud: Any, table: list[Insight], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.export_insights.data_file.PAGE_LINES", 7)
    whole = exported_files(cloud)[0]
    to_the_end(cloud, segment_of("files", 0, data_file=whole))
    undisturbed = cloud.objects("raw/")
    left = iter([59.0] * 3)
    assert to_the_end(cloud, segment_of("files", 0, data_file=whole), lambda: next(left, 900.0)) == 4
    assert cloud.objects("raw/") == undisturbed


def test_a_file_that_is_not_what_the_exports_manifest_says_is_refused(cloud: Any, table: list[Insight]) -> None:
    file = exported_files(cloud)[0]
    for wrong in (replace(file, item_count=file.item_count + 1), replace(file, md5="AAAA")):
        with pytest.raises(DamagedDataFile, match=file.key):
            to_the_end(cloud, segment_of("files", 0, data_file=wrong))
