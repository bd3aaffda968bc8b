from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.prepare_run.estimates import Machines, processing_need_mb, training_need_mb
from lambdas.prepare_run.instance_sizes import size_of
from lambdas.prepare_run.plan import (
    SMALL_ROWS,
    JobsPlan,
    export_plan,
    is_infeasible,
    jobs_plan,
    plan_of_export,
)
from lambdas.prepare_run.planning import Chosen, Limits, Planning
from lambdas.prepare_run.rates import Rates
from stacks.costs.prices import PriceTable
from tests.lambdas.made_up_rates import RATES

LIMITS = Limits(
    larger_instance_types=("ml.m5.2xlarge", "ml.m5.4xlarge"),
    most_processing_instances=8,
    most_training_instances=4,
    scan_segments=8,
)
MILLION = 1_000_000


def planned(rows: int, *, devices: int | None = None, limits: Limits = LIMITS, **chosen: Any) -> JobsPlan:
    return jobs_plan(rows, Planning(limits=limits, chosen=Chosen(**chosen)), RATES, devices=devices)


def exported(rows: int, kind: str = "dynamodb", **chosen: Any) -> tuple[str, int]:
    plan = export_plan(rows, Planning(limits=LIMITS, chosen=Chosen(**chosen), source_kind=kind), RATES)
    return plan.method, plan.segments


@pytest.mark.parametrize("rows", [0, 1, 10_000, SMALL_ROWS])
def test_a_small_run_has_the_jobs_it_always_had(rows: int) -> None:
    plan = planned(rows).to_json()
    reasons = plan.pop("reasons")
    assert plan == {
        "rows": rows,
        "processing_instances": 1,
        "processing_instance_type": "ml.m5.xlarge",
        "processing_volume_gb": 30,
        "training_instances": 1,
        "training_instance_type": "ml.m5.xlarge",
        "training_volume_gb": 30,
        "external_memory": False,
    }
    assert reasons == [f"{rows:,} rows: up to 1,000,000 one instance of each job suffices."]
    assert exported(rows) == ("scan", 8)


# Features take 100 s for a million rows, and one hour is the goal of each instance.
@pytest.mark.parametrize(
    ("rows", "instances"), [(36 * MILLION, 1), (37 * MILLION, 2), (72 * MILLION, 2), (280 * MILLION, 8)]
)
def test_features_are_spread_so_that_each_instance_ends_within_the_hour(rows: int, instances: int) -> None:
    assert planned(rows).processing_instances == instances


def test_features_on_as_many_instances_as_the_setting_allows_say_so_and_how_long_they_take() -> None:
    plan = planned(2000 * MILLION)
    assert plan.processing_instances == 8
    assert "as many as the setting most_processing_instances allows: about 6.9 h" in " ".join(plan.reasons)


def test_there_are_never_more_shards_than_devices() -> None:
    plan = planned(200 * MILLION, devices=3)
    assert (plan.processing_instances, plan.training_instances) == (3, 3)
    assert any("as many as there are devices" in reason for reason in plan.reasons)


def test_files_in_s3_are_read_by_one_instance_as_any_of_them_may_hold_any_device() -> None:
    plan = jobs_plan(100 * MILLION, Planning(limits=LIMITS, source_kind="s3"), RATES)
    assert plan.processing_instances == 1
    assert any("Features on 1 instance, as many as a source of files allows" in reason for reason in plan.reasons)


# 200 bytes a row on one instance; of an ml.m5.xlarge's 16 GiB 13.7 GB are to be used, of a 2xlarge's 27.5, of a 4xlarge's 55.
@pytest.mark.parametrize(
    ("rows", "instance_type"),
    [(68 * MILLION, "ml.m5.xlarge"), (69 * MILLION, "ml.m5.2xlarge"), (138 * MILLION, "ml.m5.4xlarge")],
)
def test_processing_takes_the_smallest_type_that_holds_an_evaluation(rows: int, instance_type: str) -> None:
    plan = planned(rows)
    assert plan.processing_instance_type == instance_type
    assert not any(is_infeasible(reason) for reason in plan.reasons)


def test_what_no_allowed_type_holds_is_told_with_the_setting_to_change() -> None:
    [sentence] = [reason for reason in planned(300 * MILLION).reasons if "evaluation" in reason]
    assert is_infeasible(sentence)
    assert "60 GB" in sentence
    assert "larger_instance_types" in sentence


