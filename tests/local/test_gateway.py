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


def test_an_error_beside_a_response_is_raised() -> None:
    assert raising(lambda result: (result, None))({"statusCode": 200}) == ({"statusCode": 200}, None)
    with pytest.raises(FunctionFailed, match="out of time"):
        raising(lambda _: (None, "out of time"))({})
