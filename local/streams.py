"""A function that reads a DynamoDB stream may answer which record it could not keep (ReportBatchItemFailures). MiniStack
1.5.33 goes on behind the batch all the same, and what was not kept is lost.

Here the batch comes again as a whole after MiniStack's pause for a failed one. Lambda sends it again from that record on
(developer guide, "Partial batch responses"), and may deliver any record more than once.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from typing import Any, Final

REPORTS: Final = "ReportBatchItemFailures"
_polling: contextvars.ContextVar[bool] = contextvars.ContextVar("polling_of_streams", default=False)


def register() -> None:
    from ministack.services import lambda_svc

    lambda_svc._poll_dynamodb_streams = polling(lambda_svc._poll_dynamodb_streams)
    lambda_svc._execute_function = with_failed_records(lambda_svc._execute_function, mappings)


def mappings() -> list[Mapping[str, Any]]:
    from ministack.services import lambda_svc

    return [mapping for _, _, mapping in lambda_svc._iter_all_esms()]


def polling(poll: Callable[[], bool]) -> Callable[[], bool]:
    def polled() -> bool:
        token = _polling.set(True)
        try:
            return poll()
        finally:
            _polling.reset(token)

    return polled


def with_failed_records(
    execute: Callable[..., dict[str, Any]], mappings: Callable[[], list[Mapping[str, Any]]]
) -> Callable[..., dict[str, Any]]:
    """A failed batch for a poll of streams; an invocation by anybody else keeps its answer."""

    def executed(func: dict[str, Any], event: Any) -> dict[str, Any]:
        answer = execute(func, event)
        if not _polling.get() or answer.get("error") or not (failed := failed_records(answer.get("body"))):
            return answer
        if not reports(event["Records"][0].get("eventSourceARN"), mappings()):
            return answer
        told = {"errorType": REPORTS, "errorMessage": f"not kept from {failed[0]} on"}
        return {**answer, "error": True, "body": told}

    return executed


def failed_records(body: Any) -> list[str]:
    given = body.get("batchItemFailures") if isinstance(body, Mapping) else None
    return [str(each.get("itemIdentifier")) for each in given or []]


def reports(stream_arn: str | None, mappings: list[Mapping[str, Any]]) -> bool:
    return any(
        each.get("EventSourceArn") == stream_arn and REPORTS in (each.get("FunctionResponseTypes") or [])
        for each in mappings
    )
