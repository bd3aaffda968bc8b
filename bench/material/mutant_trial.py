"""One mutant against the tests of its module, in a forked process: libraries are imported once, before the first fork."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal, NamedTuple

# What a test process needs besides this repository's own code, which must be imported after the fork.
LIBRARIES = ("numpy", "numba", "pandas", "hypothesis", "pytest", "boto3", "moto", "aws_lambda_powertools")
MEMORY_BYTES = 8 << 30
KILLED, SURVIVED, NEVER_ENDED = "killed", "survived", "never ended"

# numba's cache knows a file's time, not what a mutant made of it: a kernel with a mutant in it runs as Python, or is
# compiled into a folder of its own.
Kernels = Literal["kept", "interpreted", "compiled anew"]


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
    child = os.fork()
    if child == 0:
        _run(target, code, cpu_seconds, log)
    _, status, used = os.wait4(child, 0)
    spent = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        return Outcome(NEVER_ENDED if spent >= cpu_seconds else KILLED, spent)
    return Outcome(SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED, spent)


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
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "--no-header"]
        status = int(pytest.main([*options, *target.tests], plugins=[_Synthesised()]))
    except BaseException:  # whatever a mutant breaks, the trial's process ends here
        status = 1
    finally:
        sys.stdout.flush()
        os._exit(status)


def _set_kernels(kernels: Kernels) -> None:
    import numba

    if kernels == "interpreted":
        numba.config.DISABLE_JIT = True
    elif kernels == "compiled anew":
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="mutant-kernels-")
