from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.files import UnreadableFile
from insights.schema import CSV_COLUMNS
from lambdas.ingest_insights import handler as adapter
from lambdas.ingest_insights.ingest_insights import ingest_insights
from lambdas.insight_writer import InsightWriter
from lambdas.objects import ObjectMissing
from lambdas.throttling import Backoff, TableThrottled

KEY = "incoming/fleet.json"


def ingested(cloud: Any, body: bytes, key: str = KEY) -> dict[str, Any]:
    cloud.put(key, body)
    return ingest_insights(bucket=cloud.bucket, key=key, table="insights", s3=cloud.s3, dynamodb=cloud.dynamodb)


def lines_of(insights: list[Any]) -> bytes:
    return "\n".join(json.dumps(insight.to_json()) for insight in insights).encode()


class Waits:
    """A backoff that keeps its delays instead of sleeping them."""

    def __init__(self, attempts: int = 8) -> None:
        self.slept: list[float] = []
        self.backoff = Backoff(attempts=attempts, sleep=self.slept.append, fraction=lambda: 1.0)


def test_json_lines_become_items_with_the_sparse_alert_key_and_without_nulls(cloud: Any, make_insight: Any) -> None:
    answer = ingested(cloud, lines_of([make_insight(), make_insight(interval=1, alert=True)]))
    assert answer == {"key": KEY, "rows": 2, "refused": 0, "quarantine": None}
    first, second = sorted(cloud.rows(), key=lambda item: item["timestamp"]["S"])
    assert first["timestamp"] == {"S": "2026-03-02T10:00:00.000Z"}
    assert first["write_iops"] == {"N": "500.5"}
    assert "alert_at" not in first
    assert "p99_latency_ms" not in first
    assert second["alert_at"] == {"S": "2026-03-02T10:05:00.000Z"}


def test_a_gzipped_array_and_a_csv_are_read_too(cloud: Any, make_insight: Any) -> None:
    array = json.dumps([make_insight(interval=n).to_json() for n in range(60)]).encode()
    assert ingested(cloud, gzip.compress(array), "incoming/a.json.gz")["rows"] == 60
    row = make_insight(device="hdd-9").to_csv()
    table = ",".join(CSV_COLUMNS) + "\n" + ",".join(row[name] for name in CSV_COLUMNS) + "\n"
    assert ingested(cloud, table.encode(), "incoming/b.csv")["rows"] == 1
    assert len(cloud.rows()) == 61


def test_a_repeat_writes_no_row_twice(cloud: Any, make_insight: Any) -> None:
    body = lines_of([make_insight(interval=n) for n in range(30)])
    assert ingested(cloud, body) == ingested(cloud, body)
    assert len(cloud.rows()) == 30


@pytest.mark.parametrize("apart", [1, 40])
def test_of_two_rows_with_one_key_the_later_one_stays(cloud: Any, make_insight: Any, apart: int) -> None:
    rows = [make_insight(read_iops=1.0)]
    rows += [make_insight(interval=n) for n in range(1, apart)]
    rows += [make_insight(read_iops=2.0)]
    ingested(cloud, lines_of(rows))
    kept = [item for item in cloud.rows() if item["timestamp"]["S"] == "2026-03-02T10:00:00.000Z"]
    assert [float(item["read_iops"]["N"]) for item in kept] == [2.0]


def test_bad_rows_go_to_quarantine_with_their_reason_and_the_good_ones_in(cloud: Any, make_insight: Any) -> None:
    bad = make_insight(interval=1).to_json() | {"error_rate": 1.5}
    body = lines_of([make_insight()]) + b"\n" + json.dumps(bad).encode() + b"\n{broken\n"
    answer = ingested(cloud, body)
    assert (answer["rows"], answer["refused"]) == (1, 2)
    assert answer["quarantine"] == f"s3://{cloud.bucket}/quarantine/{KEY}.jsonl"
    refused = [json.loads(line) for line in cloud.objects("quarantine/")[f"quarantine/{KEY}.jsonl"].splitlines()]
    assert refused[0]["field"] == "error_rate"
    assert refused[0]["value"] == 1.5
    assert "line 2 of s3://" in refused[0]["record"]
    assert "line 3 of s3://" in refused[1]["reason"]


