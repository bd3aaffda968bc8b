"""The policy by which a failing endpoint is asked again, over all that may happen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.predict.asking_again import (
    BUDGET_SECONDS,
    CALL_SECONDS,
    CONNECT_SECONDS,
    READ_SECONDS,
    AskAgain,
    Failure,
    GiveUp,
    after_failure,
    read_seconds,
)

SEEDED = settings(derandomize=True, deadline=None)
FRACTIONS = st.floats(0, 1, exclude_max=True)
# What a call may have taken by the time it failed.
FAILED_CALLS = st.tuples(st.sampled_from(Failure), st.floats(0, CONNECT_SECONDS + READ_SECONDS), FRACTIONS)


@SEEDED
@given(calls=st.lists(FAILED_CALLS, min_size=10, max_size=10), remaining=st.floats(0, BUDGET_SECONDS))
def test_however_calls_fail_the_endpoint_costs_no_more_than_what_was_left_or_one_call(
    calls: list[tuple[Failure, float, float]], remaining: float
) -> None:
    spent = 0.0
    for number, (failure, seconds, fraction) in enumerate(calls, start=1):
        spent += seconds
        decision = after_failure(failure, failures=number, remaining_seconds=remaining - spent, fraction=fraction)
        if isinstance(decision, GiveUp):
            break
        spent += decision.wait_seconds
    else:
        pytest.fail("ten failures in a row and still no end")
    assert spent <= max(remaining, 0.95) + 1e-9


@SEEDED
@given(failure=st.sampled_from(Failure), failures=st.integers(1, 10), remaining=st.floats(-5, 30), fraction=FRACTIONS)
def test_a_call_follows_only_where_it_can_end_in_time_and_never_more_than_three(
    failure: Failure, failures: int, remaining: float, fraction: float
) -> None:
    decision = after_failure(failure, failures=failures, remaining_seconds=remaining, fraction=fraction)
    if isinstance(decision, AskAgain):
        assert failures <= 3
        assert 0 <= decision.wait_seconds <= remaining - CALL_SECONDS
    else:
        assert failure.name.lower() in decision.reason


@SEEDED
@given(failures=st.integers(1, 10), remaining=st.floats(0, 30), fraction=FRACTIONS)
def test_what_is_final_is_never_asked_again(failures: int, remaining: float, fraction: float) -> None:
    decision = after_failure(Failure.FINAL, failures=failures, remaining_seconds=remaining, fraction=fraction)
    assert isinstance(decision, GiveUp)


@pytest.mark.parametrize("failure", [Failure.SHED, Failure.THROTTLED])
@SEEDED
@given(fraction=FRACTIONS)
def test_an_endpoint_that_asks_for_time_gets_a_tenth_of_a_second_and_one_more_call(
    failure: Failure, fraction: float
) -> None:
    decision = after_failure(failure, failures=1, remaining_seconds=1.8, fraction=fraction)
    assert isinstance(decision, AskAgain)
    assert 0.1 <= decision.wait_seconds < 0.4
    assert isinstance(after_failure(failure, failures=2, remaining_seconds=1.8, fraction=fraction), GiveUp)


def test_waits_double_and_have_full_jitter() -> None:
    waits = [
        [after_failure(Failure.DOWN, failures=n, remaining_seconds=1.8, fraction=fraction) for n in (1, 2, 3)]
        for fraction in (0.0, 0.5)
    ]
    assert waits == [
        [AskAgain(0.0), AskAgain(0.0), AskAgain(0.0)],
        [AskAgain(0.05), AskAgain(0.1), AskAgain(0.2)],
    ]
    assert after_failure(Failure.DOWN, failures=4, remaining_seconds=1.8, fraction=0.5) == GiveUp("down after 4 calls")


def test_the_reason_says_when_time_was_what_lacked() -> None:
    assert after_failure(Failure.UNANSWERED, failures=1, remaining_seconds=0.5, fraction=0.5) == GiveUp(
        "unanswered, and 0.50 s leave no time for another call"
    )


@pytest.mark.parametrize("is_many", [False, True])
@SEEDED
@given(remaining=st.floats(-5, 30))
def test_a_call_ends_within_what_is_left_or_within_six_tenths_of_a_second(is_many: bool, remaining: float) -> None:
    assert CONNECT_SECONDS + read_seconds(remaining, is_many=is_many) <= max(remaining, 0.6) + 1e-9


def test_a_caller_with_time_waits_as_long_as_a_busy_container_needs() -> None:
    assert (read_seconds(1.8), read_seconds(1.8, is_many=True)) == (0.75, 1.2)
    assert (read_seconds(0.9), read_seconds(0.9, is_many=True)) == (0.4, 0.4)
    assert read_seconds(1.0, is_many=True) == 0.75
