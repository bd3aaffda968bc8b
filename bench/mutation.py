"""How many small faults in the domain and the gate do the tests notice?

A seeded sample of each module's mutants (SAMPLE=20 of each, all of the gate's; `all` for every one), each against the tests
named here alone, so that the score is a lower bound. What is known to change nothing stands in bench/material/
equivalent_mutants.json with its reason and is left out. build/mutation/ keeps every verdict: a run goes on where
the last one ended, until the module changes; survivors are tried again after a change of their tests. MODULES=name,...
takes some of the modules.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import random
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench.material.mutant_trial import LIBRARIES, SURVIVED, Kernels, Target, keep_assembly, try_code, try_codes
from bench.material.mutants import Mutant, mutants_of
from bench.material.table import keep, show

ROOT: Final = Path(__file__).resolve().parent.parent
FOUND: Final = ROOT / "build" / "mutation"
EQUIVALENT: Final = ROOT / "bench" / "material" / "equivalent_mutants.json"
SEED: Final = 8
CPU_SECONDS: Final = 30.0  # beyond what the tests of the clean module take
WHOLE: Final = ("insights.gate", "lambdas.judge_model.judge_model")
_FEATURES: Final = ("tests/insights/test_feature_kernels.py", "tests/insights/test_features.py")
_LABELS: Final = ("tests/insights/test_labels.py",)
_FLEET: Final = (
    "tests/insights/test_default_fleet.py",
    "tests/insights/test_generator.py",
)
_JUDGE: Final = ("tests/lambdas/test_judge_model.py",)
# Tests besides the mirror; how the kernels that a module is part of are run.
TESTS: Final[Mapping[str, tuple[Sequence[str], Kernels]]] = {
    "insights.columns": (("tests/insights/test_columns.py", *_LABELS), "kept"),
    "insights.drift_baseline": (("tests/insights/test_drift.py",), "kept"),
    "insights.feature_kernels": (_FEATURES, "interpreted"),
    "insights.feature_table": (("tests/insights/test_feature_table.py", *_FEATURES, *_LABELS), "interpreted"),
    "insights.features": (_FEATURES, "kept"),
    "insights.fleet_physics": (_FLEET, "kept"),
    "insights.fleet_plan": (("tests/insights/test_fleet_plan.py", *_FLEET), "kept"),
    "insights.generator": (_FLEET, "kept"),
    "insights.hindsight": (_LABELS, "interpreted"),
    "insights.formats": (("tests/upgrade/test_newer_formats.py",), "kept"),
    "insights.label_rule": (_LABELS, "interpreted"),
    "insights.labels": (_LABELS, "interpreted"),
    "insights.oracle": (("tests/insights/test_oracle_laws.py",), "interpreted"),
    "insights.schema": (("tests/insights/test_schema.py", "tests/insights/test_files.py"), "kept"),
    "lambdas.judge_model.handler": (_JUDGE, "kept"),
    "lambdas.judge_model.judge_model": (_JUDGE, "kept"),
    "lambdas.judge_model.model_card": (_JUDGE, "kept"),
}
LEFT_OUT: Final = ("insights.compiled",)  # how kernels are compiled: its tests start processes of their own


def targets() -> dict[str, Target]:
    """By module, the gate's first."""
    paths = [*sorted((ROOT / "insights").glob("*.py")), *sorted((ROOT / "lambdas" / "judge_model").glob("*.py"))]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths if path.stem != "__init__"}
    made = {}
    for name in sorted(names, key=lambda name: (name not in WHOLE, name)):
        if name not in LEFT_OUT:
            mirror = f"tests/insights/test_{name.rpartition('.')[2]}.py"
            tests, kernels = TESTS.get(name, ((mirror,), "kept"))
            made[name] = Target(name, names[name], tests, kernels)
    return made


def main() -> None:
    chosen = os.environ.get("MODULES", "")
    size = os.environ.get("SAMPLE", "20")
    wanted = {
        name: target
        for name, target in targets().items()
        if not chosen or name in chosen.split(",") or name.rpartition(".")[2] in chosen.split(",")
    }
    prepare(wanted.values())
    rows = {}
    for name, target in wanted.items():
        mutants = mutants_of(target.path.read_text())
        sampled = sample(name, mutants, size)
        verdicts = judged(target, sampled)
        rows[name] = counted(name, mutants, sampled, verdicts)
        print(f"{name}: {rows[name]['killed']} of {rows[name]['tried']} killed", file=sys.stderr, flush=True)
    show("Mutants that the tests notice", [{"module": name, **told(row)} for name, row in rows.items()])
    total = overall(list(rows.values()))
    show("Over all of them, each module by its number of mutants", [total])
    for survivor in (each for row in rows.values() for each in row["survivors"]):
        print(survivor)
    keep("mutation", {"seed": SEED, "modules": rows, "overall": total})


def sample(name: str, mutants: Sequence[Mutant], size: str) -> list[Mutant]:
    """The same ones as long as the module does not change; those that are known to be equivalent are left out of them."""
    known = equivalent(name)
    count = len(mutants) if size == "all" or name in WHOLE else min(int(size), len(mutants))
    picked = random.Random(f"{SEED}{name}").sample(range(len(mutants)), count)
    return [mutants[place] for place in sorted(picked) if key(mutants[place]) not in known]


def equivalent(name: str) -> Mapping[str, str]:
    """Reasons by mutant."""
    known: dict[str, dict[str, str]] = json.loads(EQUIVALENT.read_text())
    return known.get(name, {})


