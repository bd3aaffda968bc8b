"""Calls to AWS: refused by their service's throttling or for a missing permission, done with the answer lost or late, done
twice, or with an object or an answer cut off on its way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from local.faults import functions
from local.faults.book import Book, Fault
from local.faults.tasks import TASK_HEADER

Answer = tuple[int, dict[str, str], Any]
Handler = Callable[..., Awaitable[Answer]]

THROTTLING: Final = {
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "s3": (503, "SlowDown"),
    "lambda": (429, "TooManyRequestsException"),
    "cloudformation": (400, "Throttling"),
    "sns": (400, "Throttled"),
}
OTHERWISE_THROTTLED: Final = (400, "ThrottlingException")
LOST: Final = {"dynamodb": (500, "InternalServerError")}
OTHERWISE_LOST: Final = (500, "InternalFailure")
PUT_OBJECT: Final = "s3:PutObject"
XML_SERVICES: Final = ("s3", "cloudformation", "sns")


def register(book: Book) -> None:
    from ministack import app

    for service, handler in app.SERVICE_HANDLERS.items():
        app.SERVICE_HANDLERS[service] = with_faults(book, service, handler)


def with_faults(book: Book, service: str, handler: Handler) -> Handler:
    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Answer:
        from ministack.core.iam_actions import extract_iam_action

        if not functions.DOOMED and not book.armed():
            return await handler(method, path, headers, body, query)
        action = extract_iam_action(service, method, path, headers, body, query) or ""
        caller = caller_of(headers, query)
        text = f"{path} {body[:100_000].decode('utf-8', 'replace')}"
        fault = book.take("call", action, caller=caller, holding=text)
        if fault is not None and fault.what == "denied":
            return denial(service, action, caller, headers)
        answer = await _answer(fault, service, handler, (method, path, headers, body, query))
        await functions.met_by(caller)
        return answer

    return handle


async def _answer(fault: Fault | None, service: str, handler: Handler, request: tuple[Any, ...]) -> Answer:
    if fault is None:
        return await handler(*request)
    if fault.what == "throttled":
        return refusal(service, *THROTTLING.get(service, OTHERWISE_THROTTLED), "Rate exceeded")
    if fault.what == "garbage" and fault.name == PUT_OBJECT:
        method, path, headers, body, query = request
        return await handler(method, path, _unchecked(headers), body[: len(body) // 2], query)
    if fault.what == "twice":
        await handler(*request)
    return await _spoilt(fault, service, await handler(*request))


async def _spoilt(fault: Fault, service: str, answer: Answer) -> Answer:
    """What the caller gets of a call that was done."""
    if fault.what == "times_out":
        await asyncio.sleep(fault.late_seconds)
    if fault.what == "garbage":
        return halved(answer)
    if fault.what == "crashes":
        return refusal(service, *LOST.get(service, OTHERWISE_LOST), "the answer was lost on its way")
    return answer


def halved(answer: Answer) -> Answer:
    """Its second half is missing; a checksum among the headers is still that of the whole."""
    status, headers, body = answer
    return (
        status,
        {name: value for name, value in headers.items() if name.lower() != "content-length"},
        body[: len(body) // 2],
    )


def caller_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> str:
    """The session's ARN, which ends in a function's name, and the state where a workflow calls; a space after each."""
    from ministack.core.router import extract_access_key_id
    from ministack.services import sts

    session = sts._sessions.get(extract_access_key_id(headers, query)) or {}
    return f"{session.get('Arn', '')} {headers.get(TASK_HEADER.lower(), '')} "


def _unchecked(headers: Mapping[str, str]) -> dict[str, str]:
    """Without what would tell S3 that half of the object is missing."""
    dropped = ("x-amz-checksum", "content-md5", "x-amz-sdk-checksum", "x-amz-trailer", "x-amz-decoded-content-length")
    return {name: value for name, value in headers.items() if not name.lower().startswith(dropped)}


def denial(service: str, action: str, caller: str, headers: Mapping[str, str]) -> Answer:
    """As the service words a missing permission."""
    from ministack.core import iam_actions

    principal, request = caller.partition(" ")[0], headers.get("amz-sdk-invocation-id", "")
    answer: Answer = iam_actions.access_denied_response(service, action, principal, request, headers=dict(headers))
    return answer


def refusal(service: str, status: int, code: str, message: str) -> Answer:
    """An error in the service's own protocol."""
    if service in XML_SERVICES:
        error = f"<Code>{code}</Code><Message>{message}</Message>"
        text = f"<Error>{error}</Error>"
        if service != "s3":
            text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
        return status, {"Content-Type": "text/xml"}, text.encode()
    told = json.dumps({"__type": code, "message": message, "Message": message})
    return status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}, told.encode()
