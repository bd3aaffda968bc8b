from __future__ import annotations

import asyncio

import pytest

from local.gateway import FunctionFailed, hiding, raising


def test_a_functions_error_becomes_the_gateways_own_answer_and_says_nothing_of_it() -> None:
    async def failing() -> None:
        raise FunctionFailed("KeyError at /var/task/lambdas/secret.py")

    answer = asyncio.run(hiding(failing, lambda kind, message: (kind, message))())
    assert answer == ("DEFAULT_5XX", "Internal server error")


def test_other_errors_and_answers_pass() -> None:
    async def answering(status: int) -> int:
        return status

    async def broken() -> None:
        raise ZeroDivisionError

    assert asyncio.run(hiding(answering, lambda *_: None)(201)) == 201
    with pytest.raises(ZeroDivisionError):
        asyncio.run(hiding(broken, lambda *_: None)())


@pytest.mark.parametrize("body", [{"statusCode": 200}, '{"statusCode": 200}'])
def test_a_functions_response_passes(body: object) -> None:
    assert raising(lambda result: (result, None))({"body": body}) == ({"body": body}, None)


@pytest.mark.parametrize(
    ("result", "error", "why"),
    [
        ({}, "out of time", "out of time"),
        ({"throttle": True, "error": True, "body": {"Reason": "ConcurrentInvocationLimitExceeded"}}, None, "throttled"),
        ({"body": {"unexpected": "answer"}}, None, "no response"),
        ({"body": "<html>"}, None, "no response"),
        ({"body": None}, None, "no response"),
    ],
)
def test_a_function_that_failed_was_throttled_or_answered_no_response_has_failed(
    result: dict[str, object], error: str | None, why: str
) -> None:
    with pytest.raises(FunctionFailed, match=why):
        raising(lambda _: ({"statusCode": 200}, error))(result)
