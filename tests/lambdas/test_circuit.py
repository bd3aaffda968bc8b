from __future__ import annotations

import pytest

from lambdas.api.problems import ModelDown, ModelFailed, ModelUnavailable, Problem
from lambdas.predict.circuit import FAILURES_TO_OPEN, OPEN_SECONDS, Circuit


class Endpoint:
    """Fails as long as it has a problem; counts who reached it."""

    def __init__(self, problem: Problem | None) -> None:
        self.problem = problem
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.problem:
            raise self.problem
        return "answered"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, endpoint: Endpoint, times: int) -> None:
    for _ in range(times):
        with pytest.raises(type(endpoint.problem or Problem)):
            circuit.call(endpoint)


@pytest.mark.parametrize("problem", [ModelDown("down"), ModelFailed("garbled")])
def test_an_endpoint_that_failed_in_a_row_is_not_asked_for_a_while(problem: Problem) -> None:
    clock = Clock()
    circuit, endpoint = Circuit(clock=clock), Endpoint(problem)
    fail(circuit, endpoint, FAILURES_TO_OPEN)
    clock.now += 1.5
    with pytest.raises(ModelDown) as refused:
        circuit.call(endpoint)
    assert endpoint.asked == FAILURES_TO_OPEN
    assert refused.value.headers() == {"Retry-After": "4"}


def test_one_request_then_tries_and_its_success_closes_the_circuit() -> None:
    clock = Clock()
    circuit, endpoint = Circuit(clock=clock), Endpoint(ModelDown("down"))
    fail(circuit, endpoint, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    endpoint.problem = None
    assert [circuit.call(endpoint), circuit.call(endpoint)] == ["answered", "answered"]
    endpoint.problem = ModelDown("down")
    fail(circuit, endpoint, FAILURES_TO_OPEN)


def test_a_try_that_fails_opens_the_circuit_again() -> None:
    clock = Clock()
    circuit, endpoint = Circuit(clock=clock), Endpoint(ModelDown("down"))
    fail(circuit, endpoint, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    fail(circuit, endpoint, 2)
    assert endpoint.asked == FAILURES_TO_OPEN + 1


def test_a_success_between_failures_and_an_absent_model_open_nothing() -> None:
    circuit, endpoint = Circuit(clock=Clock()), Endpoint(ModelDown("down"))
    fail(circuit, endpoint, FAILURES_TO_OPEN - 1)
    assert circuit.call(lambda: "answered") == "answered"
    fail(circuit, endpoint, FAILURES_TO_OPEN - 1)
    absent = Endpoint(ModelUnavailable("absent"))
    fail(Circuit(clock=Clock()), absent, FAILURES_TO_OPEN + 2)
    assert absent.asked == FAILURES_TO_OPEN + 2


def test_whether_it_is_open_is_told_without_asking() -> None:
    circuit, endpoint = Circuit(clock=Clock()), Endpoint(ModelDown("down"))
    circuit.check()
    fail(circuit, endpoint, FAILURES_TO_OPEN)
    with pytest.raises(ModelDown):
        circuit.check()