def key(mutant: Mutant) -> str:
    """By the line's text, so that it holds when lines move."""
    return f"{mutant.source}  # {mutant.fault}"


def judged(target: Target, mutants: Sequence[Mutant]) -> dict[int, str]:
    """Verdicts by the mutant's place in the sample, of earlier runs as far as they hold."""
    verdicts = remembered(target)
    missing = [mutant for mutant in mutants if address(mutant) not in verdicts]
    if missing:
        limit = CPU_SECONDS + 3 * clean_seconds(target, len(missing))
        codes = ((address(mutant), compile(mutant.tree(), str(target.path), "exec")) for mutant in missing)
        logs = [log(target, f"trial-{place}") for place in range(os.cpu_count() or 1)]
        for name, outcome in try_codes(target, codes, cpu_seconds=limit, logs=logs):
            verdicts[name] = outcome.verdict
            remember(target, verdicts)
    return {place: verdicts[address(mutant)] for place, mutant in enumerate(mutants)}


def clean_seconds(target: Target, missing: int) -> float:
    """Processor time of the tests without a mutant; they must pass."""
    code = compile(target.path.read_text(), str(target.path), "exec")
    clean = try_code(target, code, cpu_seconds=1200, log=log(target, "clean"))
    if clean.verdict != SURVIVED:
        raise SystemExit(f"the tests of {target.module} fail without any mutant: {log(target, 'clean')}")
    print(
        f"{target.module}: {missing} mutants, clean tests take {clean.cpu_seconds:.1f} s", file=sys.stderr, flush=True
    )
    return clean.cpu_seconds


def address(mutant: Mutant) -> str:
    return f"{mutant.line}:{mutant.place}:{mutant.fault}"


def remembered(target: Target) -> dict[str, str]:
    """Verdicts on this very module; those that survived other tests than today's are tried again."""
    known = json.loads(verdicts_of(target).read_text()) if verdicts_of(target).is_file() else {}
    if known.get("source") != digest([target.path]):
        return {}
    same = known["tests"] == digest(ROOT / test for test in target.tests)
    return {place: verdict for place, verdict in known["verdicts"].items() if same or verdict != SURVIVED}


def remember(target: Target, verdicts: Mapping[str, str]) -> None:
    tests = digest(ROOT / test for test in target.tests)
    entry = {"source": digest([target.path]), "tests": tests, "verdicts": verdicts}
    FOUND.mkdir(parents=True, exist_ok=True)
    verdicts_of(target).write_text(json.dumps(entry, indent=1))


def verdicts_of(target: Target) -> Path:
    return FOUND / f"{target.module}.json"


def digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def log(target: Target, name: str) -> Path:
    folder = FOUND / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{target.module}.{name}.log"


def prepare(wanted: Any) -> None:
    """Imports what every trial needs, and one synthesis for those whose tests look at templates."""
    for name in LIBRARIES:
        importlib.import_module(name)
    if any(test.startswith(("tests/lambdas", "tests/upgrade")) for target in wanted for test in target.tests):
        with ProcessPoolExecutor(
            1, mp_context=get_context("spawn")
        ) as pool:  # this process must not import the targets
            keep_assembly(pool.submit(synthesised).result(), stage="local")


def synthesised() -> Path:
    from tests.conftest import _synthesise

    folder = FOUND / "assembly"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _synthesise(folder, {"stage": "local"})
    return folder


def counted(
    name: str, mutants: Sequence[Mutant], sampled: Sequence[Mutant], verdicts: Mapping[int, str]
) -> dict[str, Any]:
    known = equivalent(name)
    left = [sampled[place] for place, verdict in verdicts.items() if verdict == SURVIVED]
    return {
        "mutants": len(mutants),
        "equivalent": sum(key(mutant) in known for mutant in mutants),
        "tried": len(sampled),
        "killed": len(sampled) - len(left),
        "survivors": [f"{name}:{mutant.line}: {key(mutant)}" for mutant in left],
    }


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in ("mutants", "equivalent", "tried", "killed")}
    return shown | {"survived": len(row["survivors"]), "killed %": 100 * row["killed"] / max(row["tried"], 1)}


def overall(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The stratified estimate and its 95% interval (Cochran, Sampling Techniques, 5.3); shares by Agresti and Coull's rule
    where the variance is taken, so that a module without a survivor still counts as uncertain."""
    population = [row["mutants"] - row["equivalent"] for row in rows]
    weights = [count / sum(population) for count in population]
    share = sum(weight * row["killed"] / max(row["tried"], 1) for weight, row in zip(weights, rows, strict=True))
    variance = sum(weight**2 * error for weight, error in zip(weights, _errors(rows, population), strict=True))
    half = 1.96 * math.sqrt(variance)
    return {
        "mutants": sum(row["mutants"] for row in rows),
        "tried": sum(row["tried"] for row in rows),
        "killed": sum(row["killed"] for row in rows),
        "killed %": 100 * share,
        "from %": 100 * (share - half),
        "to %": 100 * min(share + half, 1.0),
    }


def _errors(rows: Sequence[Mapping[str, Any]], population: Sequence[int]) -> Iterator[float]:
    for row, count in zip(rows, population, strict=True):
        near = (row["killed"] + 2) / (row["tried"] + 4)
        yield near * (1 - near) / max(row["tried"], 1) * (1 - row["tried"] / max(count, 1))


if __name__ == "__main__":
    main()
