"""Least privilege over the templates: each action of each role is needed by a recorded run, or says beside its grant why
it stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Assembly
from tests.e2e.permissions import granted, proven, unused
from tests.stacks.test_switch_serving import WITH_HOURS_AND_BUDGET

AWS_ONLY = "IopsDashboard."
"""The one stack that the laptop cloud has not, so that no run can need a permission of it."""


CONTEXTS = {
    "local": {"stage": "local"},
    "dev": {"stage": "dev"},
    "prod": {"stage": "prod"},
    "hours": WITH_HOURS_AND_BUDGET,
}


@pytest.fixture(scope="module", params=CONTEXTS)
def assembly(request: pytest.FixtureRequest, synthesise: Callable[..., Assembly]) -> Assembly:
    return synthesise(**CONTEXTS[request.param])


def test_every_granted_action_is_needed_by_a_run_or_says_why_it_stays(assembly: Assembly) -> None:
    explained = proven() | set(unused(assembly.templates))
    assert sorted(granted(assembly.templates) - explained) == []


def test_no_action_is_both_needed_and_listed_as_unused(assembly: Assembly) -> None:
    assert sorted(proven() & set(unused(assembly.templates))) == []


def test_no_list_outlives_its_grants(assembly: Assembly, templates: dict[str, dict[str, object]]) -> None:
    assert sorted(set(unused(assembly.templates)) - granted(assembly.templates)) == []
    assert sorted(proven() - granted(templates)) == []


def test_each_reason_is_a_sentence(assembly: Assembly) -> None:
    reasons = unused(assembly.templates).values()
    assert [reason for reason in reasons if len(reason.split()) < 4 or not reason.endswith(".")] == []


def test_what_the_laptop_cannot_prove_is_only_what_it_has_not(assembly: Assembly) -> None:
    """What the stage for AWS grants beyond the laptop's is CDK's own, for the page."""
    listed = set(unused(assembly.templates))
    assert {role.startswith(AWS_ONLY) for role, action in listed if "*" in action} <= {True}


def test_a_grant_that_nobody_needs_would_be_found(assembly: Assembly) -> None:
    """Planted in a copy of the template, beside a role that has grants."""
    policy = {"Statement": [{"Effect": "Allow", "Action": ["s3:DeleteBucket"], "Resource": "*"}]}
    planted = {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyDocument": policy, "Roles": [{"Ref": "EndpointUpdateRole4541785F"}]},
    }
    training = assembly.templates["IopsTraining"]
    templates = {**assembly.templates, "IopsTraining": {"Resources": {**training["Resources"], "Planted": planted}}}
    explained = proven() | set(unused(templates))
    assert granted(templates) - explained >= {("IopsTraining.EndpointUpdateRole4541785F", "s3:DeleteBucket")}
