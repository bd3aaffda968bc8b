"""The worker processes of a real server, with a handler that says who answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.material.servers import free_port, ping_milliseconds, server, workers_of

WORKERS = 2
SLICES_OF_A_LONG_ANSWER = 20
SERVER = f"""
import os, sys, time
from training_container.errors import Stopped
from training_container.serving.messages import Answer
from training_container.serving.workers import answer_until_stopped, listen

def handler(request):
    return Answer(200, str(os.getpid()).encode()) if request.path != "/long" else long()

def long():
    for _ in range({SLICES_OF_A_LONG_ANSWER}):
        time.sleep(0.05)
        yield
    return Answer(200, b"done")

try:
    answer_until_stopped(handler, listen("127.0.0.1", int(sys.argv[1])), workers=int(sys.argv[2]))
except Stopped:
    sys.exit(143)
"""


class Running:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


@pytest.fixture(params=[WORKERS])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port), str(request.param)]
    with server(command, port=port, log=tmp_path / "log", environment={}) as process:
        yield Running(port, process)


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def answered(connection: http.client.HTTPConnection, path: str = "/") -> str:
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def test_open_connections_are_shared_out_evenly(running: Running):
    workers = workers_of(running.process, WORKERS)
    connections = [running.connection() for _ in range(20)]
    pids = [answered(connection) for connection in connections]

    assert set(pids) == {str(pid) for pid in workers}
    assert min(pids.count(pid) for pid in set(pids)) >= 7


def test_a_worker_that_dies_is_replaced_and_the_other_answers_meanwhile(running: Running):
    before = workers_of(running.process, WORKERS)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: not is_alive(before[0]))

    assert answered(running.connection()) != str(before[0])
    after = workers_of(running.process, WORKERS)
    assert before[1] in after
    assert before[0] not in after


def test_no_worker_outlives_the_first_process_however_that_ends(running: Running):
    workers = workers_of(running.process, WORKERS)

    running.process.kill()
    running.process.wait()

    until(lambda: not any(is_alive(pid) for pid in workers))


@pytest.mark.parametrize("running", [1, WORKERS], indirect=True)
def test_sigterm_lets_a_running_request_end_and_takes_no_new_connection(running: Running):
    connection = running.connection()
    connection.request("GET", "/long")
    until(lambda: ping_milliseconds(running.port) is not None)  # it has been read by now

    running.process.send_signal(signal.SIGTERM)
    response = connection.getresponse()

    assert (response.status, response.read(), response.getheader("connection")) == (200, b"done", "close")
    assert running.process.wait(timeout=20) == 143
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


@pytest.mark.parametrize("running", [1, WORKERS], indirect=True)
def test_sigterm_lets_a_request_be_sent_to_its_end(running: Running):
    with socket.create_connection(("127.0.0.1", running.port)) as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        until(lambda: ping_milliseconds(running.port) is not None)  # it has been accepted by now
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        caller.sendall(b"def")
        assert caller.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")

    assert running.process.wait(timeout=20) == 143


def test_idle_connections_do_not_keep_a_stopping_server(running: Running):
    connection = running.connection()
    answered(connection)
    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(timeout=10) == 143
