"""The predictions that are due, as the sparse index of their table gives them: oldest first, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from botocore.exceptions import ClientError

from insights.schema import parse_timestamp, timestamp_text
from lambdas.attribute_values import to_attribute_value
from lambdas.client_errors import is_unmet_condition
from lambdas.due_predictions import DUE_AT, DUE_INDEX, DUE_SHARD, SHARDS


@dataclass(frozen=True, slots=True)
class Due:
    """One prediction; `due_at` is when its horizon had passed."""

    device_id: str
    prediction_id: str
    kind: str
    as_of: datetime
    due_at: datetime

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        return cls(
            device_id=item["device_id"]["S"],
            prediction_id=item["predicted_at_id"]["S"],
            kind=item["kind"]["S"],
            as_of=parse_timestamp(item["as_of"]["S"]),
            due_at=parse_timestamp(item[DUE_AT]["S"]),
        )


@dataclass(frozen=True)
class DuePredictions:
    """The predictions table. What was just joined may still be in the index for a moment; joining it again is refused."""

    table: str
    dynamodb: Any
    page_rows: int = 500

    def shards(self, *, now: datetime) -> Iterator[Iterator[list[Due]]]:
        """Per shard of the index its pages."""
        return (self._pages(shard, now) for shard in SHARDS)

    def _pages(self, shard: str, now: datetime) -> Iterator[list[Due]]:
        request: dict[str, Any] = {
            "TableName": self.table,
            "IndexName": DUE_INDEX,
            "KeyConditionExpression": f"{DUE_SHARD} = :shard AND {DUE_AT} <= :now",
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":now": {"S": timestamp_text(now)}},
            "Limit": self.page_rows,
        }
        while True:
            page = self.dynamodb.query(**request)
            yield [Due.from_item(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def join(self, due: Due, outcome: Mapping[str, Any]) -> bool:
        """Keeps the outcome with the prediction, which leaves the index; False where it is gone or was joined before."""
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"device_id": {"S": due.device_id}, "predicted_at_id": {"S": due.prediction_id}},
                UpdateExpression=f"SET outcome = :outcome REMOVE {DUE_SHARD}, {DUE_AT}",
                ConditionExpression=f"attribute_exists({DUE_AT})",
                ExpressionAttributeValues={":outcome": to_attribute_value(outcome)},
            )
        except ClientError as error:
            if not is_unmet_condition(error):
                raise
            return False
        return True
