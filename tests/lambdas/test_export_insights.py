from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.schema import CSV_COLUMNS, Insight
from lambdas.export_insights import handler as adapter
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.insight_writer import InsightWriter
from lambdas.labels import label_by_operator
from lambdas.throttling import Backoff, TableThrottled

RUN = "0123456789ab"
WHOLE = Segment(
    run_id=RUN,
    bucket="iops-bucket",
    raw_prefix=f"raw/{RUN}/",
    device_prefix=None,
    segment=0,
    total_segments=1,
    start_key=None,
    batch=0,
)
FIRST_BATCH = f"raw/{RUN}/export-batch-000-00000.json"
FIRST_PART = f"raw/{RUN}/parts/000-00000.json"
FIRST_CSV = f"exports/{RUN}/csv/000-00000.csv"


@pytest.fixture
def fleet(cloud: Any, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Ten rows of each of three devices, one of them synthetic."""
    rows = [
        make_insight(device, n, risk_level="high" if n == 0 else None, label_source="auto" if n == 0 else None)
        for device in ("nvme-1", "hdd-2", "synthetic-7-0001")
        for n in range(10)
    ]
    InsightWriter("insights", cloud.dynamodb).write(rows)
    return rows


@pytest.fixture
def many(cloud: Any, make_insight: Callable[..., Insight]) -> list[Insight]:
    """Seven devices of three rows."""
    rows = [make_insight(f"nvme-{device}", n) for device in range(7) for n in range(3)]
    InsightWriter("insights", cloud.dynamodb).write(rows)
    return rows


def etag(cloud: Any, key: str) -> str:
    return str(cloud.s3.head_object(Bucket=cloud.bucket, Key=key)["ETag"])


class Clock:
    """Remaining seconds that shrink by one step per question."""

    def __init__(self, seconds: float = 900.0, step: float = 0.0) -> None:
        self.seconds = seconds
        self.step = step

    def __call__(self) -> float:
        self.seconds -= self.step
        return self.seconds


def export(
    cloud: Any, segment: Segment = WHOLE, *, table: Any = None, clock: Clock | None = None, **limits: int
) -> Any:
    return export_insights(
        segment,
        environment=ExportEnvironment("insights", **limits),
        remaining_seconds=clock or Clock(),
        dynamodb=table or cloud.dynamodb,
        s3=cloud.s3,
        backoff=Backoff(attempts=50, sleep=lambda _: None, fraction=lambda: 1.0),
    )


def replace_s3(cloud: Any, s3: Any) -> Any:
    return replace(cloud, s3=s3)


def exported_rows(cloud: Any) -> list[tuple[str, str]]:
    batches = cloud.objects(f"raw/{RUN}/export-batch-")
    return sorted((row["device_id"], row["timestamp"]) for text in batches.values() for row in json.loads(text))


def expected_rows(rows: list[Insight], wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    found = [row.to_json() for row in rows]
    return sorted((row["device_id"], row["timestamp"]) for row in found if wanted(row["device_id"]))


def is_measured(device: str) -> bool:
    return not device.startswith("synthetic-")


def test_a_run_on_the_table_leaves_the_synthetic_devices_out(cloud: Any, fleet: list[Insight]) -> None:
    answer = export(cloud)
    assert answer == {
        "segment": 0,
        "total_segments": 1,
        "done": True,
        "start_key": None,
        "batch": 1,
        "rows": 20,
        "quarantined": 0,
    }
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_a_prefix_takes_only_its_devices(cloud: Any, fleet: list[Insight]) -> None:
    export(cloud, replace(WHOLE, device_prefix="synthetic-7-"))
    assert exported_rows(cloud) == expected_rows(fleet, lambda device: device == "synthetic-7-0001")


def test_a_batch_is_one_array_with_a_row_per_line_and_a_summary_beside_it(cloud: Any, fleet: list[Insight]) -> None:
    export(cloud)
    text = cloud.objects(FIRST_BATCH)[FIRST_BATCH]
    lines = text.decode().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("[", "]", 22)
    rows = [Insight.from_json(row) for row in json.loads(text)]
    assert sorted(rows, key=repr) == sorted((row for row in fleet if is_measured(row.device_id)), key=repr)
    table = cloud.objects(FIRST_CSV)[FIRST_CSV]
    assert [Insight.from_csv(row) for row in csv.DictReader(table.decode().splitlines(), CSV_COLUMNS)] == rows
    assert cloud.json(FIRST_PART) == {
        "key": FIRST_BATCH,
        "segment": 0,
        "batch": 0,
        "rows": 20,
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "etag": etag(cloud, FIRST_BATCH),
        "csv": {
            "key": FIRST_CSV,
            "bytes": len(table),
            "sha256": hashlib.sha256(table).hexdigest(),
            "etag": etag(cloud, FIRST_CSV),
        },
        "counts": {"low": 0, "medium": 0, "high": 2, "critical": 0, "unlabelled": 18},
        "labelled_by_source": 2,
        "devices": ["hdd-2", "nvme-1"],
        "newest_at": "2026-03-02T10:45:00.000Z",
        "quarantined": 0,
        "quarantine": None,
    }


def test_a_label_that_was_given_later_is_exported_and_is_not_the_sources(cloud: Any, fleet: list[Insight]) -> None:
    row = next(row for row in fleet if row.device_id == "nvme-1" and row.risk_level is None)
    label_by_operator(
        {"risk_level": "critical", "performance_score": None},
        device_id=row.device_id,
        timestamp=row.to_json()["timestamp"],
        table="insights",
        dynamodb=cloud.dynamodb,
    )
    export(cloud)
    assert cloud.json(FIRST_PART)["counts"]["critical"] == 1
    assert cloud.json(FIRST_PART)["labelled_by_source"] == 2


def test_batches_end_between_devices_before_the_row_limit(cloud: Any, many: list[Insight], metered: Any) -> None:
    """Seven devices of three rows; pages of four rows end within devices."""
    assert export(cloud, table=metered(cloud.dynamodb, page_rows=4), export_batch_rows=8)["batch"] == 4
    parts = [cloud.json(key) for key in sorted(cloud.objects(f"raw/{RUN}/parts/"))]
    assert [part["rows"] for part in parts] == [6, 6, 6, 3]
    assert [len(part["devices"]) for part in parts] == [2, 2, 2, 1]
    assert exported_rows(cloud) == expected_rows(many, is_measured)


def test_a_device_above_the_row_limit_has_a_batch_of_its_own(cloud: Any, fleet: list[Insight]) -> None:
    assert export(cloud, export_batch_rows=8)["batch"] == 2
    parts = [cloud.json(key) for key in sorted(cloud.objects(f"raw/{RUN}/parts/"))]
    assert [(part["rows"], len(part["devices"])) for part in parts] == [(10, 1), (10, 1)]


def test_a_device_above_its_own_limit_is_cut(cloud: Any, fleet: list[Insight]) -> None:
    export(cloud, export_device_bytes=1500)
    parts = [cloud.json(key) for key in sorted(cloud.objects(f"raw/{RUN}/parts/"))]
    assert [part["rows"] for part in parts] == [4, 4, 2, 4, 4, 2]
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_batches_end_at_the_size_limit(cloud: Any, fleet: list[Insight]) -> None:
    export(cloud, export_batch_bytes=6000)
    sizes = [len(text) for text in cloud.objects(f"raw/{RUN}/export-batch-").values()]
    assert len(sizes) > 1
    assert max(sizes) <= 6000
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_a_segment_short_of_time_hands_on_and_the_next_goes_on_where_it_stopped(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    segment, invocations = WHOLE, 0
    while True:
        answer = export(cloud, segment, table=metered(cloud.dynamodb, page_rows=4), clock=Clock(65, step=2))
        invocations += 1
        # Step Functions carries the answer as JSON.
        answer = json.loads(json.dumps(answer))
        if answer["done"]:
            break
        segment = replace(WHOLE, start_key=answer["start_key"], batch=answer["batch"])
    assert invocations > 2
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


class KilledAfter:
    """An S3 client whose function is killed when it begins to write one more batch than `batches`."""

    def __init__(self, s3: Any, batches: int) -> None:
        self._s3, self._left = s3, batches

    def put_object(self, **request: Any) -> Any:
        if "export-batch-" in request["Key"]:
            self._left -= 1
            if self._left < 0:
                raise SystemExit("killed")
        return self._s3.put_object(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


def export_to_the_end(cloud: Any, table: Any, *, seconds: float, step: float) -> int:
    """As the workflow does; returns the number of invocations."""
    segment, invocations = WHOLE, 0
    while True:
        answer = export(cloud, segment, table=table, clock=Clock(seconds, step=step), export_batch_rows=8)
        invocations += 1
        answer = json.loads(json.dumps(answer))
        if answer["done"]:
            return invocations
        segment = replace(WHOLE, start_key=answer["start_key"], batch=answer["batch"])


@pytest.mark.parametrize("batches_before", [0, 1, 2])
def test_a_killed_segment_that_is_repeated_leaves_the_bytes_of_an_undisturbed_one(
    cloud: Any, many: list[Insight], batches_before: int
) -> None:
    export(cloud, export_batch_rows=8)
    undisturbed = cloud.objects()
    for key in undisturbed:
        cloud.s3.delete_object(Bucket=cloud.bucket, Key=key)
    killed = replace_s3(cloud, KilledAfter(cloud.s3, batches_before))
    with pytest.raises(SystemExit):
        export(killed, export_batch_rows=8)
    assert cloud.objects() != undisturbed
    export(cloud, export_batch_rows=8)
    assert cloud.objects() == undisturbed


@pytest.mark.parametrize(("page_rows", "seconds"), [(2, 75), (5, 65)])
def test_batches_do_not_depend_on_when_a_segment_was_handed_on(
    cloud: Any, many: list[Insight], metered: Any, page_rows: int, seconds: int
) -> None:
    """Two invocations or more: those before the last one drop what did not fill a batch, and it is read again."""
    export(cloud, export_batch_rows=8)
    undisturbed = cloud.objects()
    table = metered(cloud.dynamodb, page_rows=page_rows)
    assert export_to_the_end(cloud, table, seconds=seconds, step=2.5) > 1
    assert cloud.objects() == undisturbed


def test_a_segment_that_fills_no_batch_in_its_time_hands_on_whole_devices(
    cloud: Any, many: list[Insight], metered: Any
) -> None:
    answer = export(cloud, table=metered(cloud.dynamodb, page_rows=7), clock=Clock(1))
    (part,) = (cloud.json(key) for key in cloud.objects(f"raw/{RUN}/parts/"))
    assert (part["rows"], len(part["devices"])) == (6, 2)
    export(cloud, replace(WHOLE, start_key=answer["start_key"], batch=answer["batch"]))
    assert exported_rows(cloud) == expected_rows(many, is_measured)


def test_a_device_that_fills_an_invocation_alone_is_cut(cloud: Any, many: list[Insight], metered: Any) -> None:
    table = metered(cloud.dynamodb, page_rows=2)
    first = export(cloud, table=table, clock=Clock(1))
    second = export(
        cloud, replace(WHOLE, start_key=first["start_key"], batch=first["batch"]), table=table, clock=Clock(1)
    )
    assert [answer["rows"] for answer in (first, second)] == [2, 1]
    export(cloud, replace(WHOLE, start_key=second["start_key"], batch=second["batch"]))
    assert exported_rows(cloud) == expected_rows(many, is_measured)


def test_rows_that_a_filter_drops_are_passed_even_where_nothing_is_written(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    """The filter drops every row: each invocation goes on behind what it has read."""
    nothing, invocations = replace(WHOLE, device_prefix="no such device"), 0
    segment = nothing
    while not (answer := export(cloud, segment, table=metered(cloud.dynamodb, page_rows=7), clock=Clock(1)))["done"]:
        segment = replace(nothing, start_key=answer["start_key"], batch=answer["batch"])
        invocations += 1
    assert invocations == 4
    assert cloud.objects() == {}


def test_an_invocation_that_starts_too_late_still_reads_one_page(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    answer = export(cloud, table=metered(cloud.dynamodb, page_rows=4), clock=Clock(1))
    assert not answer["done"]
    assert answer["start_key"] is not None


def test_throttled_pages_are_asked_for_again(cloud: Any, fleet: list[Insight], metered: Any) -> None:
    table = metered(cloud.dynamodb, page_rows=7, throttled=frozenset({0, 2, 3}))
    assert export(cloud, table=table)["done"]
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_throttling_to_the_end_of_the_time_hands_on_what_is_left(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    table = metered(cloud.dynamodb, page_rows=15, throttled=frozenset(range(1, 99)))
    answer = export(cloud, table=table)
    assert not answer["done"]
    export(cloud, replace(WHOLE, start_key=answer["start_key"], batch=answer["batch"]))
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_a_table_that_never_answers_is_an_error_and_not_an_empty_export(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    with pytest.raises(TableThrottled, match="table insights still throttles the scan"):
        export(cloud, table=metered(cloud.dynamodb, throttled=frozenset(range(99))))


def test_another_refusal_of_the_table_is_raised_as_it_is(cloud: Any, fleet: list[Insight], metered: Any) -> None:
    table = metered(cloud.dynamodb, throttled=frozenset({0}), last_code="ResourceNotFoundException")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        export(cloud, table=table)


def test_a_repeat_leaves_the_same_objects(cloud: Any, fleet: list[Insight]) -> None:
    export(cloud, export_batch_rows=8)
    before = cloud.objects()
    export(cloud, export_batch_rows=8)
    assert cloud.objects() == before


def test_a_repeat_that_cuts_otherwise_leaves_no_row_twice(cloud: Any, fleet: list[Insight]) -> None:
    """The failed attempt had written five batches; the repeat needs one."""
    export(cloud, export_batch_rows=4)
    export(cloud)
    assert list(cloud.objects(f"raw/{RUN}/export-batch-")) == [FIRST_BATCH]
    assert list(cloud.objects(f"raw/{RUN}/parts/")) == [FIRST_PART]
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_a_repeat_of_a_later_part_keeps_earlier_batches_and_other_segments(
    cloud: Any, fleet: list[Insight], metered: Any
) -> None:
    other = f"raw/{RUN}/export-batch-001-00003.json"
    cloud.put(other, b"[\n\n]\n")
    first = export(cloud, table=metered(cloud.dynamodb, page_rows=15), clock=Clock(1))
    later = replace(WHOLE, start_key=first["start_key"], batch=first["batch"])
    export(cloud, later, export_batch_rows=2)
    export(cloud, later)
    keys = set(cloud.objects(f"raw/{RUN}/export-batch-"))
    assert keys == {FIRST_BATCH, f"raw/{RUN}/export-batch-000-00001.json", other}
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=other)
    assert exported_rows(cloud) == expected_rows(fleet, is_measured)


def test_an_item_that_is_no_insight_is_quarantined_and_counted(cloud: Any, fleet: list[Insight]) -> None:
    broken = {"device_id": {"S": "hdd-2"}, "timestamp": {"S": "yesterday"}, "read_iops": {"N": "7"}}
    cloud.dynamodb.put_item(TableName="insights", Item=broken)
    answer = export(cloud)
    assert (answer["rows"], answer["quarantined"]) == (20, 1)
    key = f"quarantine/{RUN}/export-000-00000.jsonl"
    (line,) = cloud.objects("quarantine/")[key].splitlines()
    refused = json.loads(line)
    assert refused["item"]["timestamp"] == "yesterday"
    assert "hdd-2" in refused["reason"]
    part = cloud.json(FIRST_PART)
    assert (part["rows"], part["quarantined"], part["quarantine"]) == (20, 1, key)


def test_an_empty_segment_writes_nothing(cloud: Any) -> None:
    assert export(cloud)["done"]
    assert cloud.objects() == {}


def test_the_handler_watches_lambdas_own_clock(
    cloud: Any, fleet: list[Insight], event: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSIGHTS_TABLE_NAME", "insights")
    adapter.environment.cache_clear()
    assert adapter.handler(event("export_insights"), context)["rows"] == 20
