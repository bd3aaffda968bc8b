from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.api.problems import InvalidRequest, UnknownPrediction
from lambdas.attribute_values import from_item, to_item
from lambdas.give_feedback.give_feedback import give_feedback

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PREDICTION_ID = "2026-03-02T11:01:02.345Z#risk#0a1b2c3d"
BODY = {"device_id": "nvme-1", "prediction_id": PREDICTION_ID, "risk_level": "high"}


@pytest.fixture
def predicted(cloud: Any) -> Any:
    cloud.dynamodb.put_item(
        TableName="predictions",
        Item=to_item({"device_id": "nvme-1", "predicted_at_id": PREDICTION_ID, "kind": "risk"}),
    )
    return cloud


def given(cloud: Any, body: object, *, given_by: str = "operator@example.com") -> dict[str, Any]:
    return give_feedback(body, given_by=given_by, table="predictions", dynamodb=cloud.dynamodb, now=lambda: NOW)


def stored(cloud: Any) -> dict[str, Any]:
    (item,) = cloud.dynamodb.scan(TableName="predictions")["Items"]
    return from_item(item)


def test_feedback_is_kept_with_its_prediction_and_who_gave_it(predicted: Any) -> None:
    answer = given(predicted, {**BODY, "comment": "it was"})
    assert answer == {
        **BODY,
        "performance_score": None,
        "comment": "it was",
        "given_by": "operator@example.com",
        "given_at": "2026-03-02T12:00:00.000Z",
    }
    assert stored(predicted) == {
        "device_id": "nvme-1",
        "predicted_at_id": PREDICTION_ID,
        "kind": "risk",
        "feedback": answer,
    }


def test_repeating_it_changes_nothing_and_another_replaces_it(predicted: Any) -> None:
    assert given(predicted, BODY) == given(predicted, BODY)
    given(predicted, {**BODY, "risk_level": None, "performance_score": 40}, given_by="someone-else")
    feedback = stored(predicted)["feedback"]
    assert (feedback["risk_level"], feedback["performance_score"], feedback["given_by"]) == (None, 40.0, "someone-else")


@pytest.mark.parametrize("change", [{"device_id": "hdd-2"}, {"prediction_id": "2026-03-02T11:01:02.345Z#risk#0"}])
def test_an_unknown_prediction_is_refused_and_not_made(predicted: Any, change: dict[str, str]) -> None:
    with pytest.raises(UnknownPrediction):
        given(predicted, BODY | change)
    assert "feedback" not in stored(predicted)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([BODY], "body"),
        ({}, "device_id"),
        (BODY | {"device_id": 5}, "device_id"),
        (BODY | {"prediction_id": ""}, "prediction_id"),
        (BODY | {"prediction_id": None}, "prediction_id"),
        (BODY | {"risk_level": None}, "risk_level"),
        (BODY | {"risk_level": "dire"}, "risk_level"),
        (BODY | {"risk_level": ["high"]}, "risk_level"),
        (BODY | {"performance_score": 101}, "performance_score"),
        (BODY | {"performance_score": True}, "performance_score"),
        (BODY | {"performance_score": "50"}, "performance_score"),
        (BODY | {"comment": "x" * 501}, "comment"),
        (BODY | {"comment": 5}, "comment"),
        (BODY | {"given_by": "me"}, "given_by"),
    ],
)
def test_wrong_feedback_names_its_field(predicted: Any, body: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        given(predicted, body)
    assert refused.value.field == field
