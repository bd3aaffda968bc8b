"""Which actions of which roles a recorded run needed: "removing any one action from any role fails", without running
it again.

A run with `record_calls` writes every decision about a role (calls.jsonl). Here each recorded call that was allowed
is asked again, of the same role's policies with one action taken out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.settings import ACCOUNT, REGION

Document = dict[str, Any]
Roles = Mapping[str, list[Document]]
"""Role ARN -> its policy documents, inline and attached."""


@dataclass(frozen=True)
class RecordedCall:
    role: str
    action: str
    resource: str
    decision: str
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, order=True)
class RoleAction:
    """One action as a role's policies spell it; it may hold wildcards."""

    role: str
    action: str


def read_calls(path: Path) -> list[RecordedCall]:
    lines = path.read_text().splitlines()
    return [RecordedCall(**json.loads(line)) for line in lines if line.strip()]


def collect_roles(iam: Any, *, prefixes: tuple[str, ...] = ("",)) -> dict[str, list[Document]]:
    """Every role whose name starts with a prefix, with its documents as IAM has them."""
    found = {}
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["RoleName"].startswith(prefixes):
                found[role["Arn"]] = [*_inline(iam, role["RoleName"]), *_attached(iam, role["RoleName"])]
    return found


def _inline(iam: Any, role_name: str) -> Iterator[Document]:
    for name in iam.list_role_policies(RoleName=role_name)["PolicyNames"]:
        yield iam.get_role_policy(RoleName=role_name, PolicyName=name)["PolicyDocument"]


def _attached(iam: Any, role_name: str) -> Iterator[Document]:
    for policy in iam.list_attached_role_policies(RoleName=role_name)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]


def write_roles(path: Path, roles: Roles) -> None:
    path.write_text(json.dumps(roles, indent=1, sort_keys=True, default=str) + "\n")


def read_roles(path: Path) -> dict[str, list[Document]]:
    roles: dict[str, list[Document]] = json.loads(path.read_text())
    return roles


def granted_actions(roles: Roles) -> list[RoleAction]:
    """Every action string that any role's policies allow."""
    granted = {
        RoleAction(role, action)
        for role, documents in roles.items()
        for document in documents
        for statement in _statements(document)
        if statement["Effect"] == "Allow"
        for action in _list(statement.get("Action"))
    }
    return sorted(granted)


def without_action(documents: Iterable[Document], action: str) -> list[Document]:
    """The documents with that action string taken out of every statement that allows it."""
    remaining = []
    for document in documents:
        statements = []
        for statement in copy.deepcopy(_statements(document)):
            if statement["Effect"] == "Allow" and "Action" in statement:
                statement["Action"] = [kept for kept in _list(statement["Action"]) if kept != action]
                if not statement["Action"]:
                    continue
            statements.append(statement)
        remaining.append({**document, "Statement": statements})
    return remaining


def is_allowed(call: RecordedCall, documents: Iterable[Document]) -> bool:
    """What the role's own policies say to the call, by MiniStack's evaluator."""
    from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

    context = EvalContext(
        principal_arn=call.role,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=call.action,
        resource_arn=call.resource,
        region=REGION,
        service_context={"aws:tagkeys": None, **call.context},
    )
    result = evaluate(context, [parse_policy_document(document) for document in documents])
    return bool(result.decision == "Allow")


def needed_actions(calls: Iterable[RecordedCall], roles: Roles) -> set[RoleAction]:
    """The granted actions without which at least one recorded, allowed call would have been refused."""
    by_role: dict[str, list[RecordedCall]] = {}
    for call in calls:
        if call.decision == "Allow" and call.role in roles:
            by_role.setdefault(call.role, []).append(call)
    return {granted for granted in granted_actions(roles) if _is_needed(granted, by_role.get(granted.role, []), roles)}


def _is_needed(granted: RoleAction, calls: list[RecordedCall], roles: Roles) -> bool:
    documents = roles[granted.role]
    reduced = without_action(documents, granted.action)
    return any(is_allowed(call, documents) and not is_allowed(call, reduced) for call in calls)


def unneeded_actions(calls: Iterable[RecordedCall], roles: Roles) -> list[RoleAction]:
    """What a run granted and never needed: to be removed, or to be listed with the reason why it stays."""
    needed = needed_actions(calls, roles)
    return [granted for granted in granted_actions(roles) if granted not in needed]


def denied_calls(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """Refusals of the recorded run itself; a run that succeeded and has some hides a missing permission."""
    return [call for call in calls if call.decision != "Allow"]


def _statements(document: Document) -> list[dict[str, Any]]:
    statements = document.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
