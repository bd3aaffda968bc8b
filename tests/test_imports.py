from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"insights", "stacks", "lambdas", "training_container", "local", "collectors", "bench", "tests"}
MAY_IMPORT = {
    "insights": {"insights"},
    "stacks": {"stacks"},
    "lambdas": {"lambdas", "insights"},
    "training_container": {"training_container", "insights"},
    # It asks which disks there are to watch; the agent itself it starts as a process.
    "local": {"local", "training_container", "insights", "collectors"},
    # The writer of insights, patience with a throttled table and the bucket's quarantine stand once, beside IngestInsights.
    "collectors": {"collectors", "insights", "lambdas"},
}
AWS = {"boto3", "botocore", "aws_cdk", "aws_lambda_powertools", "sagemaker", "ministack"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_run_one_way(package: str):
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (ROOT / package).rglob("*.py")
        if (found := (imported(path) & OURS) - MAY_IMPORT[package])
    }
    assert wrong == {}


def test_the_domain_knows_no_aws():
    assert {path.name for path in (ROOT / "insights").rglob("*.py") if imported(path) & AWS} == set()
