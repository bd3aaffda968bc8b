from __future__ import annotations

import json

import pytest

from bench.material.run_model import RunModel
from bench.plan import as_json, devices_of
from stacks.costs.prices import PriceTable
from stacks.settings import Settings
from tests.conftest import ROOT
from tests.lambdas.made_up_rates import RATES

SETTINGS = Settings.from_mapping(json.loads((ROOT / "cdk.json").read_text())["context"]["iops"])
TABLE = PriceTable.read()
MILLION = 1_000_000


def model(rows: int, devices: int = 10_000) -> RunModel:
    return RunModel.of(SETTINGS, rows, devices=devices, table=TABLE, rates=RATES)


def steps(of: RunModel) -> dict[str, tuple[float, float]]:
    return {step.name: (step.seconds, step.usd) for step in of.steps}


def test_a_run_of_a_million_is_what_one_instance_of_each_does() -> None:
    found = model(MILLION)
    # each job waits 150 s for its instance; ten waves of trials: 150 rounds of 1 s on two cores, on four 2^0.7 times as fast
    trial = 150 / 2**0.7
    expected = {"manifest": 50, "features": 100 + 150, "tune risk": 10 * (trial + 150), "evaluate risk": 10 + 150}
    assert {name: steps(found)[name][0] for name in expected} == pytest.approx(expected)
    assert found.seconds == pytest.approx(sum(expected.values()) + steps(found)["export (scan)"][0])
    assert (found.limits, found.is_feasible) == ([], True)


def test_costs_are_hours_of_instances_by_the_price_list() -> None:
    found = model(MILLION)
    hours, volume = 250 / 3600, 250 / 3600 / 730 * 30 * 0.14
    assert steps(found)["features"][1] == pytest.approx(hours * 0.23 + volume)
    # fifty trials, whatever their waves
    hours = 50 * (150 / 2**0.7 + 150) / 3600
    assert steps(found)["tune risk"][1] == pytest.approx(hours * 0.23 + hours / 730 * 30 * 0.14)
    assert found.usd == pytest.approx(sum(step.usd for step in found.steps))
    # a million items of 500 bytes, 4 KiB a unit
    assert steps(found)["export (scan)"][1] > MILLION * 500 / 4096 * 0.000000125


def test_limits_are_told_where_they_are_met() -> None:
    small, middle, large = model(10 * MILLION), model(100 * MILLION), model(1000 * MILLION)
    assert not small.limits
    assert any("manifest: not feasible: one Lambda writes it" in limit for limit in middle.limits)
    assert any("features: instance count rises" in limit for limit in middle.limits)
    assert any("'ml.m5.4xlarge for training job usage' must allow 30" in limit for limit in middle.limits)
    assert any("the method changes: a scan would take 2.8 h" in limit for limit in large.limits)
    assert any("tuning ends after 24 h" in limit for limit in large.limits)
    assert not large.is_feasible


def test_more_rows_take_longer_and_cost_more() -> None:
    models = [model(10**exponent, devices=10**6) for exponent in range(4, 10)]
    seconds, costs = [found.seconds for found in models], [found.usd for found in models]
    assert seconds == sorted(seconds)
    assert costs == sorted(costs)


def test_the_record_for_programs_holds_steps_plan_and_limits() -> None:
    record = json.loads(json.dumps(as_json(model(1000 * MILLION, devices=3))))
    assert record["plan"]["processing_instances"] == 3
    assert record["export"]["method"] == "point_in_time"
    assert [step["name"] for step in record["steps"]][:3] == ["export (point_in_time)", "manifest", "features"]
    assert devices_of(86_400, None) == 10
    assert devices_of(86_400, "1e5") == 100_000
