"""What a role may do, with the reason beside every wildcard: synthesis refuses one that has none."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn

from stacks.nag import acknowledge

Conditions = Mapping[str, Mapping[str, str | list[str]]]


class UnexplainedWildcard(ValueError):
    """A permission names resources by a pattern and does not say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """`because` says why no narrower resource can be written; needed where a resource holds a wildcard."""

    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Conditions | None = None
    because: str | None = None


def allow(
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Conditions | None = None,
    *,
    because: str | None = None,
) -> Permission:
    return Permission(actions=actions, resources=resources, conditions=conditions, because=because)


def grant(grantee: iam.Role | sfn.StateMachine, permissions: Iterable[Permission]) -> None:
    """Adds the statements to a role, and the reasons to cdk-nag's record of it."""
    role = grantee if isinstance(grantee, iam.Role) else grantee.role
    for permission in permissions:
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