def test_a_row_of_a_wrong_unit_goes_to_quarantine_and_is_not_loaded_as_fact(cloud: Any, make_insight: Any) -> None:
    seconds_for_ms = make_insight(interval=1, avg_latency_ms=1.25e3, queue_depth=1.9)
    answer = ingested(cloud, lines_of([make_insight(), seconds_for_ms]))
    assert (answer["rows"], answer["refused"], len(cloud.rows())) == (1, 1, 1)
    (refused,) = cloud.objects("quarantine/")[f"quarantine/{KEY}.jsonl"].splitlines()
    assert json.loads(refused)["field"] == "queue_depth"
    assert "littles_law" in json.loads(refused)["reason"]


@pytest.mark.parametrize(
    "body", [b"", b"PAR1\x00\xff\xfe", gzip.compress(b"[{}" * 50, mtime=0)[:40], b"\x1f\x8bnot gzip at all"]
)
def test_a_file_of_another_kind_is_refused_as_a_whole(cloud: Any, body: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"s3://iops-bucket/incoming/fleet\.json"):
        ingested(cloud, body)
    assert cloud.rows() == []


def test_a_missing_object_is_named(cloud: Any) -> None:
    with pytest.raises(ObjectMissing, match=r"s3://iops-bucket/incoming/none\.json"):
        ingest_insights(
            bucket=cloud.bucket, key="incoming/none.json", table="insights", s3=cloud.s3, dynamodb=cloud.dynamodb
        )


class HalfTaken:
    """Takes only the first half of each request, as a table at its limit does."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.sizes: list[int] = []

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        requests = RequestItems["insights"]
        self.sizes.append(len(requests))
        taken = requests[: max(1, len(requests) // 2)]
        self.client.batch_write_item(RequestItems={"insights": taken})
        left = requests[len(taken) :]
        return {"UnprocessedItems": {"insights": left} if left else {}}


def test_unprocessed_items_are_sent_again_until_all_are_in(cloud: Any, make_insight: Any) -> None:
    waits, table = Waits(), HalfTaken(cloud.dynamodb)
    rows = InsightWriter("insights", table, waits.backoff).write(make_insight(interval=n) for n in range(30))
    assert rows == 30
    assert len(cloud.rows()) == 30
    assert table.sizes == [25, 13, 7, 4, 2, 1, 5, 3, 2, 1]
    assert waits.slept == [0.2, 0.4, 0.8, 1.6, 3.2, 0.2, 0.4, 0.8]


def test_a_throttled_request_is_sent_again_whole(cloud: Any, make_insight: Any, metered: Any) -> None:
    waits, table = Waits(), metered(cloud.dynamodb, throttled=frozenset({0, 1}))
    InsightWriter("insights", table, waits.backoff).write([make_insight()])
    assert len(cloud.rows()) == 1
    assert waits.slept == [0.2, 0.4]


def test_a_table_that_never_takes_them_is_an_error_that_says_so(cloud: Any, make_insight: Any, metered: Any) -> None:
    waits, table = Waits(attempts=3), metered(cloud.dynamodb, throttled=frozenset(range(99)))
    with pytest.raises(TableThrottled, match="table insights still throttles the last 1 rows"):
        InsightWriter("insights", table, waits.backoff).write([make_insight()])


def test_another_refusal_is_not_waited_out(cloud: Any, make_insight: Any, metered: Any) -> None:
    table = metered(cloud.dynamodb, throttled=frozenset({0}), last_code="AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        InsightWriter("insights", table).write([make_insight()])


def test_the_handler_passes_the_object_on(
    cloud: Any, event: Any, context: Any, make_insight: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSIGHTS_TABLE_NAME", "insights")
    adapter.environment.cache_clear()
    cloud.put(KEY, json.dumps([make_insight().to_json()]).encode())
    assert adapter.handler(event("ingest_insights"), context)["rows"] == 1
