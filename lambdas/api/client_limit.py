"""How much one client may ask in a minute. Usage plans know API keys and no Cognito clients, so the count is kept here.

One item per client and minute in a table that forgets it. A process takes LEASE requests of the minute at a time and
counts them down in memory, so that a request costs a tenth of a write (about 0.06 USD per million requests, on-demand)
and nine in ten pay no time. What a process has taken and not used is lost to the client for that minute: at most LEASE per
concurrent invocation. Where the table does not answer, requests pass: a limit must not be what takes the API down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.api.problems import TooManyRequests

logger = Logger(child=True)
LEASE: Final = 10
MINUTE_SECONDS: Final = 60
_KEPT_SECONDS: Final = 3600


@dataclass
class ClientLimit:
    """`per_minute` requests of a client; a request with items counts as many as it has."""

    table: str
    per_minute: int
    dynamodb: Any
    clock: Callable[[], float] = time.time
    _left: dict[tuple[str, int], int] = field(default_factory=dict)

    def take(self, client_id: str, count: int = 1) -> None:
        """Raises TooManyRequests when the minute's requests are used up."""
        now = self.clock()
        minute = int(now // MINUTE_SECONDS)
        left = self._left.get((client_id, minute), 0)
        if left < count:
            left += self._granted(client_id, minute, max(LEASE, count - left))
        if left < count:
            wait = max(1, int((minute + 1) * MINUTE_SECONDS - now))
            raise TooManyRequests(
                f"a client may ask {self.per_minute} times a minute, each item counting; ask again in {wait} s",
                retry_after_seconds=wait,
            )
        self._left = {key: value for key, value in self._left.items() if key[1] == minute}
        self._left[client_id, minute] = left - count

    def _granted(self, client_id: str, minute: int, wanted: int) -> int:
        try:
            answer = self.dynamodb.update_item(
                TableName=self.table,
                Key={"client_minute": {"S": f"{client_id}#{minute}"}},
                UpdateExpression="ADD taken :wanted SET expires_at = if_not_exists(expires_at, :expires)",
                ExpressionAttributeValues={
                    ":wanted": {"N": str(wanted)},
                    ":expires": {"N": str(minute * MINUTE_SECONDS + _KEPT_SECONDS)},
                },
                ReturnValues="UPDATED_NEW",
            )
        except (ClientError, BotoCoreError):
            logger.exception("the client's requests could not be counted; this one passes")
            return wanted
        taken = int(answer["Attributes"]["taken"]["N"])
        return max(0, min(wanted, self.per_minute - (taken - wanted)))