# 150 rounds of 1 s a million rows on 2 cores, half an hour the goal: 12 million on 2 cores, times 2^0.7 on 4, 4^0.7 on 8 ...
@pytest.mark.parametrize(
    ("rows", "machines"),
    [
        (19 * MILLION, (1, "ml.m5.xlarge")),
        (20 * MILLION, (1, "ml.m5.2xlarge")),
        (32 * MILLION, (1, "ml.m5.4xlarge")),
        (52 * MILLION, (2, "ml.m5.4xlarge")),
        (111 * MILLION, (3, "ml.m5.4xlarge")),
        (112 * MILLION, (4, "ml.m5.4xlarge")),
    ],
)
def test_training_takes_larger_types_first_and_then_more_of_the_largest(rows: int, machines: tuple[int, str]) -> None:
    plan = planned(rows)
    assert (plan.training_instances, plan.training_instance_type) == machines
    assert not plan.external_memory


def test_rows_are_paged_from_disk_where_all_allowed_memory_is_too_small() -> None:
    # of 400 bytes a row an instance of four holds 55%: 220 bytes, and 55 GB are enough for 249 million rows
    assert not planned(249 * MILLION).external_memory
    paged = planned(251 * MILLION)
    assert (paged.external_memory, paged.training_instances) == (True, 4)
    assert any("external memory" in reason for reason in paged.reasons)
    # a quarter of that with rows on disk
    assert any(is_infeasible(reason) for reason in planned(1100 * MILLION).reasons if "training" in reason)
    assert not any(is_infeasible(reason) for reason in planned(990 * MILLION).reasons if "training" in reason)


def test_a_slow_training_says_what_to_raise() -> None:
    plan = planned(200 * MILLION)
    assert any("raise most_training_instances or allow larger types" in reason for reason in plan.reasons)


def test_a_type_of_unknown_size_plans_nothing_larger() -> None:
    limits = Limits(training_instance_type="ml.g5.xlarge", larger_instance_types=("ml.m5.4xlarge",))
    plan = planned(500 * MILLION, limits=limits)
    assert (plan.training_instances, plan.training_instance_type) == (1, "ml.g5.xlarge")


def test_what_the_input_asks_for_goes_before_the_plan_and_is_told() -> None:
    plan = planned(10_000, processing_instances=2, training_instances=3, external_memory=True)
    assert (plan.processing_instances, plan.training_instances, plan.external_memory) == (2, 3, True)
    assert "The input asks for training_instances = 3." in plan.reasons
    assert "The input asks for external_memory = true." in plan.reasons
    assert exported(10_000, export="point_in_time", segments=2) == ("point_in_time", 2)
    assert not planned(251 * MILLION, external_memory=False).external_memory


# 500 bytes a row, 4 KiB a unit, 12,000 units a second: 98,304 rows/s, 176.9 million in half an hour.
def test_the_export_is_a_scan_until_it_would_take_half_an_hour_of_the_tables_read_capacity() -> None:
    assert exported(176 * MILLION)[0] == "scan"
    assert exported(178 * MILLION)[0] == "point_in_time"
    assert exported(178 * MILLION, "synthetic")[0] == "scan"
    assert exported(178 * MILLION, "s3") == ("none", 0)


def test_segments_end_within_one_invocation_each_until_there_are_a_thousand() -> None:
    # 100 s for a million rows, 600 s a segment
    assert exported(48 * MILLION)[1] == 8
    assert exported(60 * MILLION)[1] == 10
    assert exported(6000 * MILLION)[1] == 1000
    assert exported(10_000 * MILLION)[1] == 1000


def test_volumes_hold_what_the_jobs_write() -> None:
    # 500 raw, 100 of columns, twice 700 of features: 198 GB, a tenth to spare and ten
    assert planned(99 * MILLION).processing_volume_gb == 228
    assert planned(99 * MILLION).training_volume_gb == 30
    # of 85 bytes of channels each of four holds 55%, and once more where the rows are paged: 93.5 GB
    assert planned(1000 * MILLION).training_volume_gb == 113
    assert planned(10_000 * MILLION).processing_volume_gb == 16_384
    assert any("16,384 GB at most" in reason for reason in planned(10_000 * MILLION).reasons)


