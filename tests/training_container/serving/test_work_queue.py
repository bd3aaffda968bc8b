from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

import pytest

from training_container.serving.messages import Answer, Work
from training_container.serving.work_queue import LONGEST_WAIT_SECONDS, MAXIMUM_STARTED, MAXIMUM_WAITING, WorkQueue


class Caller:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.answers: list[Answer] = []
        self.is_gone = False

    def answer(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.log.append(self.name)


class Bench:
    """A queue with a clock that stands and an event loop that turns when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: deque[Callable[[], None]] = deque()
        self.log: list[str] = []
        self.queue = WorkQueue(self.due.append, clock=lambda: self.now)

    def asked(self, name: str, *, slices: int = 1) -> Caller:
        caller = Caller(name, self.log)
        self.queue.put(self._work(name, slices), caller)
        return caller

    def _work(self, name: str, slices: int) -> Work:
        for number in range(1, slices):
            self.log.append(f"{name}.{number}")
            yield
        return Answer(200, name.encode())

    def turn(self, times: int = 1_000_000) -> None:
        while self.due and times:
            self.due.popleft()()
            times -= 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_requests_are_answered_in_the_order_they_came(bench: Bench):
    callers = [bench.asked(name) for name in "abc"]
    bench.turn()

    assert bench.log == ["a", "b", "c"]
    assert [caller.answers for caller in callers] == [[Answer(200, b"a")], [Answer(200, b"b")], [Answer(200, b"c")]]
    assert len(bench.queue) == 0


def test_the_loop_looks_at_its_sockets_after_every_request(bench: Bench):
    first, second = bench.asked("a"), bench.asked("b")

    bench.turn(1)

    assert (len(first.answers), len(second.answers)) == (1, 0)


def test_a_small_request_passes_one_of_many_slices(bench: Bench):
    bench.asked("large", slices=5)
    bench.turn(1)
    bench.asked("small")
    bench.turn()

    assert bench.log.index("small") < bench.log.index("large.3")
    assert bench.log[-1] == "large"


def test_one_that_finds_the_queue_full_is_told_at_once_when_to_ask_again(bench: Bench):
    for number in range(MAXIMUM_WAITING):
        bench.asked(str(number))

    refused = bench.asked("late")

    assert refused.answers[0].status == 503
    assert refused.answers[0].headers == b"retry-after: 1\r\n"
    assert f"{MAXIMUM_WAITING} requests wait" in json.loads(refused.answers[0].body)["error"]


def test_one_that_waited_longer_than_its_answer_is_worth_is_refused_instead_of_computed(bench: Bench):
    in_time = bench.asked("in time")
    bench.turn()
    late = bench.asked("late")
    bench.now = LONGEST_WAIT_SECONDS + 0.1
    bench.turn()

    assert in_time.answers[0].status == 200
    assert late.answers[0].status == 503
    assert "waited 1.1 s" in json.loads(late.answers[0].body)["error"]


def test_large_requests_at_work_are_bounded_and_the_others_keep_their_place(bench: Bench):
    for number in range(MAXIMUM_STARTED + 1):
        bench.asked(f"large{number}", slices=50)
    bench.turn(MAXIMUM_STARTED + 3)

    started = {line.partition(".")[0] for line in bench.log}
    assert started == {f"large{number}" for number in range(MAXIMUM_STARTED)}
    bench.turn()
    assert bench.log[-1] == f"large{MAXIMUM_STARTED}"


def test_nothing_is_computed_for_a_caller_that_left(bench: Bench):
    gone = bench.asked("gone", slices=3)
    gone.is_gone = True
    bench.turn()

    assert bench.log == []


def test_a_failure_of_the_model_is_a_500_for_its_caller_and_for_no_other(bench: Bench):
    def failing() -> Work:
        yield from ()
        raise ZeroDivisionError

    caller = Caller("failing", bench.log)
    bench.queue.put(failing(), caller)
    other = bench.asked("other")
    bench.turn()

    assert caller.answers[0].status == 500
    assert "ZeroDivisionError" in json.loads(caller.answers[0].body)["error"]
    assert other.answers[0].status == 200
