"""Which recorded run needed which permission: each module proves its part of proven_permissions.json, and
tests/stacks/test_permissions.py holds the templates against the whole.

`python -m tests.e2e.permissions` prints both counts; with --write it takes over what the last runs needed
(build/permissions/<module>.json, written by each module that records its calls).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.cloud import LaptopCloud
from local.permissions import audit

PROVEN = Path(__file__).with_name("proven_permissions.json")
SEEN = Path(__file__).resolve().parents[2] / "build" / "permissions"
MODULES = ("main_job", "day_in_the_life", "experiments", "served_models", "promotion_guard")
"""Where two modules need the same action, the first of them is to prove it."""

Actions = Mapping[str, list[str]]
"""Role, as "Stack.LogicalId" -> its actions."""


@dataclass(frozen=True)
class DeployedRoles:
    """Every role's policies, taken while they exist, and its name in the templates."""

    documents: audit.Roles
    names: Mapping[str, str]

    @classmethod
    def of(cls, cloud: LaptopCloud) -> DeployedRoles:
        documents = audit.collect_roles(cloud.client("iam"), prefixes=("Iops",))
        physical = {arn.rpartition("/")[2]: arn for arn in documents}
        formation, names = cloud.client("cloudformation"), {}
        for page in formation.get_paginator("list_stacks").paginate():
            for stack in page["StackSummaries"]:
                if stack["StackName"].startswith("Iops") and "DELETE" not in stack["StackStatus"]:
                    resources = formation.list_stack_resources(StackName=stack["StackName"])["StackResourceSummaries"]
                    for resource in resources:
                        if arn := physical.get(resource.get("PhysicalResourceId", "")):
                            names[arn] = f"{stack['StackName']}.{resource['LogicalResourceId']}"
        return cls(documents, names)


def proven_by(module: str) -> set[tuple[str, str]]:
    claims: Mapping[str, Actions] = json.loads(PROVEN.read_text())
    return {(role, action) for role, actions in claims[module].items() for action in actions}


def unproven(module: str, cloud: LaptopCloud, roles: DeployedRoles) -> list[tuple[str, str]]:
    """What this module is to prove and its recorded calls did not need."""
    return sorted(proven_by(module) - needed(module, cloud, roles))


def needed(module: str, cloud: LaptopCloud, roles: DeployedRoles) -> set[tuple[str, str]]:
    """What some recorded call would have failed without; also kept for `--write`."""
    found = audit.needed_actions(audit.read_calls(cloud.settings.calls_file), roles.documents)
    named = {(roles.names[one.role], one.action) for one in found}
    SEEN.mkdir(parents=True, exist_ok=True)
    (SEEN / f"{module}.json").write_text(json.dumps(by_role(named), indent=1) + "\n")
    return named


def by_role(actions: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for role, action in sorted(actions):
        found.setdefault(role, []).append(action)
    return found
