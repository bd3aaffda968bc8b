"""Takes an agent's rows away from its clock: a slow or absent destination delays their writing, never their measuring."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from collectors.outputs import Output
from insights.schema import Insight
from lambdas.throttling import Backoff, TableThrottled

MOST_WAITING: Final = 100_000
"""Kept for a destination that does not answer: a day of 70 disks at 60 s; then the oldest are given up, which is said."""
ROWS_AT_ONCE: Final = 500
NOT_NOW = (ClientError, BotoCoreError, TableThrottled, OSError)


@dataclass
class Delivery:
    """Writes in a thread of its own, in order, until each row is written; `say` hears of trouble and of its end."""

    output: Output
    say: Callable[[str], None]
    backoff: Backoff = field(default_factory=lambda: Backoff(first_seconds=1.0, longest_seconds=60.0, attempts=20))
    written: int = 0
    given_up: int = 0

    def __post_init__(self) -> None:
        self._waiting: deque[Insight] = deque()
        self._change = threading.Condition()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="delivery", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[Insight]) -> None:
        with self._change:
            self._waiting.extend(rows)
            lost = max(0, len(self._waiting) - MOST_WAITING)
            for _ in range(lost):
                self._waiting.popleft()
            self.given_up += lost
            self._change.notify()
        if lost:
            self.say(f"{self.output.place} takes nothing: {self.given_up} rows are given up by now, the oldest first")

    def end(self) -> None:
        """Returns when what was added is written, or one more attempt has failed."""
        with self._change:
            self._is_ending.set()
            self._change.notify()
        self._thread.join()
        self.given_up += len(self._waiting)

    def _deliver(self) -> None:
        delays = self.backoff.delays()
        while batch := self._next_batch():
            is_last_try = self._is_ending.is_set()
            try:
                self.written += self.output.write(batch)
            except NOT_NOW as error:
                self.say(f"{self.output.place} does not take {len(batch)} rows, they wait: {error}")
                if is_last_try:
                    return
                self._is_ending.wait(next(delays, self.backoff.longest_seconds))
                continue
            delays = self.backoff.delays()
            self._taken(batch)

    def _next_batch(self) -> list[Insight]:
        """The oldest rows, which stay until they are written; none when it ends and everything is."""
        with self._change:
            while not self._waiting and not self._is_ending.is_set():
                self._change.wait()
            return [self._waiting[index] for index in range(min(ROWS_AT_ONCE, len(self._waiting)))]

    def _taken(self, batch: list[Insight]) -> None:
        """Rows that were given up meanwhile are gone already."""
        with self._change:
            written = {id(row) for row in batch}
            while self._waiting and id(self._waiting[0]) in written:
                self._waiting.popleft()
