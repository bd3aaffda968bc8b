"""A permission that is missing: taken from the deployed role's own policies for the time of a cell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Policies = dict[str, dict[str, Any]]


def policies_of(iam: Any, role: str) -> Policies:
    """The documents by name."""
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}


def granted(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each action with each resource, and the statement that grants it."""
    for statement in document["Statement"]:
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                yield action, resource, statement


def without(document: Mapping[str, Any], action: str, resource: str) -> dict[str, Any]:
    """The policy that does not grant the action on resources with that text in their ARN."""
    kept = [
        {**statement, "Action": given, "Resource": arn}
        for given, arn, statement in granted(document)
        if not (given == action and resource in arn)
    ]
    return {**document, "Statement": kept}


@contextmanager
def taken_away(iam: Any, role: str, action: str, resource: str) -> Iterator[None]:
    before = policies_of(iam, role)
    _put(iam, role, {name: without(document, action, resource) for name, document in before.items()})
    try:
        yield
    finally:
        _put(iam, role, before)


def _put(iam: Any, role: str, policies: Policies) -> None:
    for name, document in policies.items():
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
