"""What really happened, kept with the prediction that it is about and, as the operator's label, with the row that the
prediction was made from: the next training reads it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import MAX_ID_CHARACTERS, RISK_LEVELS, timestamp_text
from lambdas.api.problems import UnknownPrediction
from lambdas.api.queries import device_id_of, refuse
from lambdas.attribute_values import from_item, to_attribute_value
from lambdas.client_errors import is_unmet_condition
from lambdas.labels import LABEL_FIELDS, label_by_operator

LONGEST_COMMENT: Final = 500
_FIELDS: Final = ("device_id", "prediction_id", *LABEL_FIELDS, "comment")


@dataclass(frozen=True)
class FeedbackEnvironment:
    insights_table_name: str
    predictions_table_name: str
    requests_table_name: str
    client_requests_per_minute: int
    allowed_origins: str


@dataclass(frozen=True)
class Given:
    """The stored feedback, the kind of its prediction, and whether that was right; None where it does not say."""

    feedback: dict[str, Any]
    kind: str
    agreed: bool | None

    def metrics(self) -> dict[str, float]:
        return {"FeedbackGiven": 1} | ({} if self.agreed is None else {"FeedbackAgreed": float(self.agreed)})


def give_feedback(
    body: object,
    *,
    given_by: str,
    predictions_table: str,
    insights_table: str,
    dynamodb: Any,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Given:
    """The same request again writes the same over itself: a client may repeat it as it likes, and does so where only the
    first of the two writes was taken. A row that is not stored (the caller's own) has no label to set."""
    given = parse_feedback(body)
    feedback = {**given, "given_by": given_by, "given_at": timestamp_text(now())}
    prediction = _kept(feedback, predictions_table, dynamodb)
    label_by_operator(
        feedback, device_id=given["device_id"], timestamp=prediction["as_of"], table=insights_table, dynamodb=dynamodb
    )
    return Given(feedback, prediction["kind"], agreed(prediction, feedback))


def agreed(prediction: Mapping[str, Any], feedback: Mapping[str, Any]) -> bool | None:
    """Whether the level is the one predicted, or the score within the interval predicted."""
    if prediction["kind"] == "risk":
        level = feedback["risk_level"]
        return None if level is None else bool(level == prediction["risk_level"])
    score, interval = feedback["performance_score"], prediction["interval"]
    return None if score is None else bool(interval["lower"] <= score <= interval["upper"])


def _kept(feedback: Mapping[str, Any], table: str, dynamodb: Any) -> dict[str, Any]:
    """The prediction that the feedback now stands with."""
    device_id, prediction_id = feedback["device_id"], feedback["prediction_id"]
    try:
        updated = dynamodb.update_item(
            TableName=table,
            Key={"device_id": {"S": device_id}, "predicted_at_id": {"S": prediction_id}},
            UpdateExpression="SET feedback = :feedback",
            ConditionExpression="attribute_exists(predicted_at_id)",
            ExpressionAttributeValues={":feedback": to_attribute_value(feedback)},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if not is_unmet_condition(error):
            raise
        raise UnknownPrediction(
            f"device {device_id!r} has no prediction {prediction_id!r}; take both from a prediction's answer",
            field="prediction_id",
        ) from error
    return from_item(updated["Attributes"])


def parse_feedback(body: object) -> dict[str, Any]:
    """Every field, null where it was left out."""
    if not isinstance(body, Mapping):
        refuse("body", 'it must be a JSON object such as {"device_id": "...", "prediction_id": "...", ...}')
    for name in body:
        if name not in _FIELDS:
            refuse(str(name)[:MAX_ID_CHARACTERS], f"no such field; known are {', '.join(_FIELDS)}")
    device_id = device_id_of(body)
    prediction_id = body.get("prediction_id")
    if not isinstance(prediction_id, str) or not 1 <= len(prediction_id) <= MAX_ID_CHARACTERS:
        refuse("prediction_id", f"it must be text of 1 to {MAX_ID_CHARACTERS} characters, as a prediction gave it")
    _check_outcomes(body)
    comment = body.get("comment")
    if comment is not None and (not isinstance(comment, str) or len(comment) > LONGEST_COMMENT):
        refuse("comment", f"it must be text of at most {LONGEST_COMMENT} characters, or null")
    score = body.get("performance_score")
    return {
        "device_id": device_id,
        "prediction_id": prediction_id,
        "risk_level": body.get("risk_level"),
        "performance_score": None if score is None else float(score),
        "comment": comment,
    }


def _check_outcomes(body: Mapping[str, Any]) -> None:
    level, score = (body.get(name) for name in LABEL_FIELDS)
    if level is None and score is None:
        refuse("risk_level", f"give at least one outcome: {' or '.join(LABEL_FIELDS)}")
    if level is not None and (not isinstance(level, str) or level not in RISK_LEVELS):
        refuse("risk_level", f"it must be one of {', '.join(RISK_LEVELS)}, or null")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100):
        refuse("performance_score", "it must be a number from 0 to 100, or null")
