"""A Lambda starts in the time its imports take, and its bundle holds no compiled library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.lambda_workers import link_sdk
from stacks.lambda_code import write_bundle

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py"))
HEAVY = ("numpy", "pandas", "numba", "scipy", "sklearn", "xgboost", "pyarrow", "pydantic", "aws_cdk", "moto")


def test_every_function_of_the_design_has_a_handler() -> None:
    assert FUNCTIONS == [
        "collect_outcomes",
        "collect_volumes",
        "decide_retraining",
        "describe_failure",
        "describe_models",
        "empty_package_group",
        "export_insights",
        "give_feedback",
        "ingest_insights",
        "join_outcomes",
        "judge_experiment",
        "judge_model",
        "predict",
        "prepare_promotion",
        "prepare_run",
        "prepare_watch",
        "publish_watch",
        "read_fleet",
        "restore_package",
        "retire_packages",
        "summarize_run",
        "track_devices",
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
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    answer: dict[str, tuple[bool, list[str]]] = json.loads(output.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", [*FUNCTIONS, "local"])
def test_importing_a_handler_needs_no_environment_and_no_heavy_library(
    name: str, imported: dict[str, tuple[bool, list[str]]]
) -> None:
    assert list(imported[name]) == [True, []]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as it is deployed, unpacked, beside the runtime's SDK."""
    folder = tmp_path_factory.mktemp("function")
    write_bundle(folder / "code")
    link_sdk(folder / "sdk")
    return folder


LOADED = """
import importlib, json, sys
sys.path[:] = [sys.argv[1]] + [p for p in sys.path if "site-packages" not in p] + [sys.argv[2]]
importlib.import_module(f"lambdas.{sys.argv[3]}.handler")
specs = {name: getattr(module, "__spec__", None) for name, module in list(sys.modules.items())}
print(json.dumps({name: [spec.origin, spec.cached] for name, spec in specs.items() if spec}))
"""


def loaded(bundle: Path, name: str) -> dict[str, tuple[str | None, str | None]]:
    """What importing the function's handler loads in a Lambda: module -> its source, its bytecode."""
    command = [sys.executable, "-S", "-B", "-c", LOADED, str(bundle / "code"), str(bundle / "sdk"), name]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, tuple[str | None, str | None]] = json.loads(output.stdout.splitlines()[-1])
    return answer


def test_predict_loads_neither_boto3_nor_what_only_other_functions_need(bundle: Path) -> None:
    """Each of these costs a cold function tens of milliseconds (bench cold_lambda)."""
    unwanted = ("boto3", "s3transfer", "multiprocessing", "aws_xray_sdk", "pydantic")
    modules = loaded(bundle, "predict")
    assert "lambdas.predict.handler" in modules
    assert "botocore.session" in modules
    assert [name for name in unwanted if name in modules] == []
    assert [name for name in modules if name.startswith("lambdas.") and name.split(".")[1] in FUNCTIONS] == [
        name for name in modules if name.startswith("lambdas.predict")
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_a_handler_loads_from_the_bundle_has_bytecode_there(bundle: Path, name: str) -> None:
    code = str(bundle / "code")
    files = {module: paths for module, paths in loaded(bundle, name).items() if str(paths[0]).startswith(code)}
    assert f"lambdas.{name}.handler" in files
    assert [module for module, (_, cached) in files.items() if cached is None or not Path(cached).is_file()] == []


def test_bytecode_is_used_whatever_time_unpacking_gives_the_source(bundle: Path) -> None:
    """PEP 552: the flags after the magic number say hash-based (1) and not checked against the source (no 2)."""
    compiled = sorted((bundle / "code").rglob("*.pyc"))
    assert compiled
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {1}
