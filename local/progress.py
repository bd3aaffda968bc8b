"""Progress for a person: one line per thing that happened, with the seconds since the start, and the steps' own seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Progress:
    steps: list[dict[str, float | str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Announce a step and record its seconds, also when it fails."""
        self.say(text)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.record(name, time.monotonic() - begun)

    def record(self, name: str, seconds: float) -> None:
        self.steps.append({"name": name, "seconds": round(seconds, 2)})
