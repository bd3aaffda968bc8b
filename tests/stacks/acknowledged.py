"""Acknowledged findings of an assembly, by pack: `.venv/bin/python -m tests.stacks.acknowledged cdk.out`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LINT = "cfn-lint"


class Acknowledged(NamedTuple):
    """`where` is a construct's path below the app, or "Stack.LogicalId"."""

    pack: str
    rule: str
    where: str
    reason: str


def acknowledged(assembly: Path) -> list[Acknowledged]:
    return sorted({*_of_validations(assembly), *_of_lint(assembly)})


def _of_validations(assembly: Path) -> Iterator[Acknowledged]:
    for file in assembly.glob("*.metadata.json"):
        for path, entries in json.loads(file.read_text()).items():
            for entry in entries:
                if entry["type"] == "aws:cdk:acknowledged-rules":
                    for rule, reason in entry["data"].items():
                        yield Acknowledged(pack_of(rule), rule, path.removeprefix("/"), reason)


def pack_of(rule: str) -> str:
    """Annotation::Serverless-LambdaDLQ, CloudFormation-Validate::W2503."""
    named, _, finding = rule.partition("::")
    return finding.partition("-")[0] if named == "Annotation" else named


def _of_lint(assembly: Path) -> Iterator[Acknowledged]:
    for file in assembly.glob("*.template.json"):
        for name, resource in json.loads(file.read_text()).get("Resources", {}).items():
            known = resource.get("Metadata", {}).get(LINT, {})
            for rule in known.get("config", {}).get("ignore_checks", []):
                reason = known.get("because", {}).get(rule, "")
                yield Acknowledged(LINT, rule, f"{file.name.partition('.')[0]}.{name}", reason)


def main(folder: str) -> None:
    found = acknowledged(Path(folder))
    for pack, count in sorted(Counter(one.pack for one in found).items()):
        rules = Counter(one.rule.partition("[")[0].rpartition("::")[2] for one in found if one.pack == pack)
        print(f"{pack}: {count} ({', '.join(f'{rule} {number}' for rule, number in sorted(rules.items()))})")


if __name__ == "__main__":
    main(sys.argv[1])
