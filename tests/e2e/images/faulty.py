"""The real image with a fault in its predictions, which FAULT in the package's environment names; UNREHEARSED=1 leaves
the container's own rehearsal out, so that the fault shows with real callers only."""

import os
import signal
import sys
import time
from collections import deque

from training_container import serve
from training_container.__main__ import main
from training_container.predictor import Predictor

SLOW_SECONDS = 0.8
"""Above the alarm's 500 ms, and two callers still wait for less than the second after which the server sheds."""
MOST_A_SECOND = 25

answers_as_trained = Predictor.answers
asked: deque[float] = deque(maxlen=MOST_A_SECOND)


def slow(self, rows, **options):  # type: ignore[no-untyped-def]
    time.sleep(SLOW_SECONDS)
    return answers_as_trained(self, rows, **options)


def dies_under_load(self, rows, **options):  # type: ignore[no-untyped-def]
    """As the kernel ends a process whose memory is gone: at once and without a word."""
    if len(asked) == MOST_A_SECOND and time.monotonic() - asked[0] < 1:
        os.kill(os.getpid(), signal.SIGKILL)
    asked.append(time.monotonic())
    return answers_as_trained(self, rows, **options)


FAULTS = {"slow": slow, "dies-under-load": dies_under_load, "none": answers_as_trained}

if __name__ == "__main__":
    Predictor.answers = FAULTS[os.environ["FAULT"]]  # type: ignore[method-assign]
    if os.environ.get("UNREHEARSED"):
        serve.rehearse = lambda *_, **__: None
    sys.exit(main(sys.argv[1:]))
