"""The schedule of the collector, its limits and what it may do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from stacks.collectors_stack import CollectorsStack, schedule_of, shards_of_rules, time_limit
from stacks.data_stack import DataStack
from stacks.settings import InvalidSetting, Settings
from tests.conftest import ROOT
from tests.stacks.alarms import resources

Templates = Mapping[str, dict[str, Any]]


def settings(**changed: Any) -> Settings:
    values = json.loads((ROOT / "cdk.json").read_text())["context"]["iops"]
    return Settings.from_mapping({**values, "stage": "dev", **changed})


@pytest.fixture(scope="module")
def make_template() -> Callable[..., Templates]:
    def make(**changed: Any) -> Templates:
        app, chosen = cdk.App(), settings(**changed)
        data = DataStack(app, "IopsData", settings=chosen)
        stack = CollectorsStack(
            app, "IopsCollectors", settings=chosen, data=data, code=lambda: lambda_.Code.from_inline("pass")
        )
        return {"IopsCollectors": Template.from_stack(stack).to_json()}

    return make


@pytest.fixture(scope="module")
def seven(make_template: Callable[..., Templates]) -> Templates:
    return make_template(ebs_shards=7, ebs_every_minutes=15, ebs_tag=None)


def test_collection_is_off_unless_it_is_asked_for():
    assert settings().ebs_collection == "off"


def test_every_shard_is_asked_for_by_one_target_and_no_rule_has_more_than_five(seven: Templates):
    rules = [rule for _, rule in resources(seven, "AWS::Events::Rule")]
    asked = [[json.loads(target["Input"]) for target in rule["Targets"]] for rule in rules]

    assert sorted(len(targets) for targets in asked) == [2, 5]
    events = [event for targets in asked for event in targets]
    assert sorted(event["shard"] for event in events) == list(range(7))
    assert {event["shards"] for event in events} == {7}
    assert {rule["ScheduleExpression"] for rule in rules} == {"cron(2/15 * * * ? *)"}


def test_what_cannot_be_delivered_before_the_next_run_is_left_to_it(seven: Templates):
    for _, rule in resources(seven, "AWS::Events::Rule"):
        for target in rule["Targets"]:
            assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 1}


@pytest.mark.parametrize(
    ("minutes", "schedule", "seconds"),
    [(1, "cron(0/1 * * * ? *)", 30), (5, "cron(2/5 * * * ? *)", 270), (60, "cron(2/60 * * * ? *)", 840)],
)
def test_a_run_begins_after_a_period_and_ends_before_the_next_run(minutes: int, schedule: str, seconds: int):
    assert schedule_of(minutes) == schedule
    assert time_limit(cdk.Duration.minutes(minutes)).to_seconds() == seconds


def test_shards_are_shared_out_in_fives():
    assert [list(shards) for shards in shards_of_rules(11)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10]]


def test_the_function_is_told_what_the_settings_say(templates: Templates):
    [variables] = [
        function["Environment"]["Variables"]
        for stack, function in resources(templates, "AWS::Lambda::Function")
        if stack == "IopsCollectors"
    ]
    told = {name: variables[name] for name in ("VOLUME_TAG", "PERIOD_SECONDS", "EVERY_SECONDS", "CATCH_UP_HOURS")}
    assert told == {
        "VOLUME_TAG": "iops-insights",
        "PERIOD_SECONDS": "300",
        "EVERY_SECONDS": "300",
        "CATCH_UP_HOURS": "72",
    }


def test_only_what_knows_no_resource_is_allowed_on_all(templates: Templates):
    on_all = {
        action
        for stack, policy in resources(templates, "AWS::IAM::Policy")
        if stack == "IopsCollectors"
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert on_all == {
        "ec2:DescribeVolumes",
        "cloudwatch:GetMetricData",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("ebs_collection", "yes", "off, on"),
        ("ebs_period_seconds", 120, "300, 60"),
        ("ebs_every_minutes", 7, "1, 5, 10, 15, 20, 30, 60"),
        ("ebs_shards", 0, "1 to 100"),
        ("ebs_catch_up_hours", 62 * 24 + 1, "1 to 1488"),
    ],
)
def test_a_setting_that_cannot_hold_is_refused_with_what_can(field: str, value: Any, allowed: str):
    with pytest.raises(InvalidSetting, match=f"{field}.*{allowed}"):
        settings(**{field: value})


def test_points_of_a_minute_are_kept_for_fifteen_days():
    assert settings(ebs_period_seconds=60, ebs_catch_up_hours=14 * 24).ebs_catch_up_hours == 336
    with pytest.raises(InvalidSetting, match="1 to 336"):
        settings(ebs_period_seconds=60, ebs_catch_up_hours=14 * 24 + 1)
