"""The real image with a fault in its predictions, which FAULT in the package's environment names; UNREHEARSED=1 leaves
the container's own rehearsal out, so that the fault shows with real callers only."""

import os
import signal
import sys
import time
from collections import deque

from training_container import serve
from training_container.__main__ import main
from training_container.serving.answers import answers_of

SLOW_SECONDS = 0.8
"""Above the alarm's 500 ms, and two callers still wait for less than the second after which the server sheds."""
MOST_A_SECOND = 25

asked: deque[float] = deque(maxlen=MOST_A_SECOND)


def slow():  # type: ignore[no-untyped-def]
    time.sleep(SLOW_SECONDS)


def dies_under_load():  # type: ignore[no-untyped-def]
    """As the kernel ends a process whose memory is gone: at once and without a word."""
    if len(asked) == MOST_A_SECOND and time.monotonic() - asked[0] < 1:
        os.kill(os.getpid(), signal.SIGKILL)
    asked.append(time.monotonic())


FAULTS = {"slow": slow, "dies-under-load": dies_under_load, "none": lambda: None}


def with_fault(predictor):  # type: ignore[no-untyped-def]
    """What the server asks for its answers, once the fault has shown itself."""
    fault, answers = FAULTS[os.environ["FAULT"]], answers_of(predictor)

    def faulty(rows):  # type: ignore[no-untyped-def]
        fault()
        return answers(rows)

    return faulty


if __name__ == "__main__":
    serve.answers_of = with_fault
    if os.environ.get("UNREHEARSED"):
        serve.rehearse = lambda *_, **__: None
    sys.exit(main(sys.argv[1:]))
