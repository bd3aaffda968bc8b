"""What a cold predict Lambda costs before its first request: its imports, one by one, and the making of its clients.

The function's own bundle, unpacked, in fresh interpreters that have the standard library and the runtime's SDK alone, as
the laptop's workers do (local/lambda_workers.py). The wall times are of runs without tracing, the interpreter's own start
left out; processor_ms is of imports and clients, and changes less on a busy machine. Which package has which share is from
runs under `-X importtime`, scaled to the wall time, as tracing costs time itself. Last, further parts of Powertools and
other libraries, imported on top, for what else a function may want.
RUNS (11) of each; medians.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.material.table import keep, show
from local.lambda_workers import link_sdk
from local.settings import client_environment
from stacks.lambda_code import write_bundle

PREPARE = """
import sys, time
sys.path[:] = [sys.argv[1]] + [p for p in sys.path if "site-packages" not in p] + sys.argv[2:]
"""
TIMED = """
processor, started = time.process_time(), time.perf_counter()
import lambdas.predict.handler as function
imported = time.perf_counter()
function.hurried_client("dynamodb", **function.TABLE_CLIENT)
function.hurried_client("sagemaker-runtime", read_timeout_seconds=0.75, **function.ENDPOINT_CLIENT)
ended = time.perf_counter()
print(imported - started, ended - imported, ended - started, time.process_time() - processor)
"""
ON_TOP = """
import lambdas.predict.handler
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""
PYDANTIC = ("pydantic", "pydantic_core", "annotated_types", "typing_inspection")
POWERTOOLS = "aws_lambda_powertools"
FURTHER = {
    "Tracer": (f"from {POWERTOOLS} import Tracer; Tracer(service='a')", ("aws_xray_sdk", "wrapt")),
    "idempotency": (f"from {POWERTOOLS}.utilities.idempotency import DynamoDBPersistenceLayer, idempotent", ()),
    "event handler with validation": (
        f"from {POWERTOOLS}.event_handler import APIGatewayRestResolver; APIGatewayRestResolver(enable_validation=True)",
        PYDANTIC,
    ),
    "validation by JSON schema": (f"from {POWERTOOLS}.utilities.validation import validate", ("fastjsonschema",)),
    "parameters": (f"from {POWERTOOLS}.utilities import parameters", ()),
    "an SSM client": ("from lambdas.clients import client; client('ssm')", ()),
    "boto3 with a session": ("import boto3; boto3.session.Session()", ()),
    "numpy": ("import numpy", ("numpy",)),
    "pandas": ("import pandas", ("numpy", "pandas", "pytz", "dateutil")),
}
"""What -> the statement, the libraries that neither the bundle nor the runtime has."""
SMALLEST_SHARE, DEEPEST = 0.02, 3
IMPORTED = re.compile(r"import time:\s+\d+ \|\s+(?P<microseconds>\d+) \| (?P<indent>\s*)(?P<module>\S+)")
HANDLER = "lambdas.predict.handler"


def main() -> None:
    runs = int(os.environ.get("RUNS", "11"))
    with tempfile.TemporaryDirectory() as folder:
        function = UnpackedFunction.prepared(Path(folder))
        deployed = function.timed(function.code, runs)
        whole = {"as deployed": deployed, "without bytecode": function.timed(function.sources, runs)}
        imports = function.by_import(runs, deployed["imports_ms"])
        further = [function.further(name, *wanted, runs) for name, wanted in FURTHER.items()]
    show(f"A cold predict Lambda, ms, {runs} runs", [{"bundle": name, **times} for name, times in whole.items()])
    smallest = SMALLEST_SHARE * deployed["imports_ms"]
    shown = [line for line in imports if line.milliseconds >= smallest and line.depth <= DEEPEST]
    show(
        "Its imports, each with all that it is the first to import",
        [{"import": "  " * line.depth + line.module, "ms": line.milliseconds} for line in shown],
    )
    show("Imported on top", further)
    keep(
        "cold_lambda",
        {
            "runs": runs,
            **deployed,
            "bundles": whole,
            "imports": {line.module: line.milliseconds for line in imports},
            "further": further,
        },
    )


class Import(NamedTuple):
    module: str
    depth: int
    milliseconds: float
    microseconds: float
    """Of one traced run."""


@dataclass(frozen=True)
class UnpackedFunction:
    """The bundle as deployed (`code`) and without its bytecode (`sources`), the runtime's SDK, what else is installed."""

    code: Path
    sources: Path
    sdk: Path
    further_libraries: Path

    @classmethod
    def prepared(cls, folder: Path) -> UnpackedFunction:
        made = cls(folder / "code", folder / "sources", folder / "sdk", folder / "further")
        write_bundle(made.code)
        shutil.copytree(made.code, made.sources, ignore=shutil.ignore_patterns("__pycache__"))
        link_sdk(made.sdk)
        link_sdk(made.further_libraries, {name for _, libraries in FURTHER.values() for name in libraries})
        return made

    def timed(self, code: Path, runs: int) -> dict[str, float]:
        rows = [[1000 * float(text) for text in self._run(code, TIMED).stdout.split()] for _ in range(runs)]
        names = ("imports_ms", "clients_ms", "imports_and_clients_ms", "processor_ms")
        return {name: statistics.median(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def by_import(self, runs: int, wall_ms: float) -> list[Import]:
        """The imports as a tree, parents first; milliseconds with all that each is the first to import."""
        traces = [tree(self._run(self.code, f"import {HANDLER}", "-X", "importtime").stderr) for _ in range(runs)]
        wholes = [next(line.microseconds for line in trace if line.module == HANDLER) for trace in traces]
        shares: dict[str, list[float]] = defaultdict(list)
        for trace, whole in zip(traces, wholes, strict=True):
            for line in trace:
                shares[line.module].append(line.microseconds / whole)
        return [
            Import(line.module, line.depth, wall_ms * statistics.median(shares[line.module]), line.microseconds)
            for line in traces[0]
        ]

    def further(self, name: str, statement: str, libraries: Sequence[str], runs: int) -> dict[str, Any]:
        missing = [library for library in libraries if importlib.util.find_spec(library) is None]
        if missing:
            return {"what": name, "ms": f"{', '.join(missing)} not installed here"}
        script = ON_TOP.format(statement=statement)
        times = [float(self._run(self.code, script, further=bool(libraries)).stdout) for _ in range(runs)]
        return {"what": name, "ms": 1000 * statistics.median(times)}

    def _run(self, code: Path, script: str, *options: str, further: bool = False) -> subprocess.CompletedProcess[str]:
        paths = [str(code), str(self.sdk), *([str(self.further_libraries)] if further else [])]
        return subprocess.run(
            [sys.executable, "-B", "-S", *options, "-c", PREPARE + script, *paths],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )


def environment() -> Mapping[str, str]:
    """No request is sent, so nothing listens there."""
    return {**client_environment("http://127.0.0.1:9"), "POWERTOOLS_SERVICE_NAME": "predict"}


def tree(traced: str) -> list[Import]:
    """The lines of -X importtime, which come children first, with each parent before its children."""
    waiting: dict[int, list[list[Import]]] = defaultdict(list)
    for line in IMPORTED.finditer(traced):
        depth = len(line["indent"]) // 2
        children = waiting.pop(depth + 1, [])
        microseconds = float(line["microseconds"])
        waiting[depth].append([Import(line["module"], depth, 0.0, microseconds), *(c for kin in children for c in kin)])
    return [line for kin in waiting[0] for line in kin]
