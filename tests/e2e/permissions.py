"""Which recorded run needed which permission: each module proves its part of proven_permissions.json, and
tests/stacks/test_permissions.py holds the templates against the whole.

`python -m tests.e2e.permissions cdk.out` prints how many actions there are, how many of them are proven, and by whom; with
--write it first takes over what the last runs needed (build/permissions/<module>.json, written by the modules).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloud import LaptopCloud
from local.permissions import audit
from stacks.permissions import UNUSED

PROVEN = Path(__file__).with_name("proven_permissions.json")
SEEN = Path(__file__).resolve().parents[2] / "build" / "permissions"
MODULES = ("main_job", "day_in_the_life", "experiments", "served_models", "promotion_guard", "alarms")
"""Where two modules need the same action, the first of them is to prove it."""

Templates = Mapping[str, Mapping[str, Any]]
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
        formation, names = cloud.client("cloudformation"), dict[str, str]()
        for page in formation.get_paginator("list_stacks").paginate():
            for stack in page["StackSummaries"]:
                if stack["StackName"].startswith("Iops") and "DELETE" not in stack["StackStatus"]:
                    names |= cls._named(formation, stack["StackName"], physical)
        return cls(documents, names)

    @staticmethod
    def _named(formation: Any, stack: str, physical: Mapping[str, str]) -> dict[str, str]:
        """By ARN, of the roles in `physical` (name -> ARN)."""
        pages = formation.get_paginator("list_stack_resources").paginate(StackName=stack)
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return {
            physical[resource["PhysicalResourceId"]]: f"{stack}.{resource['LogicalResourceId']}"
            for resource in resources
            if resource.get("PhysicalResourceId", "") in physical
        }


def proven_by(module: str) -> set[tuple[str, str]]:
    claims: Mapping[str, Actions] = json.loads(PROVEN.read_text())
    return {(role, action) for role, actions in claims[module].items() for action in actions}


def proven() -> set[tuple[str, str]]:
    return set().union(*(proven_by(module) for module in MODULES))


def check(module: str, cloud: LaptopCloud, roles: DeployedRoles, templates: Templates) -> None:
    """The module's recorded calls needed what it is to prove, and nothing that is listed as needed by no run."""
    found = needed(module, cloud, roles)
    assert sorted(proven_by(module) - found) == [], "claimed in proven_permissions.json, and needed by no call"
    assert sorted(found & set(unused(templates))) == [], (
        "listed as unused, and needed by a call: `unused_because` is stale"
    )


def needed(module: str, cloud: LaptopCloud, roles: DeployedRoles, *, of: str = "") -> set[tuple[str, str]]:
    """What some recorded call would have failed without, of the roles whose names begin so; also kept for `--write`."""
    found = audit.needed_actions(audit.read_calls(cloud.settings.calls_file), roles.documents)
    named = {(roles.names[one.role], one.action) for one in found if roles.names[one.role].startswith(of)}
    SEEN.mkdir(parents=True, exist_ok=True)
    (SEEN / f"{module}.json").write_text(json.dumps(by_role(named), indent=1) + "\n")
    return named


def granted(templates: Templates) -> set[tuple[str, str]]:
    """Every action of every role's own policies. What AWS's managed policies hold is not the app's to choose."""
    found = set()
    for stack, template in templates.items():
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                for policy in properties.get("Policies", []):
                    found |= {(f"{stack}.{name}", action) for action in _allowed(policy["PolicyDocument"])}
            elif resource["Type"] == "AWS::IAM::Policy":
                owners = [f"{stack}.{role['Ref']}" for role in properties["Roles"]]
                found |= {(role, action) for role in owners for action in _allowed(properties["PolicyDocument"])}
    return found


def _allowed(document: Mapping[str, Any]) -> set[str]:
    statements = [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]
    actions = [statement["Action"] for statement in statements]
    return {action for given in actions for action in ([given] if isinstance(given, str) else given)}


def unused(templates: Templates) -> dict[tuple[str, str], str]:
    """What stands beside the grants (stacks/permissions.py): role and action -> why no run needs it."""
    return {
        (f"{stack}.{name}", action): reason
        for stack, template in templates.items()
        for name, resource in template["Resources"].items()
        for action, reason in resource.get("Metadata", {}).get(UNUSED, {}).items()
    }


def by_role(actions: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for role, action in sorted(actions):
        found.setdefault(role, []).append(action)
    return found


def take_over(own_grants: set[tuple[str, str]]) -> None:
    """What each module's last run needed of the app's own grants; a module without a run keeps its claims."""
    claims: dict[str, Actions] = json.loads(PROVEN.read_text()) if PROVEN.exists() else {}
    taken: set[tuple[str, str]] = set()
    for module in MODULES:
        seen = SEEN / f"{module}.json"
        actions: Actions = json.loads(seen.read_text()) if seen.exists() else claims.get(module, {})
        own = {(role, action) for role, named in actions.items() for action in named} & own_grants - taken
        claims[module] = by_role(own)
        taken |= own
    PROVEN.write_text(json.dumps(claims, indent=1) + "\n")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.e2e.permissions")
    parser.add_argument("assembly", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    files = given.assembly.glob("Iops*.template.json")
    templates = {file.name.partition(".")[0]: json.loads(file.read_text()) for file in files}
    actions, listed = granted(templates), set(unused(templates))
    if given.write:
        take_over(actions)
    print(f"{len(actions)} actions of {len({role for role, _ in actions})} roles")
    for module in MODULES:
        print(f"  {len(proven_by(module) & actions)} needed by {module}")
    print(f"  {len(listed & actions)} needed by no run, each with its reason")
    print(f"  {len(actions - listed - proven())} neither")


if __name__ == "__main__":
    main(sys.argv[1:])
