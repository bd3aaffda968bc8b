"""The predictions table: what was answered, kept until it expires, so that outcomes can be held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lambdas.attribute_values import to_attribute_value


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
        self.dynamodb.put_item(
            TableName=self.table, Item={name: to_attribute_value(value) for name, value in item.items()}
        )
