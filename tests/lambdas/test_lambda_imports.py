"""A Lambda starts in the time its imports take, and its bundle holds no compiled library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py"))
HEAVY = ("numpy", "pandas", "numba", "scipy", "sklearn", "xgboost", "pyarrow", "pydantic", "aws_cdk", "moto")


def test_every_function_of_the_design_has_a_handler() -> None:
    assert FUNCTIONS == [
        "describe_failure",
        "empty_package_group",
        "export_insights",
        "ingest_insights",
        "judge_model",
        "predict",
        "prepare_promotion",
        "prepare_run",
        "summarize_run",
        "verify_endpoint",
        "write_manifest",
    ]


@pytest.fixture(scope="module")
def imported() -> dict[str, tuple[bool, list[str]]]:
    """Per function, from one fresh interpreter: whether `handler` is callable, and the heavy modules loaded so far."""
    script = f"""
import importlib, json, sys
found = {{}}
for name in {FUNCTIONS!r}:
    module = importlib.import_module(f"lambdas.{{name}}.handler")
    found[name] = [callable(module.handler), sorted(set({HEAVY!r}) & set(sys.modules))]
found["local"] = [True, sorted(m for m in sys.modules if m.split(".")[0] in ("local", "stacks", "training_container"))]
print(json.dumps(found))
"""
    import json

    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    answer: dict[str, tuple[bool, list[str]]] = json.loads(output.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", [*FUNCTIONS, "local"])
def test_importing_a_handler_needs_no_environment_and_no_heavy_library(
    name: str, imported: dict[str, tuple[bool, list[str]]]
) -> None:
    assert list(imported[name]) == [True, []]
