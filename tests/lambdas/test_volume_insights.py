"""The arithmetic, from points to an insight; what a volume is; what is asked about it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from insights.schema import InvalidInsight
from lambdas.collect_volumes.asking import Asker
from lambdas.collect_volumes.measuring import insight_of
from lambdas.collect_volumes.metrics import CALL_PERIODS, CALL_VOLUMES, period_start, queries_of
from lambdas.collect_volumes.volumes import Volume, shard_of, volumes_of_shard
from stacks.costs.load import Load
from tests.lambdas.ebs_cloud import INSTANCE, NOON, described, quick

BUSY = {
    "read_ops": 30_000.0,
    "write_ops": 15_000.0,
    "read_bytes": 30_000 * 4096.0,
    "write_bytes": 15_000 * 8192.0,
    "read_seconds": 30.0,
    "write_seconds": 45.0,
    "queue": 0.25,
    "idle_seconds": 200.0,
}


def volume(volume_type: str = "gp3", **more: Any) -> Volume:
    return Volume.from_description(described("vol-1", volume_type, **more))


def measured(points: dict[str, float], of: Volume | None = None, *, is_settled: bool = True) -> Any:
    return insight_of(of or volume(), NOON, points, period_seconds=300, is_settled=is_settled)


def without(*names: str, **changed: float) -> dict[str, float]:
    return {name: value for name, value in BUSY.items() if name not in names} | changed


def test_sums_become_rates_and_means_at_the_end_of_the_period():
    insight = measured(BUSY)

    assert (insight.device_id, insight.interval_seconds) == ("vol-1", 300.0)
    assert insight.timestamp == NOON + timedelta(minutes=5)
    assert (insight.read_iops, insight.write_iops) == (100.0, 50.0)
    assert insight.bandwidth_mbps == pytest.approx(0.8192)
    assert insight.avg_latency_ms == pytest.approx(75 / 45)
    assert insight.io_size_kib == pytest.approx(16 / 3)
    assert insight.queue_depth == 0.25
    assert (insight.provisioned_iops, insight.device_class, insight.alert) == (3000.0, "ssd", False)
    unknown = ("p95_latency_ms", "p99_latency_ms", "error_rate", "sequential_ratio", "workload_type", "risk_level")
    assert {getattr(insight, name) for name in unknown} == {None}


@pytest.mark.parametrize("missing", ["read_seconds", "write_seconds"])
def test_operations_whose_time_is_not_known_have_no_latency(missing: str):
    assert measured(without(missing)).avg_latency_ms is None


def test_a_volume_that_only_reads_needs_no_points_of_its_writes():
    """Of a Xen instance: bytes and times are published with activity only."""
    insight = measured(without("write_bytes", "write_seconds", write_ops=0.0))

    assert insight.write_iops == 0.0
    assert insight.avg_latency_ms == pytest.approx(1.0)
    assert insight.io_size_kib == pytest.approx(4.0)


@pytest.mark.parametrize("points", [{}, {"queue": 0.0}, {"burst": 100.0, "failed_checks": 0.0}])
def test_a_period_that_says_nothing_of_operations_is_no_row(points: dict[str, float]):
    assert measured(points) is None


@pytest.mark.parametrize("points", [{"idle_seconds": 300.0}, {"read_ops": 0.0, "write_ops": 0.0, "queue": 0.0}])
def test_a_period_without_operations_is_an_idle_row_without_latency_and_size(points: dict[str, float]):
    insight = measured(points)

    assert (insight.read_iops, insight.write_iops, insight.bandwidth_mbps) == (0.0, 0.0, 0.0)
    assert (insight.avg_latency_ms, insight.io_size_kib) == (None, None)
    assert insight.queue_depth == points.get("queue")


def test_that_a_volume_idled_is_known_when_no_point_can_come_any_more():
    with pytest.raises(InvalidInsight, match="none of how many reads"):
        measured({"idle_seconds": 300.0}, is_settled=False)


@pytest.mark.parametrize(
    ("points", "field", "says"),
    [
        (without("read_ops", "write_ops"), "read_iops", "none of how many reads"),
        (without("write_ops"), "write_iops", "none of how many writes"),
        ({"idle_seconds": 120.0}, "read_iops", "none of how many reads"),
        ({"idle_seconds": 300.0, "write_bytes": 512.0}, "read_iops", "none of how many reads"),
        (without("read_bytes"), "bandwidth_mbps", "completed 30000 reads and has no point of the bytes"),
        (without(queue=-1.0), "queue_depth", "must be a finite number"),
        (without(write_seconds=1e15), "avg_latency_ms", "must be a finite number"),
        (without(read_ops=-5.0), "read_iops", "must be a finite number"),
    ],
)
def test_what_is_no_insight_is_refused_by_volume_period_field_and_reason(
    points: dict[str, float], field: str, says: str
):
    with pytest.raises(InvalidInsight, match=says) as refused:
        measured(points)
    assert refused.value.field == field
    assert refused.value.record == "volume vol-1, period from 2026-03-02T12:00:00+00:00"


@pytest.mark.parametrize(
    ("of", "points", "alert"),
    [
        (volume(), {"failed_checks": 1.0}, True),
        (volume(), {"failed_checks": 0.0}, False),
        (volume("gp2", Iops=300), {"burst": 5.0}, True),
        (volume("gp2", Iops=300), {"burst": 5.1}, False),
        (volume("gp2", Iops=3000, Size=1000), {"burst": 0.0}, False),
        (volume("st1", Size=500, Iops=None), {"burst": 0.0}, True),
        (volume("st1", Size=12_800, Iops=None), {"burst": 0.0}, False),
        (volume("sc1", Size=16_000, Iops=None), {"burst": 0.0}, True),
        (volume("gp3"), {"burst": 0.0}, False),
    ],
)
def test_an_alert_is_a_failed_check_or_credits_that_are_spent(of: Volume, points: dict[str, float], alert: bool):
    assert measured(BUSY | points, of).alert is alert


@pytest.mark.parametrize(
    ("volume_type", "iops", "device_class", "provisioned"),
    [
        ("gp2", 300, "ssd-burst", 300.0),
        ("gp3", 3000, "ssd", 3000.0),
        ("io1", 5000, "provisioned", 5000.0),
        ("io2", 64_000, "provisioned", 64_000.0),
        ("st1", None, "hdd", None),
        ("sc1", None, "hdd", None),
        ("standard", 0, "hdd", None),
        ("io9", 100, None, 100.0),
    ],
)
def test_class_and_provisioned_iops_follow_from_the_type(
    volume_type: str, iops: int | None, device_class: str | None, provisioned: float | None
):
    found = volume(volume_type, Iops=iops)
    assert (found.device_class, found.iops) == (device_class, provisioned)


def test_a_multi_attached_volume_has_no_checks_of_one_instance():
    assert volume(MultiAttachEnabled=True).instance_id is None
    assert volume().instance_id == INSTANCE
    assert volume(attached=False).is_attached is False


def test_a_volume_keeps_its_shard():
    """By CRC-32 of the id, worked out elsewhere."""
    assert [shard_of(name, 4) for name in ("vol-0123456789abcdef0", "vol-0a", "vol-0b", "vol-0c")] == [2, 2, 0, 2]


def test_shards_have_every_volume_once_and_about_as_many_each():
    names = [f"vol-{number:017x}" for number in range(4000)]
    found = Counter(shard_of(name, 8) for name in names)
    assert sorted(found) == list(range(8))
    assert max(found.values()) < 1.2 * min(found.values())


@pytest.mark.parametrize(
    ("tag", "sizes"), [("iops-insights", [1, 2]), ("iops-insights=yes", [2]), ("", [1, 2, 3]), ("other", [])]
)
def test_the_tag_chooses_volumes(aws_identity: None, aws_client: Any, tag: str, sizes: list[int]):
    with mock_aws():
        ec2 = aws_client("ec2")
        for size, tags in ((1, {"iops-insights": "no"}), (2, {"iops-insights": "yes"}), (3, {})):
            listed = [{"Key": name, "Value": value} for name, value in tags.items()]
            specification = [{"ResourceType": "volume", "Tags": listed}] if listed else []
            ec2.create_volume(
                AvailabilityZone="us-east-1a", Size=size, VolumeType="gp3", TagSpecifications=specification
            )
        found = [one for shard in (0, 1) for one in volumes_of_shard(shard, 2, tag=tag, ec2=ec2, asker=Asker(quick()))]
    assert sorted(one.size_gib for one in found) == sizes


def test_a_call_stays_within_the_limits_of_getmetricdata():
    most = [q for place in range(CALL_VOLUMES) for q in queries_of(volume("gp2", Iops=300), place, 300)]

    assert len(most) <= 500
    assert len(most) * CALL_PERIODS <= 100_800
    names = [query["Id"] for query in most]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_]{0,254}", name) for name in names)


def test_the_cost_model_counts_the_metrics_that_are_asked_for():
    """A call is billed for its metrics, however many points or expressions."""

    def metrics_asked(of: Volume) -> int:
        return sum("MetricStat" in query for query in queries_of(of, 0, 60))

    assert metrics_asked(volume("gp3")) == Load().ebs_metrics_per_volume
    assert metrics_asked(volume("gp2", Iops=300)) == Load().ebs_metrics_per_volume + 1


def test_checks_are_asked_for_by_instance_and_volume_and_joined_by_metric_math():
    queries = {query["Id"]: query for query in queries_of(volume(), 7, 300)}

    joined = queries["v7_failed_checks"]["Expression"]
    assert joined == "MAX([v7_iops_exceeded, v7_throughput_exceeded, v7_stalled])"
    for name in ("v7_iops_exceeded", "v7_throughput_exceeded", "v7_stalled"):
        metric = queries[name]["MetricStat"]["Metric"]
        assert {entry["Name"] for entry in metric["Dimensions"]} == {"VolumeId", "InstanceId"}
        assert queries[name]["ReturnData"] is False
    assert "v0_failed_checks" not in {query["Id"] for query in queries_of(volume(attached=False), 0, 300)}


def test_periods_lie_on_the_clock():
    assert period_start(datetime(2026, 3, 2, 12, 7, 30, 5000, tzinfo=UTC), 300) == NOON + timedelta(minutes=5)
    assert period_start(NOON, 60) == NOON
