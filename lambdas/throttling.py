"""How long to wait before a table that takes no more is asked again, and the error of one that never took it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


class TableThrottled(RuntimeError):
    """The table gave no capacity within the time limit. Nothing is lost: the same event may be sent again."""

    def __init__(self, table: str, doing: str) -> None:
        super().__init__(
            f"table {table} still throttles {doing} after every retry; "
            "give it more capacity (or on-demand mode) and start again: nothing is written twice"
        )


@dataclass(frozen=True)
class Backoff:
    """Exponential delays with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").

    Eight delays of up to 0.2, 0.4, ... 20 s: 32 s on average, 64 s at most.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 20.0
    attempts: int = 8
    sleep: Callable[[float], None] = time.sleep
    fraction: Callable[[], float] = random.random

    def delays(self) -> Iterator[float]:
        for attempt in range(self.attempts):
            yield self.fraction() * min(self.longest_seconds, self.first_seconds * 2**attempt)
