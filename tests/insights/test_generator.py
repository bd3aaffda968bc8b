import itertools
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from insights.columns import InsightColumns
from insights.features import compute_features
from insights.files import write_json
from insights.fleet_statistics import FleetStatistics
from insights.generator import REALISTIC, Collector, generate, generate_cohorts
from insights.labels import label, persistence
from insights.schema import RISK_LEVELS, Insight
from insights.splits import SPLITS, assign_splits, group_of, worst_of_devices, worst_of_groups


@pytest.fixture(scope="module")
def fleet() -> list[Insight]:
    return list(generate())


def by_device(fleet: list[Insight]) -> dict[str, list[Insight]]:
    devices = defaultdict(list)
    for insight in fleet:
        devices[insight.device_id].append(insight)
    return devices


def test_the_default_fleet_has_the_documented_size_mix_and_ids(fleet: list[Insight]) -> None:
    assert len(fleet) == len({(insight.device_id, insight.timestamp) for insight in fleet}) == 10_000
    assert set(by_device(fleet)) == {f"synthetic-7-{number:06d}" for number in range(157)}
    labelled = Counter(insight.risk_level for insight in fleet if insight.risk_level)
    assert labelled.total() == pytest.approx(8_000, abs=100)
    for level, percent in (("low", 50), ("medium", 30), ("high", 15), ("critical", 5)):
        assert 100 * labelled[level] / labelled.total() == pytest.approx(percent, abs=2), level
    assert sum(insight.is_anomaly is True for insight in fleet) == pytest.approx(2_000, abs=200)
    assert len({insight.device_class for insight in fleet}) == 4
    assert len({insight.workload_type for insight in fleet}) == 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_json(tmp_path / name, generate(2_000, seed))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_littles_law_and_the_bandwidth_identity_hold_in_every_row(fleet: list[Insight]) -> None:
    for insight in fleet:
        total = insight.read_iops + insight.write_iops
        assert insight.avg_latency_ms is not None
        assert insight.io_size_kib is not None
        assert insight.queue_depth == pytest.approx(total * insight.avg_latency_ms / 1000, rel=1e-12)
        assert insight.bandwidth_mbps == pytest.approx(total * insight.io_size_kib * 1024 / 1e6, rel=1e-12)


def test_percentiles_are_ordered_and_a_limit_limits(fleet: list[Insight]) -> None:
    for insight in fleet:
        assert insight.avg_latency_ms is not None
        assert insight.p95_latency_ms is not None
        assert insight.p99_latency_ms is not None
        assert insight.avg_latency_ms < insight.p95_latency_ms <= insight.p99_latency_ms
        if insight.provisioned_iops is not None:
            assert insight.read_iops + insight.write_iops <= 1.03 * insight.provisioned_iops


def test_the_labels_are_the_rule_on_what_came_next(fleet: list[Insight]) -> None:
    """Where the whole horizon was kept, hindsight on the bare telemetry finds the same labels."""
    bare = [
        Insight.from_json(i.to_json() | dict.fromkeys(("risk_level", "performance_score", "label_source")))
        for i in fleet
    ]
    columns, stripped = InsightColumns.from_insights(fleet), InsightColumns.from_insights(bare)
    found = label(stripped)
    last = np.array([rows[-1].timestamp.timestamp() for rows in by_device(fleet).values()])[columns.device]
    whole = (columns.risk >= 0) & (columns.time_seconds + 6.5 * 300 <= last)
    assert whole.sum() > 6_500
    np.testing.assert_array_equal(found.risk[whole], columns.risk[whole])
    np.testing.assert_allclose(found.score[whole], columns.score[whole], atol=0.001)
    assert (columns.label_source[columns.risk >= 0] == 0).all()


def test_unlabelled_rows_are_whole_stretches(fleet: list[Insight]) -> None:
    for rows in by_device(fleet).values():
        known = [insight.risk_level is not None for insight in rows]
        assert sum(one != other for one, other in itertools.pairwise(known)) <= 2


def test_every_split_sees_every_level(fleet: list[Insight]) -> None:
    columns = InsightColumns.from_insights(fleet)
    worst = worst_of_groups(columns.devices, worst_of_devices(columns, columns.risk))
    splits = assign_splits(worst, seed=7)
    split = np.array([splits[group_of(device)] for device in columns.device_ids()])
    for name in SPLITS:
        assert set(columns.risk[split == name].tolist()) == {-1, 0, 1, 2, 3}


