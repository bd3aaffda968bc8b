"""The predictions table: what was answered, kept until it expires, so that outcomes can be held against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from insights.schema import Insight
from lambdas.attribute_values import to_item
from lambdas.due_predictions import due_attributes
from lambdas.throttling import Backoff

logger = Logger(child=True)
Item = dict[str, dict[str, Any]]


# DynamoDB API reference, BatchWriteItem: at most 25 put requests.
BATCH_ITEMS: Final = 25
# Three further tries of what a batch left over, within a second: the caller waits.
_LEFT_OVER: Final = Backoff(first_seconds=0.1, longest_seconds=0.4, attempts=3)


@dataclass(frozen=True)
class Predictions:
    table: str
    days_kept: int
    dynamodb: Any
    backoff: Backoff = _LEFT_OVER

    def store(
        self, answers: Sequence[Mapping[str, Any]], *, newest: Sequence[Insight], predicted_at: datetime
    ) -> set[str]:
        """The ids of those that could not be stored, whose caller is told.

        An answer is the API's, about the row of `newest` beside it; its prediction_id is the sort key. `expires_at` is
        DynamoDB's time to live (s).
        """
        expires_at = int((predicted_at + timedelta(days=self.days_kept)).timestamp())
        items = [
            _item({**answer, **due_attributes(row, predicted_at=predicted_at), "expires_at": expires_at})
            for answer, row in zip(answers, newest, strict=True)
        ]
        if len(items) == 1:
            return self._unstored(items, self._put)
        batches = (items[first : first + BATCH_ITEMS] for first in range(0, len(items), BATCH_ITEMS))
        return set().union(*(self._unstored(batch, self._put_batch) for batch in batches))

    def _unstored(self, items: list[Item], put: Callable[[list[Item]], list[Item]]) -> set[str]:
        try:
            left = put(items)
        except (ClientError, BotoCoreError):
            logger.exception("predictions were not stored", extra={"count": len(items)})
            left = items
        return {item["predicted_at_id"]["S"] for item in left}

    def _put(self, items: list[Item]) -> list[Item]:
        self.dynamodb.put_item(TableName=self.table, Item=items[0])
        return []

    def _put_batch(self, items: list[Item]) -> list[Item]:
        left = self._left_over(items)
        for delay in self.backoff.delays():
            if not left:
                break
            self.backoff.sleep(delay)
            left = self._left_over(left)
        return left

    def _left_over(self, items: list[Item]) -> list[Item]:
        requests = [{"PutRequest": {"Item": item}} for item in items]
        answer = self.dynamodb.batch_write_item(RequestItems={self.table: requests})
        return [request["PutRequest"]["Item"] for request in answer.get("UnprocessedItems", {}).get(self.table, [])]


def _item(answer: Mapping[str, Any]) -> Item:
    stored = {name: value for name, value in answer.items() if name != "prediction_id"}
    return to_item({**stored, "predicted_at_id": answer["prediction_id"]})
