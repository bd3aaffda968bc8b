from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

Templates = Mapping[str, dict[str, Any]]


@pytest.fixture
def training(templates: Templates) -> dict[str, Any]:
    return templates["IopsTraining"]


def resources(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


def rules(template: Mapping[str, Any], function: str) -> list[dict[str, Any]]:
    """The rules whose only target is the function."""
    found = [rule for rule in resources(template, "AWS::Events::Rule").values() if function in json.dumps(rule)]
    assert all(len(rule["Targets"]) == 1 for rule in found)
    return found


def test_outcomes_are_joined_every_quarter_of_an_hour_by_a_run_that_ends_before_the_next(
    training: dict[str, Any],
) -> None:
    (rule,) = rules(training, "JoinOutcomes")
    functions = resources(training, "AWS::Lambda::Function").values()
    (function,) = [one for one in functions if one["Handler"] == "lambdas.join_outcomes.handler.handler"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(15 minutes)", "ENABLED")
    assert function["Timeout"] < 15 * 60


def test_only_a_drift_alarm_that_begins_to_ring_starts_the_decision(training: dict[str, Any]) -> None:
    (pattern,) = [r["EventPattern"] for r in rules(training, "DecideRetraining") if "EventPattern" in r]
    assert pattern == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": ["iops-drift-risk", "iops-drift-performance"], "state": {"value": ["ALARM"]}},
    }


def test_no_rule_starts_a_training_past_the_decision(training: dict[str, Any]) -> None:
    rules_of_machines = [r for r in resources(training, "AWS::Events::Rule").values() if "TrainModels" in json.dumps(r)]
    assert rules_of_machines == []
    monthly = [r for r in rules(training, "DecideRetraining") if str(r.get("ScheduleExpression")).startswith("cron")]
    assert [(r["ScheduleExpression"], r["State"]) for r in monthly] == [("cron(0 3 1 * ? *)", "DISABLED")]
    assert json.loads(monthly[0]["Targets"][0]["Input"])["trigger"] == "schedule"


def test_the_switch_is_on_and_knows_two_positions(training: dict[str, Any]) -> None:
    switches = [
        p for p in resources(training, "AWS::SSM::Parameter").values() if p["Name"] == "/iops-insights/retraining"
    ]
    assert [(p["Value"], p["AllowedPattern"]) for p in switches] == [("on", "^(on|paused)$")]


def test_the_index_of_due_predictions_is_what_the_functions_ask(templates: Templates) -> None:
    tables = resources(templates["IopsData"], "AWS::DynamoDB::Table").values()
    (index,) = [i for t in tables for i in t.get("GlobalSecondaryIndexes", []) if i["IndexName"] == "due"]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["due_shard", "due_at"]
    assert set(index["Projection"]["NonKeyAttributes"]) == {"as_of", "kind"}
