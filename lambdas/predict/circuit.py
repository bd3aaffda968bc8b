"""Answers at once while an endpoint is down, instead of making every caller wait for what the last ones found out.

State of one warm process, which serves one request at a time: no lock, and each process finds out for itself. After
FAILURES_TO_OPEN failures in a row nobody is sent to the endpoint for OPEN_SECONDS; then one request tries, and closes the
circuit or opens it again. An absent model is no failure: its answer comes at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from lambdas.api.problems import ModelDown, ModelFailed

FAILURES_TO_OPEN: Final = 3
OPEN_SECONDS: Final = 5.0
Answer = TypeVar("Answer")


@dataclass
class Circuit:
    """Of one endpoint."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    opened_at: float = -math.inf

    def check(self) -> None:
        """Raises ModelDown while the circuit is open."""
        remaining = self.opened_at + OPEN_SECONDS - self.clock()
        if remaining > 0:
            seconds = math.ceil(remaining)
            raise ModelDown(
                f"the last {self.failures} requests found the endpoint down; ask again in {seconds} s",
                retry_after_seconds=seconds,
            )

    def call(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives; raises ModelDown without asking while the circuit is open."""
        self.check()
        try:
            answer = ask()
        except (ModelDown, ModelFailed):
            self.failures += 1
            if self.failures >= FAILURES_TO_OPEN:
                self.opened_at = self.clock()
            raise
        self.failures, self.opened_at = 0, -math.inf
        return answer
