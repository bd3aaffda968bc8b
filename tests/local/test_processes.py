import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from local.processes import (
    ProcessIdentity,
    ProcessRecord,
    descendants,
    end,
    end_tree,
    free_port,
    owner_of_port,
    port_is_taken,
)


def sleeper(code: str = "import time; time.sleep(60)") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code])


def identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    found = ProcessIdentity.of(process.pid)
    assert found is not None
    return found


def test_a_process_that_ended_has_no_identity() -> None:
    process = sleeper("pass")
    process.wait()
    assert ProcessIdentity.of(process.pid) is None


def test_a_pid_that_was_given_to_somebody_else_is_never_signalled() -> None:
    with sleeper() as process:
        stranger = ProcessIdentity(process.pid, started="long ago")
        assert not stranger.is_alive()
        end([stranger], grace_seconds=0.1)
        assert process.poll() is None
        process.kill()


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    end([identity(process)], grace_seconds=0.2)
    assert process.wait(10) == -signal.SIGKILL
    process.stdout.close()


def test_a_tree_ends_with_its_root() -> None:
    inner = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    nested = f"import subprocess, sys, time; {inner}; time.sleep(60)"
    with sleeper(nested) as process:
        deadline = time.monotonic() + 10
        while not (below := descendants(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(below) == 1
        end_tree(identity(process))
        assert not any(child.is_alive() for child in below)


def test_a_record_forgets_processes_that_ended(tmp_path: Path) -> None:
    record = ProcessRecord(tmp_path / "deep" / "processes.json")
    assert record.read() == []
    with sleeper() as first:
        old = identity(first)
        record.add(old)
        assert record.read() == [old]
        first.kill()
        first.wait()
        with sleeper() as second:
            record.add(identity(second))
            assert record.read() == [identity(second)]
            second.kill()


def test_an_unreadable_record_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    path.write_text("half a file {")
    assert ProcessRecord(path).read() == []


def test_the_owner_of_a_taken_port_is_named() -> None:
    port = free_port()
    assert not port_is_taken(port)
    with socket.create_server(("127.0.0.1", port)):
        assert port_is_taken(port)
        owner = owner_of_port(port)
        assert owner == "" or owner.startswith("pid ")  # a system without /proc does not tell
