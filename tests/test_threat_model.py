"""docs/security.md names a test for each threat; each exists. And the threats that no other module's tests are about."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Assembly

ROOT = Path(__file__).resolve().parents[1]
TABLE = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| ")
]
HEADER, *THREATS = TABLE
CITED = sorted({test for *_, shown in THREATS for test in re.findall(r"`(tests/[^`]+)`", shown)})
ACTORS = {
    "anonymous caller",
    "caller with a token of a lesser scope",
    "another site in an operator's browser",
    "poisoned telemetry source",
    "compromised Lambda role",
    "compromised container (job or endpoint)",
    "malicious model package",
    "somebody with console read",
    "supply chain",
}


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("cited", CITED)
def test_every_test_that_the_threat_model_names_exists(cited: str) -> None:
    path, separator, name = cited.partition("::")
    assert separator, f"{cited} names no test of the module"
    assert (ROOT / path).is_file(), path
    assert name in names_in(path), cited


def test_every_threat_has_a_test_or_says_why_not() -> None:
    assert HEADER == ["who", "could try to", "", "what stops them", "shown by"]
    assert {who for who, *_ in THREATS if who} >= ACTORS
    for who, what, kind, stopped, shown in THREATS:
        assert "`tests/" in shown or re.match(r"no test: \S", shown), (who, what)
        assert stopped, (who, what)
        assert kind in {*"STRIDE", ""}, (who, what)


@pytest.fixture(scope="module", params=["dev", "prod"])
def aws(request: pytest.FixtureRequest, synthesise: Callable[..., Assembly]) -> Mapping[str, Any]:
    return synthesise(stage=request.param).templates


def of(template: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def test_nobody_makes_an_account_alone(aws: Mapping[str, Any]) -> None:
    [pool] = of(aws["IopsApi"], "AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}


def test_the_stage_throttles_everybody(aws: Mapping[str, Any]) -> None:
    [stage] = of(aws["IopsApi"], "AWS::ApiGateway::Stage")
    [everywhere] = [s for s in stage["MethodSettings"] if (s["HttpMethod"], s["ResourcePath"]) == ("*", "/*")]
    assert 0 < everywhere["ThrottlingRateLimit"] <= everywhere["ThrottlingBurstLimit"]


def test_a_promotion_may_update_a_stack_as_the_narrow_role_alone(aws: Mapping[str, Any]) -> None:
    """UpdateStack without a role would borrow that of the last deployment, CDK's administrator."""
    training = aws["IopsTraining"]
    updating = [
        statement
        for policy in of(training, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if "cloudformation:UpdateStack" in statement["Action"]
    ]
    assert len(updating) == 2
    for statement in updating:
        role = statement["Condition"]["StringEquals"]["cloudformation:RoleArn"]["Fn::GetAtt"][0]
        trusted = training["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        assert trusted == {"Service": "cloudformation.amazonaws.com"}
        actions = {action for action in _actions(training, role) if action.startswith("iam:")}
        assert actions == {"iam:PassRole", "iam:CreateServiceLinkedRole"}


def _actions(template: Mapping[str, Any], role: str) -> set[str]:
    policies = [policy for policy in of(template, "AWS::IAM::Policy") if {"Ref": role} in policy["Roles"]]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    listed = [[given] if isinstance(given := statement["Action"], str) else given for statement in statements]
    return {action for actions in listed for action in actions}


def test_nothing_that_comes_with_a_model_can_be_code() -> None:
    """No module that the image holds unpickles anything, and each archive is extracted by tarfile's data filter."""
    for path in sorted([*(ROOT / "training_container").rglob("*.py"), *(ROOT / "insights").rglob("*.py")]):
        text = path.read_text()
        imported = {
            alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
        }
        assert not imported & {"pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}, path
        assert "allow_pickle=True" not in text, path  # numpy's default is False
        assert text.count(".extractall(") == text.count('filter="data"'), path
