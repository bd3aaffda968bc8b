"""One parser, guided by the code that it reaches, until time is over, in a process of its own.

A finding does not end the run: the first input of each kind is kept below FINDINGS, with its trace. Importing this module
instruments the repository's code, so that it must be the first that is imported.
"""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import atheris

# numba would compile what atheris has instrumented; as Python the kernels are guided too.
os.environ["NUMBA_DISABLE_JIT"] = "1"
with atheris.instrument_imports(include=["insights", "lambdas", "training_container", "local.options", "stacks"]):
    from tests.fuzz.targets import every

    TARGETS = every()
from tests.fuzz import nasty
from tests.fuzz.target import Target, check

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ROOT / "build" / "fuzz" / "findings"


class Fuzzed:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.known: set[str] = set()

    def __call__(self, data: bytes) -> None:
        try:
            check(self.target, data)
        except Exception as error:  # whatever it is, it is what this program looks for
            self._keep(data, error)

    def mutated(self, data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        chance = source.random()
        if chance < 0.4:
            change = nasty.changed_json if self.target.is_json else nasty.changed_bytes
            return change(data, source)[:most]
        if chance < 0.5:
            return nasty.changed_bytes(source.choice(self.target.seeds), source)[:most]
        return bytes(atheris.Mutate(data, most))

    def _keep(self, data: bytes, error: Exception) -> None:
        name = place_of(error)
        if name in self.known:
            return
        self.known.add(name)
        folder = FINDINGS / self.target.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text("".join(traceback.format_exception(error))[-8000:], errors="replace")
        print(f"finding: {self.target.name} {name}", flush=True)


def place_of(error: Exception) -> str:
    """Type and innermost place in this repository's code, so that one fault is one finding."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(Path(frame.filename))]
    at = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}-{Path(at.filename).stem}-{at.lineno}"


def _is_own(path: Path) -> bool:
    return path.is_relative_to(ROOT) and ".venv" not in path.parts


def start(name: str, options: Sequence[str], log: Path) -> int:
    """Forks, as instrumenting takes a minute; the child's exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        fuzzed: Any = Fuzzed(TARGETS[name])
        atheris.Setup(["fuzz", *options], fuzzed, custom_mutator=fuzzed.mutated)
        atheris.Fuzz()  # ends the process
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)
