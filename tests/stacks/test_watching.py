from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from stacks.settings import InvalidSetting, Settings
from tests.conftest import ROOT

Templates = Mapping[str, dict[str, Any]]


def of_type(template: Mapping[str, Any], kind: str, prefix: str = "Watching") -> dict[str, dict[str, Any]]:
    found = template["Resources"].items()
    return {name: r["Properties"] for name, r in found if r["Type"] == kind and name.startswith(prefix)}


def test_the_models_are_watched_every_day_and_a_period_ends_when_its_event_was_due(templates: Templates) -> None:
    (rule,) = of_type(templates["IopsTraining"], "AWS::Events::Rule").values()
    (target,) = rule["Targets"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 day)", "ENABLED")
    assert target["InputTransformer"]["InputPathsMap"] == {"time": "$.time"}
    assert json.loads(target["InputTransformer"]["InputTemplate"].replace("<time>", '"T"')) == {"end": "T"}


def test_no_function_of_the_watch_puts_metrics_but_by_its_log(templates: Templates) -> None:
    for policy in of_type(templates["IopsTraining"], "AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert "cloudwatch" not in json.dumps(statement["Action"])


def test_the_jobs_role_reads_captured_requests_and_writes_only_what_a_watch_leaves(templates: Templates) -> None:
    (policy,) = of_type(templates["IopsTraining"], "AWS::IAM::Policy", "SageMakerRolesJobs").values()
    allowed = {"s3:GetObject": "", "s3:PutObject": ""}
    for statement in policy["PolicyDocument"]["Statement"]:
        for action in allowed.keys() & {
            *([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        }:
            allowed[action] += json.dumps(statement["Resource"])
    assert "/monitoring/data-capture/*" in allowed["s3:GetObject"]
    assert "/monitoring/risk/*" in allowed["s3:PutObject"]
    assert "/monitoring/data-capture/*" not in allowed["s3:PutObject"]


@pytest.mark.parametrize("hours", [-1, 73])
def test_a_period_that_one_job_cannot_be_given_is_refused(hours: int) -> None:
    values = json.loads((ROOT / "cdk.json").read_text())["context"]["iops"]
    with pytest.raises(InvalidSetting, match=r"watch_every_hours.*0 to 72"):
        Settings.from_mapping({**values, "watch_every_hours": hours})
