"""Asking AWS again while it throttles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from lambdas.client_errors import is_throttled
from lambdas.throttling import Backoff


class StillThrottled(RuntimeError):
    """An API took no more requests within every retry; what was written stays, and the next run goes on from there."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"{operation} is still throttled after every retry; the next run goes on where this one stopped"
        )


@dataclass
class Asker:
    """`throttles` counts the refusals that botocore's own retries did not outlast."""

    backoff: Backoff = field(default_factory=Backoff)
    throttles: int = 0

    def ask(self, call: Callable[..., Any], operation: str, **request: Any) -> Any:
        for delay in chain(self.backoff.delays(), [None]):
            try:
                return call(**request)
            except ClientError as error:
                if not is_throttled(error):
                    raise
                self.throttles += 1
                if delay is None:
                    raise StillThrottled(operation) from error
            self.backoff.sleep(delay)
        raise AssertionError
