from __future__ import annotations

from typing import Any

import pytest

from local.streams import polling, with_failed_records

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/insights/stream/1"
EVENT = {"Records": [{"eventSourceARN": STREAM}]}
MAPPING = {"EventSourceArn": STREAM, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
SILENT_MAPPING = {"EventSourceArn": STREAM, "FunctionResponseTypes": []}


def polled(body: Any, mapping: dict[str, Any]) -> dict[str, Any]:
    """What a poll of streams takes for the answer of a function that answers so."""
    found: list[dict[str, Any]] = []
    execute = with_failed_records(lambda *_: {"body": body}, lambda: [mapping])

    def poll() -> bool:
        found.append(execute({}, EVENT))
        return True

    assert polling(poll)()
    return found[0]


def test_a_batch_with_a_record_that_was_not_kept_has_failed_and_comes_again():
    answer = polled({"batchItemFailures": [{"itemIdentifier": "100"}]}, MAPPING)

    assert answer["error"] is True
    assert answer["body"] == {"errorType": "ReportBatchItemFailures", "errorMessage": "not kept from 100 on"}


@pytest.mark.parametrize("body", [{"batchItemFailures": []}, {"batchItemFailures": None}, {}, None, {"other": 1}])
def test_a_batch_of_which_nothing_is_reported_is_done(body: Any):
    assert polled(body, MAPPING) == {"body": body}


def test_a_mapping_that_does_not_ask_for_reports_goes_on_behind_the_batch():
    body = {"batchItemFailures": [{"itemIdentifier": "100"}]}

    assert polled(body, SILENT_MAPPING) == {"body": body}


def test_whoever_invokes_the_function_by_hand_hears_its_own_answer():
    body = {"batchItemFailures": [{"itemIdentifier": "100"}]}

    assert with_failed_records(lambda *_: {"body": body}, lambda: [MAPPING])({}, EVENT) == {"body": body}
