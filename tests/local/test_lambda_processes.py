"""Lambda workers forked from a process with the SDK: as MiniStack's own, with the SDK and nothing else of this machine."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.containers.launchers import FORKING_IS_SAFE, ZygoteLauncher
from local.lambda_processes import ForkedProcess, launcher_with, started_by
from local.lambda_workers import link_sdk, worker_preamble

pytestmark = pytest.mark.skipif(not FORKING_IS_SAFE, reason="elsewhere workers are not forked")
ECHO = "import sys\nfor line in sys.stdin:\n    print(line.upper(), end='', flush=True)\nsys.exit(3)\n"


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdk")
    link_sdk(folder)
    return folder


@pytest.fixture(scope="module")
def launcher(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZygoteLauncher]:
    launcher = launcher_with(sdk, log=tmp_path_factory.mktemp("zygote") / "log")
    yield launcher
    launcher.close()


@pytest.fixture
def start(launcher: ZygoteLauncher, tmp_path: Path) -> Iterator[Callable[..., ForkedProcess]]:
    started: list[ForkedProcess] = []

    def begin(code: str, **environment: str) -> ForkedProcess:
        script = tmp_path / f"worker-{len(started)}.py"
        script.write_text(code)
        started.append(ForkedProcess(launcher, str(script), directory=str(tmp_path), environment=environment))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait(10)


def test_a_worker_talks_by_its_pipes_and_ends_as_it_says(start):
    worker = start(ECHO)
    worker.stdin.write("a line\n")

    assert worker.stdout.readline() == "A LINE\n"
    assert worker.poll() is None
    worker.stdin.close()
    assert worker.wait(10) == 3
    assert worker.stdout.read() == ""


def test_its_environment_and_folder_are_its_own(start, tmp_path):
    worker = start("import os; print(dict(os.environ), os.getcwd())", ONLY="this")

    assert worker.stdout.read() == f"{{'ONLY': 'this'}} {tmp_path}\n"


def test_a_worker_that_is_killed_is_seen_to_end_while_others_run(start):
    first, second = start(ECHO), start(ECHO)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.01)
    first.kill()

    assert first.wait(10) == first.returncode == 128 + signal.SIGKILL
    assert first.stdout.read() == ""  # nobody else holds the other end
    second.stdin.write("still\n")
    assert second.stdout.readline() == "STILL\n"


def test_it_ends_by_sigterm_and_when_it_is_asked_to_twice(start):
    worker = start(ECHO)
    worker.terminate()

    assert worker.wait(10) == 128 + signal.SIGTERM
    worker.terminate()
    worker.kill()


def test_the_sdk_is_there_and_nothing_else_that_this_machine_has(start, sdk):
    asked = ("boto3", "botocore.client", "pandas", "aws_cdk", "ministack", "local", "local.settings", "pytest")
    code = f"""{worker_preamble(sdk)}
import importlib, json
found = dict()
for name in {asked!r}:
    try:
        found[name] = importlib.import_module(name).__file__
    except ImportError:
        found[name] = None
print(json.dumps(found))
"""
    found = json.loads(start(code).stdout.read())

    assert {name for name, file in found.items() if file} == {"boto3", "botocore.client"}
    assert {Path(file).is_relative_to(sdk) for file in found.values() if file} == {True}


def test_what_is_no_worker_is_started_as_ever(launcher):
    popen = started_by(launcher)

    with popen([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE) as process:
        assert isinstance(process, subprocess.Popen)
        assert process.stdout.read() == b"1\n"