def test_incidents_show_in_the_features_before_they_are_there(fleet: list[Insight]) -> None:
    """Rows that are calm now and high or critical ahead get worse already, in the median."""
    columns = InsightColumns.from_insights(fleet)
    features = compute_features(columns)
    now, _ = persistence(columns)
    onset, calm = (now == 0) & (columns.risk >= 2), (now == 0) & (columns.risk == 0)
    assert onset.sum() > 50
    trend = features[:, 22]
    assert np.median(trend[onset]) > 5 * abs(np.median(trend[calm]))


def test_the_hours_and_days_of_a_week_and_lost_rows_occur(fleet: list[Insight]) -> None:
    assert {insight.timestamp.hour for insight in fleet} == set(range(24))
    assert {insight.timestamp.weekday() for insight in fleet} == set(range(7))
    steps = {
        (later.timestamp - earlier.timestamp).total_seconds()
        for rows in by_device(fleet).values()
        for earlier, later in itertools.pairwise(rows)
    }
    assert {300.0, 600.0} <= steps


@pytest.mark.parametrize("records", [1, 7, 126, 1_000])
def test_any_number_of_records_is_met_exactly(records: int) -> None:
    assert len(list(generate(records, 1))) == records


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="records is 0"):
        list(generate(0))
    with pytest.raises(ValueError, match="seed -1"):
        list(generate(5, -1))
    with pytest.raises(ValueError, match=r"nulls is 0\.6"):
        Collector(nulls=0.6)
    with pytest.raises(ValueError, match="skew_seconds is 150"):
        Collector(skew_seconds=150)
    with pytest.raises(ValueError, match="no insights"):
        FleetStatistics().to_json()


def test_the_statistics_count_what_is_there() -> None:
    statistics = FleetStatistics()
    for cohort in generate_cohorts(futures=5):
        statistics.add(cohort.columns, cohort.foretold)
    counted = json.loads(json.dumps(statistics.to_json()))
    assert (counted["records"], counted["devices"]) == (10_000, 157)
    assert list(counted["risk_counts"]) == list(RISK_LEVELS)
    assert sum(counted["risk_counts"].values()) == counted["labelled"] == counted["oracle_rows"]
    assert sum(counted["risk_shares"].values()) == pytest.approx(1)
    assert sum(counted["device_classes"].values()) == sum(counted["workload_types"].values()) == 10_000


@pytest.mark.parametrize(("records", "seed"), [(10_000, 1), (10_000, 2), (12_345, 3), (15_000, 4), (200_000, 7)])
def test_the_mix_holds_for_other_seeds_and_sizes(records: int, seed: int) -> None:
    statistics = FleetStatistics()
    for cohort in generate_cohorts(records, seed, futures=0):
        statistics.add(cohort.columns)
    counted = statistics.to_json()
    assert counted["records"] == records
    for level, share in (("low", 0.50), ("medium", 0.30), ("high", 0.15), ("critical", 0.05)):
        assert counted["risk_shares"][level] == pytest.approx(share, abs=0.02), level
    assert counted["labelled_share"] == pytest.approx(0.80, abs=0.01)
    assert counted["anomaly_share"] == pytest.approx(0.20, abs=0.02)


def test_cohorts_are_the_same_rows_as_columns(fleet: list[Insight]) -> None:
    streamed = [insight for cohort in generate_cohorts(futures=0) for insight in cohort.columns.insights()]
    assert streamed == fleet


def test_a_realistic_collector_loses_blurs_and_shifts_but_changes_no_measurement(fleet: list[Insight]) -> None:
    seen = list(generate(collector=REALISTIC))
    assert len(seen) == 10_000
    columns = InsightColumns.from_insights(seen)
    assert np.isnan(columns.p99_latency_ms).mean() == pytest.approx(0.02, abs=0.005)
    offset = np.abs((columns.time_seconds + 150) % 300 - 150)
    assert 0.5 < np.median(offset) < 2.0
    assert offset.max() < 4.0
    steps = np.diff(columns.time_seconds)[np.diff(columns.device) == 0]
    assert (steps > 0).all()
    missing = (np.round(steps / 300) - 1).sum() / len(steps)
    assert 0.008 < missing < 0.03
    assert steps.max() > 3 * 300
    slots = {(insight.device_id, round(insight.timestamp.timestamp() / 300)): insight for insight in fleet}
    both = [(slots[key], i) for i in seen if (key := (i.device_id, round(i.timestamp.timestamp() / 300))) in slots]
    assert len(both) > 9_000
    assert all(good.read_iops == real.read_iops for good, real in both)
    assert all(real.p99_latency_ms in {None, good.p99_latency_ms} for good, real in both)
