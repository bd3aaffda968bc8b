from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.schema import CSV_COLUMNS, Insight
from lambdas.export_insights.batches import BatchNames, Rows, write_batch
from lambdas.objects import TextUpload
from lambdas.write_manifest import handler as adapter
from lambdas.write_manifest.csv_export import write_full_csv
from lambdas.write_manifest.parts import Export, IncompleteExport, read_parts
from lambdas.write_manifest.regroup import DevicesScattered
from lambdas.write_manifest.write_manifest import EmptyExport, measures, write_manifest

RUN = "0123456789ab"
PREFIX = f"raw/{RUN}/"
CSV_KEY = f"{PREFIX}full-export-{RUN}.csv"


def put_batch(cloud: Any, segment: int, number: int, insights: list[Insight], refused: int = 0) -> None:
    batch = Rows()
    for insight in insights:
        batch.add(insight)
    for _ in range(refused):
        batch.refuse({"device_id": "x"}, "made up")
    write_batch(cloud.s3, cloud.bucket, BatchNames(RUN, PREFIX, segment), number, batch)


@pytest.fixture
def exported(cloud: Any, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Three batches of two segments."""
    rows = [
        make_insight("nvme-1", 0, risk_level="low", label_source="auto"),
        make_insight("nvme-1", 1),
        make_insight("hdd-2", 0, risk_level="critical", label_source="operator", device_class='with "quotes", comma'),
        make_insight("hdd-3", 1, risk_level="low", label_source="auto"),
    ]
    put_batch(cloud, 0, 0, rows[:2])
    put_batch(cloud, 0, 1, rows[2:3], refused=2)
    put_batch(cloud, 1, 0, rows[3:])
    return rows


@pytest.fixture
def scattered(cloud: Any, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Of five batches hdd-2 stands in three and nvme-4 in two; the third has refused rows besides, the fifth is alone."""
    rows = {
        (0, 0): [make_insight("nvme-1", 0), make_insight("hdd-2", 2, risk_level="high", label_source="auto")],
        (0, 1): [make_insight("hdd-2", 0), make_insight("nvme-3", 0)],
        (1, 0): [make_insight("hdd-2", 1, risk_level="low", label_source="auto")],
        (1, 1): [make_insight("nvme-4", 0)],
        (2, 0): [make_insight("nvme-4", 1)],
        (2, 1): [make_insight("nvme-5", 0)],
    }
    for (segment, number), batch in rows.items():
        put_batch(cloud, segment, number, batch, refused=2 if (segment, number) == (1, 0) else 0)
    return [row for batch in rows.values() for row in batch]


def written(cloud: Any, **changes: Any) -> dict[str, Any]:
    return write_manifest(run_id=RUN, bucket=cloud.bucket, raw_prefix=PREFIX, s3=cloud.s3, **changes)


def test_the_answer_is_small_and_says_what_was_exported(cloud: Any, exported: list[Insight]) -> None:
    answer = written(cloud)
    manifest = cloud.objects(f"{PREFIX}manifest.json")[f"{PREFIX}manifest.json"]
    assert answer == {
        "manifest": f"s3://iops-bucket/{PREFIX}manifest.json",
        "sha256": hashlib.sha256(manifest).hexdigest(),
        "full_export": f"s3://iops-bucket/{CSV_KEY}",
        "objects": 3,
        "devices_in_several_objects": 0,
        "regrouped_devices": 0,
        "rows": 4,
        "labelled": 3,
        "devices": 3,
        "counts": {"low": 2, "medium": 0, "high": 0, "critical": 1, "unlabelled": 1},
        "quarantined": 2,
        "newest_at": "2026-03-02T10:05:00.000Z",
    }


def test_the_manifest_names_every_object_with_its_hash_and_every_device_with_its_segment(
    cloud: Any, exported: list[Insight]
) -> None:
    written(cloud)
    manifest = cloud.json(f"{PREFIX}manifest.json")
    batches = cloud.objects(f"{PREFIX}export-batch-")
    assert manifest["objects"] == [
        {
            "key": key,
            "rows": rows,
            "bytes": len(batches[key]),
            "sha256": hashlib.sha256(batches[key]).hexdigest(),
            "devices": 1,
            "summary": key.replace("export-batch-", "parts/"),
        }
        for key, rows in (
            (f"{PREFIX}export-batch-000-00000.json", 2),
            (f"{PREFIX}export-batch-000-00001.json", 1),
            (f"{PREFIX}export-batch-001-00000.json", 1),
        )
    ]
    assert manifest["segments"] == [
        {"segment": 0, "rows": 3, "devices": ["hdd-2", "nvme-1"]},
        {"segment": 1, "rows": 1, "devices": ["hdd-3"]},
    ]
    assert manifest["devices_in_several_objects"] == 0
    assert manifest["quarantine"] == [f"quarantine/{RUN}/export-000-00001.jsonl"]
    assert cloud.json("raw/manifest.json") == manifest


@pytest.mark.parametrize("smallest_part", [5 * 1024 * 1024, 400, 150, 10])
def test_the_csv_holds_every_row_in_order_whole_or_in_parts(
    cloud: Any, exported: list[Insight], smallest_part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moto.settings.S3_UPLOAD_PART_MIN_SIZE", 10)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 10, raising=False)
    written(cloud, smallest_part=smallest_part)
    text = cloud.objects(CSV_KEY)[CSV_KEY]
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [Insight.from_csv(row) for row in rows] == exported


def test_every_byte_of_the_csv_is_accounted_for_by_header_and_pieces(cloud: Any, exported: list[Insight]) -> None:
    written(cloud)
    (full,) = cloud.json(f"{PREFIX}manifest.json")["full_export"]
    text, pieces, at = cloud.objects(CSV_KEY)[CSV_KEY], [full["header"], *full["pieces"]], 0
    for piece in pieces:
        assert hashlib.sha256(text[at : at + piece["bytes"]]).hexdigest() == piece["sha256"]
        at += piece["bytes"]
    assert (full["key"], full["rows"], full["bytes"], at) == (CSV_KEY, 4, len(text), len(text))


def test_more_pieces_than_an_upload_takes_make_several_csv_objects(cloud: Any, exported: list[Insight]) -> None:
    export = Export(cloud.s3, RUN, cloud.bucket, PREFIX)
    parts = [part for part in read_parts(export) if part.rows]
    objects = write_full_csv(export, parts, most_pieces=2)
    assert [(full["key"], full["rows"]) for full in objects] == [
        (CSV_KEY, 3),
        (f"{PREFIX}full-export-{RUN}-00001.csv", 1),
    ]
    texts = [cloud.objects(full["key"])[full["key"]].decode() for full in objects]
    assert [Insight.from_csv(row) for text in texts for row in csv.DictReader(io.StringIO(text))] == exported


def test_devices_in_several_objects_are_brought_together_and_others_left_alone(
    cloud: Any, scattered: list[Insight]
) -> None:
    alone = cloud.objects(f"{PREFIX}export-batch-002-00001")
    answer = written(cloud)
    manifest = cloud.json(f"{PREFIX}manifest.json")
    batches = {key: json.loads(text) for key, text in cloud.objects(f"{PREFIX}export-batch-").items()}
    assert (answer["rows"], answer["devices"], answer["quarantined"]) == (8, 5, 2)
    assert (answer["regrouped_devices"], answer["devices_in_several_objects"]) == (2, 0)
    assert set(batches) == {
        f"{PREFIX}export-batch-{name}.json" for name in ("002-00001", "regrouped-00000", "regrouped-00001")
    }
    devices = [device for rows in batches.values() for device in {row["device_id"] for row in rows}]
    assert sorted(devices) == ["hdd-2", "nvme-1", "nvme-3", "nvme-4", "nvme-5"]
    rows = [Insight.from_json(row) for rows in batches.values() for row in rows]
    assert sorted(rows, key=repr) == sorted(scattered, key=repr)
    assert cloud.objects(f"{PREFIX}export-batch-002-00001") == alone
    assert manifest["labelled_by_source"] == 2
    assert manifest["quarantine"] == [f"quarantine/{RUN}/export-001-00000.jsonl"]


class KilledAt:
    """An S3 client that is killed at the n-th change."""

    def __init__(self, s3: Any, changes: int) -> None:
        self._s3, self._left = s3, changes

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._s3, name)
        if name not in {"put_object", "delete_object", "complete_multipart_upload"}:
            return call

        def counted(**request: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise SystemExit("killed")
            return call(**request)

        return counted


def test_wherever_it_is_killed_a_repeat_ends_with_the_same_bytes(cloud: Any, scattered: list[Insight]) -> None:
    before = cloud.objects()
    written(cloud)
    undisturbed = cloud.objects()
    kills = 0
    while True:
        for key in cloud.objects():
            cloud.s3.delete_object(Bucket=cloud.bucket, Key=key)
        for key, text in before.items():
            cloud.put(key, text)
        try:
            write_manifest(run_id=RUN, bucket=cloud.bucket, raw_prefix=PREFIX, s3=KilledAt(cloud.s3, kills))
        except SystemExit:
            written(cloud)
            assert cloud.objects() == undisturbed
            kills += 1
        else:
            break
    assert kills > 20


def test_devices_that_hang_together_beyond_memory_are_refused_with_the_way_out(
    cloud: Any, scattered: list[Insight], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.write_manifest.regroup.MOST_BYTES", 1000)
    with pytest.raises(DevicesScattered, match=r'devices such as hdd-2.*"export": "scan"'):
        written(cloud)


def test_a_repeat_changes_no_byte(cloud: Any, exported: list[Insight]) -> None:
    written(cloud)
    before = cloud.objects()
    written(cloud)
    assert cloud.objects() == before


def test_an_export_without_a_row_is_an_error_with_its_remedy(cloud: Any) -> None:
    with pytest.raises(EmptyExport, match='"synthetic"'):
        written(cloud)
    put_batch(cloud, 0, 0, [], refused=3)
    with pytest.raises(EmptyExport, match=f"3 unreadable ones are in quarantine/{RUN}/"):
        written(cloud)
    assert "raw/manifest.json" not in cloud.objects()


def test_a_batch_that_was_changed_is_refused(cloud: Any, exported: list[Insight]) -> None:
    key = f"{PREFIX}export-batch-000-00000.json"
    text = cloud.objects(key)[key]
    cloud.put(key, text.replace(b"1000.0", b"2000.0"))
    with pytest.raises(IncompleteExport, match=key):
        written(cloud)
    assert CSV_KEY not in cloud.objects()


def test_a_csv_piece_that_was_changed_is_refused(cloud: Any, exported: list[Insight]) -> None:
    key = f"exports/{RUN}/csv/000-00000.csv"
    cloud.put(key, cloud.objects(key)[key].replace(b"1000.0", b"2000.0"))
    with pytest.raises(IncompleteExport, match=key):
        written(cloud)


def test_an_upload_whose_piece_changes_meanwhile_is_given_up(cloud: Any, exported: list[Insight]) -> None:
    export = Export(cloud.s3, RUN, cloud.bucket, PREFIX)
    parts = [part for part in read_parts(export) if part.rows]
    cloud.put(f"exports/{RUN}/csv/000-00001.csv", b"something else")
    with pytest.raises(ClientError, match=r"PreconditionFailed|InvalidRange"):
        write_full_csv(export, parts)
    assert "Uploads" not in cloud.s3.list_multipart_uploads(Bucket=cloud.bucket)
    assert CSV_KEY not in cloud.objects()


def test_a_batch_without_summary_and_a_summary_without_batch_are_refused(cloud: Any, exported: list[Insight]) -> None:
    stray = f"{PREFIX}export-batch-002-00000.json"
    cloud.put(stray, b"[\n]\n")
    with pytest.raises(IncompleteExport, match=stray):
        written(cloud)
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=stray)
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=f"{PREFIX}export-batch-001-00000.json")
    with pytest.raises(IncompleteExport, match=r"export-batch-001-00000\.json is missing"):
        written(cloud)


def test_an_upload_that_fails_in_the_middle_leaves_no_object_and_no_open_upload(cloud: Any) -> None:
    def fail_after_a_part() -> None:
        with TextUpload(cloud.s3, cloud.bucket, "x.csv", content_type="text/csv", part_bytes=10) as upload:
            upload.write("twenty characters ...")
            raise RuntimeError("the table burnt down")

    with pytest.raises(RuntimeError, match="burnt"):
        fail_after_a_part()
    assert cloud.objects() == {}
    assert "Uploads" not in cloud.s3.list_multipart_uploads(Bucket=cloud.bucket)


def test_the_handler_passes_the_run_on_and_measures_the_export(
    cloud: Any, exported: list[Insight], event: Any, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = adapter.handler(event("write_manifest"), context)
    assert json.loads(json.dumps(answer))["rows"] == 4
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"CloudWatchMetrics"' in line]
    [definition] = line["_aws"]["CloudWatchMetrics"]
    assert (definition["Namespace"], definition["Dimensions"]) == ("IopsInsights", [["service"]])
    assert (line["service"], line["ExportedInsights"], line["QuarantinedInsights"]) == ("write_manifest", [4.0], [2.0])


@pytest.mark.parametrize(("source", "lag"), [("dynamodb", 5400.0), ("synthetic", None)])
def test_how_far_an_export_lies_behind_is_said_of_the_fleets_own_telemetry(source: str, lag: float | None) -> None:
    account = {"rows": 4, "quarantined": 2, "newest_at": "2026-03-02T10:05:00.000Z"}
    found = measures(account, source=source, now=datetime(2026, 3, 2, 11, 35, tzinfo=UTC))
    assert found.get("ExportLagSeconds") == lag
