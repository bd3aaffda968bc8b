"""Container processes: the same from the zygote and without it, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.containers.container import Container, Start
from local.containers.launchers import ZygoteLauncher
from local.processes import ProcessIdentity
from local.sagemaker.containers import Containers, kill_survivors
from local.sagemaker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
MODES = pytest.mark.parametrize("use_zygote", [True, False], ids=["zygote", "plain"])


def settings_of(folder: Path, *, use_zygote: bool) -> Settings:
    return Settings(state_dir=folder, endpoint_url="http://127.0.0.1:1", images={}, use_zygote=use_zygote)


@pytest.fixture
def made(tmp_path: Path, use_zygote: bool) -> Iterator[Containers]:
    """For tests that end the launcher; the others share one of each kind."""
    containers = Containers(settings_of(tmp_path, use_zygote=use_zygote))
    yield containers
    containers.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Containers]]:
    kinds = {kind: Containers(settings_of(tmp_path_factory.mktemp("both"), use_zygote=kind)) for kind in (True, False)}
    yield kinds
    for containers in kinds.values():
        containers.close()


@pytest.fixture
def shared(both: dict[bool, Containers], use_zygote: bool) -> Containers:
    return both[use_zygote]


def start_of(folder: Path, code: str, *arguments: str, **environment: str) -> Start:
    module = folder / "module.py"
    module.write_text(code)
    return Start(
        module=str(module),
        arguments=arguments,
        environment={"PATH": os.environ["PATH"], **environment},
        log=folder / "logs" / "container.log",
        directory=REPOSITORY,
    )


def run(containers: Containers, folder: Path, code: str, *arguments: str, **environment: str) -> tuple[int | None, str]:
    start = start_of(folder, code, *arguments, **environment)
    container = containers.start(start)
    return container.wait(60), start.log.read_text()


@MODES
@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("pass", 0),
        ("import sys; sys.exit(2)", 2),
        ("import sys; sys.exit('a sentence')", 1),
        ("raise ValueError('a bug')", 1),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
    ],
)
def test_exit_codes_are_dockers(shared, tmp_path, code, exit_code):
    assert run(shared, tmp_path, code)[0] == exit_code


@MODES
def test_a_container_has_its_own_arguments_environment_and_output(shared, tmp_path):
    code = """
import atexit, os, sys, threading, time
atexit.register(lambda: print("at exit"))
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
print(sys.argv[1:], __name__, sorted(k for k in os.environ if k.startswith("MY_")), "SECRET" in os.environ)
print(os.getcwd(), os.getsid(0) == os.getpid(), file=sys.stderr)
"""
    os.environ["SECRET"] = "of the server"
    try:
        code_and_log = run(shared, tmp_path, code, "a", "b c", MY_ONE="1")
    finally:
        del os.environ["SECRET"]
    assert code_and_log == (
        0,
        f"['a', 'b c'] __main__ ['MY_ONE'] False\n{REPOSITORY} True\nthread\nat exit\n",
    )


@MODES
def test_containers_run_at_once(shared, tmp_path):
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    code = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / str(os.getpid())).touch()
deadline = time.monotonic() + 30
while len(list(folder.iterdir())) < 3:
    assert time.monotonic() < deadline
    time.sleep(0.01)
"""
    start = start_of(tmp_path, code, str(meeting))
    started = [shared.start(start) for _ in range(3)]
    assert [container.wait(60) for container in started] == [0, 0, 0]


SLEEPING = "import time\nprint('up', flush=True)\ntime.sleep(600)"


def wait_until_up(log: Path) -> None:
    while not log.exists() or "up" not in log.read_text():
        time.sleep(0.01)


def sleeping(containers: Containers, folder: Path) -> Container:
    start = start_of(folder, SLEEPING)
    container = containers.start(start)
    wait_until_up(start.log)
    return container


@MODES
def test_a_container_that_ignores_sigterm_is_killed_after_the_grace(shared, tmp_path):
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPING
    start = start_of(tmp_path, stubborn)
    container = shared.start(start)
    wait_until_up(start.log)
    container.stop(grace_seconds=0.2)
    assert container.wait(10) == 137


@MODES
def test_closing_ends_every_container_and_starts_no_other(made, tmp_path):
    container = sleeping(made, tmp_path)
    made.close()
    assert container.exit_code == 143
    with pytest.raises(RuntimeError, match="is stopping"):
        made.start(start_of(tmp_path, "pass"))


@pytest.mark.parametrize("use_zygote", [True])
def test_a_zygote_that_dies_takes_its_containers_along_and_is_replaced(made, tmp_path):
    container = sleeping(made, tmp_path)
    launcher = made._launcher
    assert isinstance(launcher, ZygoteLauncher)
    assert launcher.zygote_pid is not None
    os.kill(launcher.zygote_pid, signal.SIGKILL)
    assert container.wait(10) == 137
    assert container.is_lost
    while ProcessIdentity.of(container.pid) is not None:
        time.sleep(0.01)
    assert run(made, tmp_path, "pass")[0] == 0


@pytest.mark.parametrize("use_zygote", [True])
def test_forks_find_the_slow_imports_done_and_one_thread(shared, tmp_path):
    code = "import os, sys\nprint('xgboost' in sys.modules, len(os.listdir('/proc/self/task')))"
    assert run(shared, tmp_path, code) == (0, "True 1\n")


SERVER = """
import os, sys, time
from pathlib import Path
from local.containers.container import Start
from local.sagemaker.containers import Containers
from local.sagemaker.settings import Settings
folder = Path(sys.argv[1])
containers = Containers(Settings(state_dir=folder, endpoint_url="", images={}, use_zygote=sys.argv[2] == "True"))
start = Start(module=str(folder / "module.py"), arguments=(), environment=dict(os.environ), log=folder / "log",
              directory=Path.cwd())
print(containers.start(start).pid, flush=True)
time.sleep(600)
"""


@MODES
def test_containers_do_not_outlive_a_killed_server(tmp_path, use_zygote):
    (tmp_path / "module.py").write_text(SLEEPING)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), str(use_zygote)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        wait_until_up(tmp_path / "log")
        server.kill()
    while ProcessIdentity.of(pid) is not None:
        time.sleep(0.01)


def test_survivors_are_killed_by_pid_and_start_time(tmp_path):
    folder = tmp_path / "containers"
    folder.mkdir()
    with (
        subprocess.Popen(["sleep", "600"], start_new_session=True) as survivor,
        subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger,
    ):
        known, other = ProcessIdentity.of(survivor.pid), ProcessIdentity.of(stranger.pid)
        assert known is not None
        assert other is not None
        reused = {"pid": other.pid, "started": "1"}
        (folder / "processes.json").write_text(
            f'{{"processes": [{{"pid": {known.pid}, "started": "{known.started}"}}, {str(reused).replace(chr(39), chr(34))}]}}'
        )
        assert kill_survivors(tmp_path) == 1
        assert survivor.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
    assert not (folder / "processes.json").exists()
    assert kill_survivors(tmp_path) == 0
