"""The predictions table: what was answered, kept until it expires, so that outcomes can be held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer


@dataclass(frozen=True)
class Predictions:
    table: str
    days_kept: int
    dynamodb: Any

    def store(self, answer: Mapping[str, Any], *, predicted_at: datetime) -> None:
        """`answer` is the API's; its prediction_id is the sort key. `expires_at` is DynamoDB's time to live (s)."""
        item = {name: value for name, value in answer.items() if name != "prediction_id"}
        item["predicted_at_id"] = answer["prediction_id"]
        item["expires_at"] = int((predicted_at + timedelta(days=self.days_kept)).timestamp())
        serialize = TypeSerializer().serialize
        self.dynamodb.put_item(
            TableName=self.table, Item={name: serialize(_as_stored(value)) for name, value in item.items()}
        )


def _as_stored(value: Any) -> Any:
    """DynamoDB has no float; a Decimal of the float's own text reads back as the same float."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _as_stored(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_stored(entry) for entry in value]
    return value
