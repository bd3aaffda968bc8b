"""Who did not come, who died, who hangs: told by name, with real connections on 127.0.0.1."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from training_container.errors import LostHost
from training_container.roll_call import Patience, RollCall

HOSTS = ("algo-1", "algo-2", "algo-3")
BRIEF = Patience(arrival_seconds=0.3, silence_seconds=2, grace_seconds=0.1)
PATIENT = Patience(arrival_seconds=30, silence_seconds=30, grace_seconds=30)


@pytest.fixture
def address() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def gathered(threads: ThreadPoolExecutor, address: tuple[str, int], patience: Patience) -> list[RollCall]:
    """All three, after the first has opened."""
    leading = threads.submit(RollCall.lead, HOSTS, address, patience)
    joining = [threads.submit(RollCall.join, host, HOSTS[0], address, patience) for host in HOSTS[1:]]
    first = leading.result()
    first.open({"port": 7})
    others = [future.result() for future in joining]
    assert [other.opened()["port"] for other in others] == [7, 7]
    return [first, *others]


def test_a_host_that_does_not_come_is_named_to_those_that_came(threads: ThreadPoolExecutor, address: tuple[str, int]):
    joined = threads.submit(RollCall.join, "algo-3", "algo-1", address, PATIENT)

    with pytest.raises(LostHost, match=r"^algo-2 did not come to the training within 0.3 s"):
        RollCall.lead(HOSTS, address, BRIEF)
    with pytest.raises(LostHost, match=r"^algo-2 did not come"):
        joined.result().opened()


def test_a_first_host_that_does_not_come_is_named(address: tuple[str, int]):
    with pytest.raises(LostHost, match=r"^algo-2 did not reach algo-1 at 127\.0\.0\.1:\d+ within 0.3 s"):
        RollCall.join("algo-2", "algo-1", address, BRIEF)


def test_a_stranger_at_the_port_is_not_taken_for_a_host(threads: ThreadPoolExecutor, address: tuple[str, int]):
    leading = threads.submit(RollCall.lead, HOSTS[:2], address, PATIENT)
    stranger = None
    while stranger is None:
        try:
            stranger = socket.create_connection(address)
        except ConnectionRefusedError:
            continue
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    joining = threads.submit(RollCall.join, "algo-2", "algo-1", address, PATIENT)
    leading.result().open({"port": 8})

    assert joining.result().opened() == {"port": 8}


def test_what_one_host_leaves_for_is_told_to_every_other(threads: ThreadPoolExecutor, address: tuple[str, int]):
    first, second, third = gathered(threads, address, PATIENT)
    for roll_call in (first, third):
        roll_call.watch(pytest.fail)
    second.ended("algo-2 refused: no rows")

    assert str(first.loss()) == str(third.loss()) == "algo-2 refused: no rows"


def test_a_host_that_hangs_is_found_by_its_silence_and_ends_those_that_hang_because_of_it(
    threads: ThreadPoolExecutor, address: tuple[str, int]
):
    first, _hanging, third = gathered(threads, address, BRIEF)
    told: list[str] = []
    ended = threading.Barrier(3, timeout=30)

    def end_process(sentence: str) -> None:
        told.append(sentence)
        ended.wait()

    for roll_call in (first, third):
        roll_call.watch(end_process)
    ended.wait()

    assert told == ["algo-2 has been silent for 2 s: its process hangs, or its machine or network is gone"] * 2


def test_a_host_that_is_done_may_leave(threads: ThreadPoolExecutor, address: tuple[str, int]):
    first, second, third = gathered(threads, address, PATIENT)
    for roll_call in (first, second, third):
        roll_call.watch(pytest.fail)
    second.done()
    third.done()
    first.done()

    assert [roll_call.loss(0.1) for roll_call in (first, second, third)] == [None, None, None]
