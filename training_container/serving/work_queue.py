"""The requests that wait for one worker's processor: bounded in number and in time, worked on in slices.

The worker computes in its event loop, a slice at a time, and looks at its sockets after each: a /ping waits for one slice,
whatever waits here. Nothing is gained by threads, since one worker a core computes already.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from training_container.serving.messages import Answer, Work, json_answer

MAXIMUM_WAITING: Final = 64  # beyond it waiting costs the caller more than asking again
LONGEST_WAIT_SECONDS: Final = 1.0  # a dashboard's call is worth no more
MAXIMUM_STARTED: Final = 4  # of more than one slice; their answers keep coming while small ones pass
RETRY_AFTER: Final = b"retry-after: 1\r\n"

logger = logging.getLogger("iops.serve")


class Caller(Protocol):
    is_gone: bool

    def answer(self, answer: Answer) -> None: ...


class Waiting(NamedTuple):
    arrived: float
    work: Work
    caller: Caller


class WorkQueue:
    """`soon` calls back after the event loop has looked at its sockets."""

    def __init__(
        self, soon: Callable[[Callable[[], None]], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._soon = soon
        self._clock = clock
        self._fresh: deque[Waiting] = deque()
        self._started: deque[Waiting] = deque()
        self._is_scheduled = False

    def __len__(self) -> int:
        return len(self._fresh) + len(self._started)

    def put(self, work: Work, caller: Caller) -> None:
        if len(self._fresh) >= MAXIMUM_WAITING:
            caller.answer(shed(f"{len(self._fresh)} requests wait already"))
            return
        self._fresh.append(Waiting(self._clock(), work, caller))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._soon(self._step)

    def _step(self) -> None:
        """One slice of one request; fresh ones and those of many slices take turns."""
        if self._fresh and len(self._started) < MAXIMUM_STARTED:
            waiting = self._fresh.popleft()
            waited = self._clock() - waiting.arrived
            if waited > LONGEST_WAIT_SECONDS:
                waiting.caller.answer(shed(f"it waited {waited:.1f} s for its turn"))
            else:
                self._advance(waiting)
        if self._started:
            self._advance(self._started.popleft())
        self._is_scheduled = bool(self._fresh or self._started)
        if self._is_scheduled:
            self._soon(self._step)

    def _advance(self, waiting: Waiting) -> None:
        if waiting.caller.is_gone:  # nobody would read the answer
            return
        try:
            next(waiting.work)
        except StopIteration as end:
            waiting.caller.answer(end.value)
        except Exception as bug:  # whatever the model does wrong is not the caller's fault
            logger.exception("a prediction failed")
            waiting.caller.answer(json_answer(500, {"error": f"the model failed: {type(bug).__name__}"}))
        else:
            self._started.append(waiting)


def shed(reason: str) -> Answer:
    return json_answer(503, {"error": f"the request is not answered, {reason}; try again"}, RETRY_AFTER)
