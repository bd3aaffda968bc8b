"""Runs of a shard over a table as it is deployed: what is written, again, late, in part, after an outage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.attribute_values import from_item
from lambdas.collect_volumes import handler as adapter
from lambdas.collect_volumes.asking import StillThrottled
from lambdas.collect_volumes.collect_volumes import CollectEnvironment, Services, collect_volumes
from lambdas.labels import label_by_operator
from tests.lambdas.ebs_cloud import (
    BUSY,
    INSTANCE,
    NOON,
    PERIOD,
    CloudWatch,
    Ec2,
    Refusals,
    described,
    periods,
    quick,
)

ENVIRONMENT = CollectEnvironment(bucket_name="iops-bucket", insights_table_name="insights", catch_up_hours=2)


@dataclass
class Fleet:
    """A shard's volumes, what CloudWatch knows of them, and the table."""

    cloud: Any
    ec2: Ec2 = field(default_factory=lambda: Ec2([described("vol-1")]))
    cloudwatch: CloudWatch = field(default_factory=CloudWatch)
    dynamodb: Any = None

    def __post_init__(self) -> None:
        self.dynamodb = self.dynamodb or self.cloud.dynamodb

    def run(
        self, at: datetime = NOON, *, remaining: Callable[[], float] = lambda: 900.0, **changed: Any
    ) -> dict[str, Any]:
        self.cloudwatch.now = at
        return collect_volumes(
            shard=0,
            shards=1,
            now=at,
            environment=replace(ENVIRONMENT, **changed),
            remaining_seconds=remaining,
            services=Services(self.ec2, self.cloudwatch, self.dynamodb, self.cloud.s3, quick()),
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        """By the end of the period, as clock time, with the volume before it where there are several."""
        found = {}
        for item in map(from_item, self.cloud.rows()):
            name = item["timestamp"][11:16]
            found[name if len(self.ec2.volumes) == 1 else f"{item['device_id']} {name}"] = item
        return found

    def quarantined(self) -> list[dict[str, Any]]:
        objects = self.cloud.objects("quarantine/ebs/")
        return [json.loads(line) for body in objects.values() for line in body.decode().splitlines()]


@pytest.fixture
def fleet(cloud: Any) -> Fleet:
    return Fleet(cloud)


def without(*names: str) -> dict[str, float]:
    return {name: value for name, value in BUSY.items() if name not in names}


def test_each_period_is_a_row_stamped_with_its_end(fleet: Fleet):
    for start in periods(3):
        fleet.cloudwatch.put("vol-1", start)

    answer = fleet.run()

    rows = fleet.rows()
    assert sorted(rows) == ["11:50", "11:55", "12:00"]
    assert (answer["rows"], answer["rewritten"], answer["unfinished"], answer["lag_seconds"]) == (3, 0, 0, 0.0)
    assert rows["12:00"]["read_iops"] == 100.0
    insight = Insight.from_json(rows["12:00"])
    assert (insight.device_id, insight.interval_seconds, insight.device_class) == ("vol-1", 300.0, "ssd")


def test_a_period_that_still_runs_is_left(fleet: Fleet):
    fleet.cloudwatch.put("vol-1", NOON, seen_at=NOON)
    assert fleet.run(NOON + timedelta(minutes=4))["rows"] == 0


def test_a_gap_stays_a_gap_and_an_idle_volume_has_idle_rows(fleet: Fleet):
    first, _, third = periods(3)
    fleet.cloudwatch.put("vol-1", first)
    fleet.cloudwatch.put("vol-1", third, {"VolumeIdleTime": 300})
    assert fleet.run()["waiting"] == 1
    fleet.run(NOON + timedelta(minutes=15))

    rows = fleet.rows()
    assert sorted(rows) == ["11:50", "12:00"]
    assert rows["12:00"]["read_iops"] == 0.0
    assert "avg_latency_ms" not in rows["12:00"]


def test_a_run_over_the_same_points_writes_nothing(fleet: Fleet):
    for start in periods(5):
        fleet.cloudwatch.put("vol-1", start)
    fleet.run()
    before = fleet.rows()

    answer = fleet.run(NOON + timedelta(minutes=2))
    assert (answer["rows"], answer["rewritten"]) == (0, 0)
    assert fleet.rows() == before


def test_late_points_change_what_was_measured_and_nothing_else(fleet: Fleet):
    [start] = periods(1)
    fleet.cloudwatch.put("vol-1", start, without("VolumeTotalWriteTime"))
    fleet.run()
    key = {"device_id": {"S": "vol-1"}, "timestamp": {"S": "2026-03-02T12:00:00.000Z"}}
    fleet.cloud.dynamodb.update_item(
        TableName="insights",
        Key=key,
        UpdateExpression="SET latency_slo_ms = :slo",
        ExpressionAttributeValues={":slo": {"N": "7"}},
    )
    fleet.ec2.volumes[0]["Iops"] = 9000  # modified since: not what that period had
    fleet.cloudwatch.put("vol-1", start, {"VolumeTotalWriteTime": 45, "VolumeReadOps": 60_000}, seen_at=NOON + PERIOD)
    fleet.cloudwatch.put("vol-1", start, {"VolumeIOPSExceededCheck": 1}, seen_at=NOON + PERIOD, instance=INSTANCE)

    answer = fleet.run(NOON + PERIOD)

    row = fleet.rows()["12:00"]
    assert (answer["rows"], answer["rewritten"]) == (0, 1)
    assert (row["read_iops"], row["avg_latency_ms"]) == (200.0, 1.0)
    assert (row["alert"], row["alert_at"]) == (True, row["timestamp"])
    assert (row["latency_slo_ms"], row["provisioned_iops"]) == (7.0, 3000.0)


def test_what_late_points_make_unknown_again_is_taken_out(fleet: Fleet):
    [start] = periods(1)
    fleet.cloudwatch.put("vol-1", start, without("VolumeReadOps", "VolumeTotalReadTime") | {"VolumeReadOps": 0})
    fleet.run()
    assert fleet.rows()["12:00"]["avg_latency_ms"] == 3.0
    fleet.cloudwatch.put("vol-1", start, {"VolumeReadOps": 5}, seen_at=NOON + PERIOD)
    fleet.run(NOON + PERIOD)
    assert "avg_latency_ms" not in fleet.rows()["12:00"]


def labelled(fleet: Fleet) -> None:
    label = {"risk_level": "high", "performance_score": None}
    where = {"device_id": "vol-1", "timestamp": "2026-03-02T12:00:00.000Z"}
    assert label_by_operator(label, **where, table="insights", dynamodb=fleet.cloud.dynamodb)


def test_a_row_with_a_label_is_never_written_again(fleet: Fleet):
    [start] = periods(1)
    fleet.cloudwatch.put("vol-1", start)
    fleet.run()
    labelled(fleet)
    before = fleet.rows()
    fleet.cloudwatch.put("vol-1", start, {"VolumeReadOps": 1}, seen_at=NOON + PERIOD)

    assert fleet.run(NOON + PERIOD)["rewritten"] == 0
    assert fleet.rows() == before


@dataclass
class LabelledMeanwhile:
    """A table in which a label comes between reading and writing."""

    client: Any
    label: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_item(self, **request: Any) -> Any:
        self.label()
        return self.client.update_item(**request)


def test_a_label_that_comes_between_reading_and_writing_stays_too(fleet: Fleet):
    [start] = periods(1)
    fleet.cloudwatch.put("vol-1", start)
    fleet.run()
    fleet.cloudwatch.put("vol-1", start, {"VolumeReadOps": 1}, seen_at=NOON + PERIOD)
    fleet.dynamodb = LabelledMeanwhile(fleet.cloud.dynamodb, lambda: labelled(fleet))

    assert fleet.run(NOON + PERIOD)["rewritten"] == 0
    row = fleet.rows()["12:00"]
    assert (row["risk_level"], row["read_iops"]) == ("high", 100.0)


def test_what_is_incomplete_waits_for_its_points_and_is_refused_when_they_can_come_no_more(fleet: Fleet):
    first, second = periods(2)
    fleet.cloudwatch.put("vol-1", first, without("VolumeReadBytes"))
    fleet.cloudwatch.put("vol-1", second, without("VolumeWriteOps"))
    fleet.cloudwatch.put("vol-1", second, {"VolumeWriteOps": 15_000}, seen_at=NOON + 2 * PERIOD)
    answers = []
    for minutes in range(2, 62, 5):
        fleet.cloudwatch.put("vol-1", NOON + timedelta(minutes=minutes - 2))
        answers.append(fleet.run(NOON + timedelta(minutes=minutes)))

    assert answers[0]["waiting"] == 2
    assert "12:00" in fleet.rows()
    assert "11:55" not in fleet.rows()
    # By the run after a quarter of an hour and, should that one be lost, by the one after it.
    assert [answer["refused"] for answer in answers] == [0, 0, 1, 1, *[0] * 8]
    lines = fleet.quarantined()
    assert {line["record"] for line in lines} == {"volume vol-1, period from 2026-03-02T11:50:00+00:00"}
    assert {line["field"] for line in lines} == {"bandwidth_mbps"}
    assert "completed 30000 reads and has no point of the bytes" in lines[0]["reason"]
    told = [answer["quarantine"] for answer in answers if answer["quarantine"]]
    assert told[0] == "s3://iops-bucket/quarantine/ebs/2026-03-02T12-12-00Z-shard-0.jsonl"


def test_after_an_outage_it_goes_on_from_the_newest_row(fleet: Fleet):
    for start in periods(20, before=NOON + 10 * PERIOD):
        fleet.cloudwatch.put("vol-1", start)
    fleet.run()
    assert fleet.run(NOON + 10 * PERIOD)["rows"] == 10
    assert len(fleet.rows()) == 20


def test_no_run_reaches_further_back_than_the_setting(fleet: Fleet):
    for start in periods(30):
        fleet.cloudwatch.put("vol-1", start)
    fleet.run(catch_up_hours=1)
    assert len(fleet.rows()) == 12


def test_a_detached_volume_is_read_to_its_end_and_then_no_more(fleet: Fleet):
    fleet.cloudwatch.put("vol-1", NOON - PERIOD)
    fleet.run()
    fleet.ec2.volumes[0]["Attachments"] = []
    fleet.cloudwatch.put("vol-1", NOON, seen_at=NOON + 2 * PERIOD)

    assert fleet.run(NOON + 2 * PERIOD)["rows"] == 1
    assert fleet.run(NOON + timedelta(hours=2))["volumes"] == 0


def test_an_answer_in_pages_is_read_to_its_end(fleet: Fleet):
    """Without an instance there is no expression, and CloudWatch gives a token."""
    fleet.ec2.volumes[0]["MultiAttachEnabled"] = True
    fleet.cloudwatch.most_points = 24
    for start in periods(10):
        fleet.cloudwatch.put("vol-1", start)

    assert fleet.run()["rows"] == 10
    assert fleet.cloudwatch.refusals.calls > 1


def test_a_volume_of_which_cloudwatch_has_not_told_all_is_left_to_the_next_run(fleet: Fleet):
    fleet.ec2.volumes = [described("vol-1"), described("vol-2"), described("vol-3")]
    for name in ("vol-1", "vol-2", "vol-3"):
        fleet.cloudwatch.put(name, NOON - PERIOD)
    fleet.cloudwatch.partial = {"vol-2"}

    answer = fleet.run()
    assert sorted(fleet.rows()) == ["vol-1 12:00", "vol-3 12:00"]
    assert (answer["unfinished"], answer["lag_seconds"]) == (1, 7200.0)
    fleet.cloudwatch.partial = set()
    assert fleet.run()["rows"] == 1


def test_throttling_is_waited_for(fleet: Fleet):
    fleet.cloudwatch.put("vol-1", NOON - PERIOD)
    fleet.cloudwatch.refusals = Refusals(frozenset({0, 1}))
    fleet.ec2.refusals = Refusals(frozenset({0}))

    answer = fleet.run()
    assert (answer["rows"], answer["throttles"], answer["unfinished"]) == (1, 3, 0)


def test_what_outlasts_every_retry_leaves_what_was_written_and_the_next_run_finishes(fleet: Fleet):
    """Forty volumes are two calls."""
    fleet.ec2.volumes = [described(f"vol-{number:02}") for number in range(40)]
    for one in fleet.ec2.volumes:
        fleet.cloudwatch.put(one["VolumeId"], NOON - PERIOD)
    fleet.cloudwatch.refusals = Refusals(frozenset(range(1, 5)))

    answer = fleet.run()
    assert 0 < answer["rows"] < 40
    assert answer["unfinished"] == 40 - answer["rows"]
    assert answer["lag_seconds"] == 7200.0
    fleet.run(NOON + timedelta(minutes=2))
    assert len(fleet.rows()) == 40


def test_throttled_before_anything_is_known_the_invocation_fails(fleet: Fleet):
    fleet.ec2.refusals = Refusals(frozenset(range(4)))
    with pytest.raises(StillThrottled, match="DescribeVolumes is still throttled"):
        fleet.run()


def test_out_of_time_a_run_hands_on_and_what_is_up_to_date_comes_first(fleet: Fleet):
    fleet.ec2.volumes = [described(f"vol-{number:02}") for number in range(39)]
    for one in fleet.ec2.volumes[1:]:
        fleet.cloudwatch.put(one["VolumeId"], NOON - PERIOD)
    fleet.run()
    for start in periods(12):
        fleet.cloudwatch.put("vol-00", start)
    for one in fleet.ec2.volumes[1:]:
        fleet.cloudwatch.put(one["VolumeId"], NOON)
    left = iter([900.0, 0.0])

    answer = fleet.run(NOON + PERIOD, remaining=lambda: next(left))
    assert (answer["rows"], answer["unfinished"]) == (38, 1)
    assert fleet.run(NOON + PERIOD)["rows"] == 12


def test_days_are_caught_up_with_in_slices_oldest_first(fleet: Fleet):
    """201 periods a call; the last call of a run that ends in time tells the next where to go on."""
    for start in periods(500):
        fleet.cloudwatch.put("vol-1", start, {"VolumeIdleTime": 300})
    left = iter([900.0, 900.0, 0.0])
    first = fleet.run(catch_up_hours=48, remaining=lambda: next(left))
    assert (first["rows"], first["unfinished"]) == (402 - 76, 1)
    # The last three may yet turn out not to have idled.
    assert fleet.run(catch_up_hours=48)["rows"] == 500 - 326 - 3
    assert [start for start, _ in fleet.cloudwatch.spans[:2]] == [
        NOON - timedelta(hours=48),
        NOON - timedelta(hours=48) + 201 * PERIOD,
    ]


@dataclass
class TornTable:
    """Takes some rows of a batch, and then nothing more: the table is throttled or the function is gone."""

    client: Any
    chance: random.Random
    batches: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def batch_write_item(self, RequestItems: Mapping[str, list[Any]]) -> dict[str, Any]:
        self.batches -= 1
        [(table, puts)] = RequestItems.items()
        taken = puts if self.batches >= 0 else self.chance.sample(puts, self.chance.randrange(len(puts)))
        if self.batches < -1:
            taken = []
        if taken:
            self.client.batch_write_item(RequestItems={table: taken})
        return {"UnprocessedItems": {table: left} if (left := [put for put in puts if put not in taken]) else {}}


@pytest.mark.parametrize("seed", range(4))
def test_a_torn_batch_leaves_no_gap_for_ever(fleet: Fleet, seed: int):
    fleet.ec2.volumes = [described("vol-1"), described("vol-2")]
    for start in periods(24):
        fleet.cloudwatch.put("vol-1", start)
        fleet.cloudwatch.put("vol-2", start)
    fleet.dynamodb = TornTable(fleet.cloud.dynamodb, random.Random(seed), batches=seed)
    assert fleet.run()["unfinished"] == 2
    fleet.dynamodb = fleet.cloud.dynamodb

    fleet.run(NOON + timedelta(minutes=2))
    assert len(fleet.rows()) == 48


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_and_lateness_of_the_points_the_same_rows_come_out(fleet: Fleet, seed: int):
    """Against one run that comes when all are there. Points are up to a quarter of an hour late, and some never come."""
    chance = random.Random(seed)
    fleet.ec2.volumes = [described("vol-early"), described("vol-late")]
    count = 10
    for start in periods(count):
        for name, value in BUSY.items():
            if chance.random() < 0.1:
                continue
            point = {name: value * chance.choice((0, 1, 2))}
            fleet.cloudwatch.put("vol-late", start, point)
            late = start + PERIOD + timedelta(seconds=chance.uniform(0, 900))
            fleet.cloudwatch.put("vol-early", start, point, seen_at=late)
    in_time, fleet.ec2.volumes = list(fleet.ec2.volumes), fleet.ec2.volumes[:1]
    for minutes in range(2 - 5 * count, 32, 5):
        fleet.run(NOON + timedelta(minutes=minutes))
    fleet.ec2.volumes = in_time[1:]
    fleet.run(NOON + timedelta(hours=1))

    rows = [from_item(item) for item in fleet.cloud.rows()]
    of = {
        name: sorted(
            ({**row, "device_id": ""} for row in rows if row["device_id"] == name), key=lambda row: row["timestamp"]
        )
        for name in ("vol-early", "vol-late")
    }
    assert 0 < len(of["vol-late"]) <= count
    assert of["vol-early"] == of["vol-late"]
    refused = {
        name: {line["record"].partition(", ")[2] for line in fleet.quarantined() if name in line["record"]}
        for name in of
    }
    assert refused["vol-early"] == refused["vol-late"]


def test_a_run_tells_its_metrics_and_the_handler_its_answer(
    fleet: Fleet, context: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    fleet.cloudwatch.put("vol-1", NOON - PERIOD)
    clients = {"ec2": fleet.ec2, "cloudwatch": fleet.cloudwatch, "dynamodb": fleet.dynamodb, "s3": fleet.cloud.s3}
    monkeypatch.setattr("lambdas.collect_volumes.collect_volumes.client", clients.__getitem__)
    monkeypatch.setattr(adapter, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(adapter, "datetime", At)

    answer = adapter.handler({"shard": 0, "shards": 1}, context)

    assert (answer["rows"], answer["volumes"]) == (1, 1)
    [emitted] = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert emitted["service"] == "collect_volumes"
    told = {name: value for name, value in emitted.items() if name.startswith("Collect")}
    assert {name: value[0] if isinstance(value, list) else value for name, value in told.items()} == {
        "CollectedInsights": 1,
        "CollectedVolumes": 1,
        "CollectionRefused": 0,
        "CollectionUnfinished": 0,
        "CollectionLagSeconds": 0,
        "CollectionThrottles": 0,
    }


class At(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return NOON
