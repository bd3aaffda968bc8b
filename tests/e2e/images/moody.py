"""The real image with the fault that the file FAULT_FILE names at that moment, as an endpoint falls ill and gets well again.

What the server asks itself while it starts it answers rightly in any mood.
"""

import os
import signal
import sys
import time
from pathlib import Path

from training_container import serve
from training_container.__main__ import main
from training_container.serving import application
from training_container.serving.answers import answers_of
from training_container.serving.work_queue import shed

SLOW_SECONDS = 20.0
FILE = Path(os.environ["FAULT_FILE"])


def slow(answers, rows):  # type: ignore[no-untyped-def]
    """The whole process, as one that waits for memory or a lock; it ends early once it is well, or the test would wait."""
    deadline = time.monotonic() + SLOW_SECONDS
    while FILE.read_text() == "slow" and time.monotonic() < deadline:
        time.sleep(0.05)
    return answers(rows)


def stopped(answers, rows):  # type: ignore[no-untyped-def]
    os.kill(os.getpid(), signal.SIGKILL)


def garbling(answers, rows):  # type: ignore[no-untyped-def]
    return [{"risk_level": "dire"} for _ in rows]


FAULTS = {"slow": slow, "stopped": stopped, "garbling": garbling}


def moody(predictor):  # type: ignore[no-untyped-def]
    answers, is_started = answers_of(predictor), False

    def answered(rows):  # type: ignore[no-untyped-def]
        nonlocal is_started
        fault = FAULTS.get(FILE.read_text()) if is_started else None
        is_started = True
        return fault(answers, rows) if fault else answers(rows)

    return answered


class Shedding(application.Application):
    """503 as its queue answers when it is full."""

    def _predictions(self, request):  # type: ignore[no-untyped-def]
        if FILE.read_text() == "shedding":
            return shed("64 requests wait already")
        return (yield from super()._predictions(request))


if __name__ == "__main__":
    serve.answers_of = moody
    serve.Application = Shedding
    serve.rehearse = lambda *_, **__: None
    sys.exit(main(sys.argv[1:]))