def test_the_plan_of_the_exported_rows_is_made_under_what_the_run_was_prepared_with() -> None:
    planning = Planning(limits=LIMITS, chosen=Chosen(training_instances=2))
    travelled = json.loads(json.dumps(planning.to_json()))
    plan = plan_of_export({"rows": 40, "devices": 3}, travelled)
    assert (plan["rows"], plan["training_instances"]) == (40, 2)
    assert Planning.from_json(travelled) == planning
    assert plan_of_export({"rows": 40, "devices": 3}, None)["training_instances"] == 1


ROWS = st.integers(0, 20_000 * MILLION)
TYPES = ("ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.r5.xlarge", "ml.c5.4xlarge")
ANY_LIMITS = st.builds(
    Limits,
    processing_instance_type=st.sampled_from(TYPES),
    training_instance_type=st.sampled_from(TYPES),
    larger_instance_types=st.lists(st.sampled_from(TYPES), unique=True).map(tuple),
    most_processing_instances=st.integers(1, 100),
    most_training_instances=st.integers(1, 100),
    scan_segments=st.integers(1, 1000),
)


def memory_gib(count: int, instance_type: str) -> int:
    size = size_of(instance_type)
    assert size is not None
    return count * size.memory_gib


@given(rows=st.tuples(ROWS, ROWS), limits=ANY_LIMITS)
def test_more_rows_never_get_less(rows: tuple[int, int], limits: Limits) -> None:
    fewer, more = (planned(count, limits=limits) for count in sorted(rows))
    assert fewer.processing_instances <= more.processing_instances
    assert fewer.processing_volume_gb <= more.processing_volume_gb
    assert fewer.external_memory <= more.external_memory
    totals = [memory_gib(plan.training_instances, plan.training_instance_type) for plan in (fewer, more)]
    assert totals == sorted(totals)
    segments = [export_plan(count, Planning(limits=limits), RATES).segments for count in sorted(rows)]
    assert segments == sorted(segments)


@given(rows=ROWS, limits=ANY_LIMITS, devices=st.integers(1, 1000))
def test_nothing_passes_what_the_deployment_allows(rows: int, limits: Limits, devices: int) -> None:
    plan = planned(rows, limits=limits, devices=devices)
    assert 1 <= plan.processing_instances <= min(limits.most_processing_instances, devices)
    assert 1 <= plan.training_instances <= min(limits.most_training_instances, devices)
    assert plan.processing_instance_type in (limits.processing_instance_type, *limits.larger_instance_types)
    assert plan.training_instance_type in (limits.training_instance_type, *limits.larger_instance_types)
    assert max(plan.processing_volume_gb, plan.training_volume_gb) <= 16_384
    assert export_plan(rows, Planning(limits=limits), RATES).segments <= 1000


@given(rows=ROWS.filter(lambda rows: rows > SMALL_ROWS), limits=ANY_LIMITS)
def test_what_is_planned_holds_the_rows_or_says_that_it_does_not(rows: int, limits: Limits) -> None:
    plan = planned(rows, limits=limits)
    told = [reason for reason in plan.reasons if is_infeasible(reason)]
    training = Machines(plan.training_instances, plan.training_instance_type, plan.external_memory)
    processing = Machines(plan.processing_instances, plan.processing_instance_type)
    for machines, need, word in (
        (training, training_need_mb(rows, training, RATES), "training"),
        (processing, processing_need_mb(rows, processing.instances, RATES), "evaluation"),
    ):
        assert machines.memory_mb >= need or any(word in reason for reason in told)


@given(rows=ROWS, limits=ANY_LIMITS)
def test_every_plan_says_why_in_sentences(rows: int, limits: Limits) -> None:
    reasons = planned(rows, limits=limits).reasons
    assert reasons
    assert all(reason.endswith(".") and reason[0].isupper() | reason[0].isdigit() for reason in reasons)


def test_a_types_size_follows_from_its_name_for_every_type_with_a_price() -> None:
    for name, priced in PriceTable.read().instances.items():
        assert size_of(name) == (priced.vcpus, priced.memory_gib)
    for name in ("ml.t3.medium", "ml.g5.xlarge", "ml.p4d.24xlarge", "ml.m4.xlarge"):
        assert size_of(name) is None


def test_the_kept_rates_know_every_step_that_a_plan_asks_for() -> None:
    rates = Rates.read()
    assert set(RATES.steps) <= set(rates.steps)
    assert set(RATES.bytes_per_row) <= set(rates.bytes_per_row)
    for rate in rates.steps.values():
        assert rate.seconds(MILLION, rounds=10) > 0
        assert math.isfinite(rate.peak_mb(MILLION))
