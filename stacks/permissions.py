"""What a role may do, with the reason beside every wildcard, and beside every action that no test run needs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import IConstruct

from stacks.nag import acknowledge

Conditions = Mapping[str, Mapping[str, str | list[str]]]


# Metadata of a role in its template: what tests/stacks/test_permissions.py reads.
UNUSED = "UnusedInTests"


class UnexplainedWildcard(ValueError):
    """A permission names actions by a pattern, or resources and does not say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """`because` says why no narrower resource can be written; needed where a resource holds a wildcard.

    `unused_because` says why an action stays that no recorded run needs: of all actions, or of each by its name.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Conditions | None = None
    because: str | None = None
    unused_because: str | Mapping[str, str] | None = None


def allow(
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Conditions | None = None,
    *,
    because: str | None = None,
    unused_because: str | Mapping[str, str] | None = None,
) -> Permission:
    return Permission(
        actions=actions, resources=resources, conditions=conditions, because=because, unused_because=unused_because
    )


def grant(grantee: iam.Role | sfn.StateMachine, permissions: Iterable[Permission]) -> None:
    """Adds the statements to a role, and the reasons to cdk-nag's record of it."""
    role = grantee if isinstance(grantee, iam.Role) else grantee.role
    for permission in permissions:
        _refuse_wildcard_actions(permission)
        _note_unused(role, permission)
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=list(permission.actions),
                resources=list(permission.resources),
                conditions=permission.conditions,
            )
        )
        for resource in permission.resources:
            finding = flattened(cdk.Stack.of(grantee).resolve(resource))
            if "*" not in finding:
                continue
            if permission.because is None:
                raise UnexplainedWildcard(f"{', '.join(permission.actions)} on {finding} needs `because`")
            acknowledge(role, f"AwsSolutions-IAM5[Resource::{finding}]", permission.because)


def _refuse_wildcard_actions(permission: Permission) -> None:
    if patterns := [action for action in permission.actions if "*" in action]:
        raise UnexplainedWildcard(f"{', '.join(patterns)}: name each action")


def _note_unused(role: IConstruct, permission: Permission) -> None:
    reasons = permission.unused_because
    if isinstance(reasons, str):
        reasons = dict.fromkeys(permission.actions, reasons)
    for action, reason in (reasons or {}).items():
        if action not in permission.actions:
            raise ValueError(f"{action} is none of {', '.join(permission.actions)}")
        unused(role, action, reason)


def unused(role: IConstruct, action: str, reason: str) -> None:
    """Also for what CDK grants by itself."""
    resource = role if isinstance(role, cdk.CfnResource) else cast(cdk.CfnResource, role.node.default_child)
    known = resource.get_metadata(UNUSED) or {}
    resource.add_metadata(UNUSED, {**known, action: reason})


def flattened(value: Any) -> str:
    """A resolved text as cdk-nag writes it into a finding's id: references in angle brackets."""
    if isinstance(value, str):
        return value
    [(function, argument)] = value.items()
    if function == "Ref":
        return f"<{argument}>"
    if function == "Fn::GetAtt":
        return f"<{'.'.join(argument)}>"
    if function == "Fn::Join":
        separator, parts = argument
        return str(separator).join(flattened(part) for part in parts)
    return json.dumps(value, separators=(",", ":"))
