"""Whether an experiment runs at an endpoint, from the note that the endpoint's stack keeps; known without waiting for it.

The note is read beside the windows and kept by the warm process. Older than FRESH_SECONDS it is read again, beside the
request that noticed, which still goes by the old one; older than USABLE_SECONDS (a process that rested) it is waited
for, as at a cold start. A note that cannot be read changes nothing: the last one goes on, and without one none runs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from aws_lambda_powertools import Logger

from insights.experiments import variant_of
from lambdas.parameters import ParameterUnread

logger = Logger(child=True)

FRESH_SECONDS: Final = 60.0
USABLE_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 10.0
_OFF: Final = "off"
_AB: Final = "ab"
_reading = ThreadPoolExecutor(max_workers=2, thread_name_prefix="experiment")


@dataclass(frozen=True)
class Experiment:
    """One in which the challenger answers its share of the devices."""

    challenger: str
    share_percent: float

    def variant_of(self, device_id: str) -> str:
        return variant_of(device_id, challenger=self.challenger, share_percent=self.share_percent)


class UnreadableNote(ValueError):
    """The endpoint stack's note is none: by another version of it, or by hand."""


def experiment_of(note: str) -> Experiment | None:
    """None where nobody is to meet a challenger: none runs, or a shadow, which answers nobody."""
    if note == _OFF:
        return None
    try:
        given = json.loads(note)
        if given["mode"] != _AB:
            return None
        return Experiment(challenger=str(given["challenger"]), share_percent=float(given["share"]))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UnreadableNote(f"the note {note[:80]!r} names no mode, challenger and share of an experiment") from error


@dataclass
class ExperimentNote:
    """Of one endpoint; `read` gives the note's text or raises ParameterUnread."""

    read: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    _known: Experiment | None = None
    _known_at: float = -math.inf
    _due_at: float = -math.inf
    _pending: Future[None] | None = None

    def begin(self) -> Callable[[], Experiment | None]:
        """Start reading where that is due; what is returned gives the experiment, and waits only where it must."""
        now, known = self.clock(), self._known
        is_usable = now - self._known_at < USABLE_SECONDS
        if now >= self._due_at and (self._pending is None or self._pending.done()):
            self._pending = _reading.submit(self._refresh)
        if is_usable or self._pending is None:
            return lambda: known
        return partial(self._awaited, self._pending)

    def _awaited(self, pending: Future[None]) -> Experiment | None:
        pending.result()
        return self._known

    def _refresh(self) -> None:
        try:
            self._known = experiment_of(self.read())
            self._known_at, self._due_at = self.clock(), self.clock() + FRESH_SECONDS
        except (ParameterUnread, UnreadableNote) as error:
            logger.warning("the experiment's note was not read", extra={"error": str(error)})
            self._known_at, self._due_at = self.clock(), self.clock() + RETRY_SECONDS


def no_experiment() -> ExperimentNote:
    return ExperimentNote(lambda: _OFF)
