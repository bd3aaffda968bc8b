from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.api.problems import InvalidRequest, UnknownPrediction
from lambdas.attribute_values import from_item, to_item
from lambdas.give_feedback.give_feedback import Given, agreed, give_feedback
from lambdas.insight_writer import InsightWriter

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PREDICTION_ID = "2026-03-02T11:01:02.345Z#risk#0a1b2c3d"
PREDICTION = {
    "device_id": "nvme-1",
    "predicted_at_id": PREDICTION_ID,
    "kind": "risk",
    "as_of": "2026-03-02T11:00:00.000Z",
    "risk_level": "high",
}
BODY = {"device_id": "nvme-1", "prediction_id": PREDICTION_ID, "risk_level": "high"}


@pytest.fixture
def predicted(cloud: Any) -> Any:
    cloud.dynamodb.put_item(
        TableName="predictions",
        Item=to_item(PREDICTION),
    )
    return cloud


def given(cloud: Any, body: object, *, given_by: str = "operator@example.com") -> dict[str, Any]:
    return answered(cloud, body, given_by=given_by).feedback


def answered(cloud: Any, body: object, *, given_by: str = "operator@example.com") -> Given:
    return give_feedback(
        body,
        given_by=given_by,
        predictions_table="predictions",
        insights_table="insights",
        dynamodb=cloud.dynamodb,
        now=lambda: NOW,
    )


def kept(cloud: Any) -> dict[str, Any]:
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
    assert kept(predicted) == {**PREDICTION, "feedback": answer}


def test_repeating_it_changes_nothing_and_another_replaces_it(predicted: Any) -> None:
    assert given(predicted, BODY) == given(predicted, BODY)
    given(predicted, {**BODY, "risk_level": None, "performance_score": 40}, given_by="someone-else")
    feedback = kept(predicted)["feedback"]
    assert (feedback["risk_level"], feedback["performance_score"], feedback["given_by"]) == (None, 40.0, "someone-else")


@pytest.mark.parametrize("change", [{"device_id": "hdd-2"}, {"prediction_id": "2026-03-02T11:01:02.345Z#risk#0"}])
def test_an_unknown_prediction_is_refused_and_not_made(predicted: Any, change: dict[str, str]) -> None:
    with pytest.raises(UnknownPrediction):
        given(predicted, BODY | change)
    assert "feedback" not in kept(predicted)


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


def labelled(cloud: Any) -> dict[str, Any]:
    """The labels of the row at 11:00, which is the fixture's twelfth."""
    key = {"device_id": {"S": "nvme-1"}, "timestamp": {"S": PREDICTION["as_of"]}}
    item = from_item(cloud.dynamodb.get_item(TableName="insights", Key=key)["Item"])
    return {name: item.get(name) for name in ("risk_level", "performance_score", "label_source")}


def test_feedback_is_the_operators_label_of_the_row_that_was_predicted_about(predicted: Any, stored: Any) -> None:
    given(predicted, BODY)
    assert labelled(predicted) == {"risk_level": "high", "performance_score": None, "label_source": "operator"}
    given(predicted, {**BODY, "risk_level": None, "performance_score": 40})
    assert labelled(predicted) == {"risk_level": "high", "performance_score": 40.0, "label_source": "operator"}
    given(predicted, {**BODY, "risk_level": "low"})
    assert labelled(predicted)["risk_level"] == "low"


def test_an_operators_label_replaces_an_automatic_one(predicted: Any, make_insight: Any) -> None:
    row = make_insight("nvme-1", 12, risk_level="low", performance_score=90.0, label_source="auto")
    InsightWriter("insights", predicted.dynamodb).write([row])
    given(predicted, BODY)
    assert labelled(predicted) == {"risk_level": "high", "performance_score": 90.0, "label_source": "operator"}


def test_a_row_that_is_not_stored_is_not_made(predicted: Any) -> None:
    given(predicted, BODY)
    assert predicted.rows() == []


@pytest.mark.parametrize(
    ("body", "metrics"),
    [
        (BODY, {"FeedbackGiven": 1, "FeedbackAgreed": 1.0}),
        (BODY | {"risk_level": "low"}, {"FeedbackGiven": 1, "FeedbackAgreed": 0.0}),
        (BODY | {"risk_level": None, "performance_score": 5}, {"FeedbackGiven": 1}),
    ],
)
def test_the_accuracy_that_operators_see_is_measured(
    predicted: Any, body: dict[str, Any], metrics: dict[str, float]
) -> None:
    answer = answered(predicted, body)
    assert (answer.kind, answer.metrics()) == ("risk", metrics)


@pytest.mark.parametrize(
    ("score", "is_agreed"), [(44.0, False), (44.1, True), (72.5, True), (73.0, False), (None, None)]
)
def test_a_score_agrees_within_the_predicted_interval(score: float | None, is_agreed: bool | None) -> None:
    prediction = {"kind": "performance", "performance_score": 58.3, "interval": {"lower": 44.1, "upper": 72.5}}
    assert agreed(prediction, {"risk_level": "low", "performance_score": score}) is is_agreed
