"""One mutant against the tests of its module, in a forked process: libraries are imported once, before the first fork."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import resource
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal, NamedTuple

# What a test process needs besides this repository's own code, which must be imported after the fork.
LIBRARIES = ("numpy", "numba", "pandas", "hypothesis", "pytest", "boto3", "moto", "aws_lambda_powertools")
MEMORY_BYTES = 8 << 30
INTERPRETED_EXAMPLES = 10
KILLED, SURVIVED, NEVER_ENDED = "killed", "survived", "never ended"

# numba's cache knows a file's time, not what a mutant made of it: a kernel with a mutant in it runs as Python.
Kernels = Literal["kept", "interpreted"]


class Target(NamedTuple):
    """A module of the repository with its tests."""

    module: str
    path: Path
    tests: Sequence[str]
    kernels: Kernels


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module other code, so that no file of the tree is ever changed."""

    def __init__(self, target: Target, code: CodeType) -> None:
        self.target, self.code = target, code

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.target.module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.target.path), is_package=False)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.target.path)
        exec(self.code, module.__dict__)  # noqa: S102 - the mutant is what this program is about


class _FewExamples:
    """An interpreted kernel is some fifty times slower: a few examples of each property, before those by hand."""

    def pytest_collection_finish(self, session: Any) -> None:
        from hypothesis import is_hypothesis_test, settings

        for test in {item.function for item in session.items if is_hypothesis_test(item.function)}:
            settings(max_examples=INTERPRETED_EXAMPLES)(test)


class _Synthesised:
    """Synthesis takes 20 s and no module under test has a part in it: the templates of one serve every trial."""

    def pytest_collection_finish(self, session: Any) -> None:
        made: dict[Any, Any] = globals().setdefault("_assemblies", {})
        conftest = sys.modules.get("tests.conftest")
        if conftest is None or not made:
            return
        conftest._synthesise = lambda folder, context: shutil.copytree(  # type: ignore[attr-defined]
            made[tuple(sorted(context.items()))], folder, dirs_exist_ok=True
        )


def keep_assembly(folder: Path, **context: str) -> None:
    """What `synthesise` shall give to every later trial."""
    globals().setdefault("_assemblies", {})[tuple(sorted(context.items()))] = folder


class Outcome(NamedTuple):
    verdict: str
    cpu_seconds: float


def try_code(target: Target, code: CodeType, *, cpu_seconds: float, log: Path) -> Outcome:
    """Runs the tests until the first one fails, for that much processor time at most."""
    [(_, outcome)] = try_codes(target, [("", code)], cpu_seconds=cpu_seconds, logs=[log])
    return outcome


def try_codes(
    target: Target, codes: Iterable[tuple[str, CodeType]], *, cpu_seconds: float, logs: Sequence[Path]
) -> Iterator[tuple[str, Outcome]]:
    """The outcome of each named code as it ends, as many at once as there are `logs`.

    The limit is of processor time, which a loaded machine does not use up, so that load is no verdict.
    """
    running: dict[int, tuple[str, Path]] = {}
    for name, code in codes:
        if len(running) == len(logs):
            yield _ended(running, cpu_seconds)
        log = next(log for log in logs if log not in {used for _, used in running.values()})
        child = os.fork()
        if child == 0:
            _run(target, code, cpu_seconds, log)
        running[child] = name, log
    while running:
        yield _ended(running, cpu_seconds)


def _ended(running: dict[int, tuple[str, Path]], cpu_seconds: float) -> tuple[str, Outcome]:
    """Waits for one of the trials, which is then no longer among them."""
    child = 0
    while child not in running:
        child, status, used = os.wait3(0)
    name, _ = running.pop(child)
    spent = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        return name, Outcome(NEVER_ENDED if spent >= cpu_seconds else KILLED, spent)
    return name, Outcome(SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED, spent)


def _run(target: Target, code: CodeType, cpu_seconds: float, log: Path) -> None:
    status = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        # A core for a crash of the interpreter helps nobody; a mutant that allocates for ever must not take the machine.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, _Mutated(target, code))
        _set_kernels(target.kernels)
        _set_examples()
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "--no-header"]
        plugins = [_Synthesised(), *([_FewExamples()] if target.kernels == "interpreted" else [])]
        status = int(pytest.main([*options, *target.tests], plugins=plugins))
    except BaseException:  # whatever a mutant breaks, the trial's process ends here
        status = 1
    finally:
        sys.stdout.flush()
        os._exit(status)


def _set_kernels(kernels: Kernels) -> None:
    import numba

    if kernels == "interpreted":
        numba.config.DISABLE_JIT = True


def _set_examples() -> None:
    """A trial asks whether a test fails, not which example is the simplest; how long examples take to draw is no verdict."""
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "trial",
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        deadline=None,
    )
    settings.load_profile("trial")  # what the tests register inherits from it
