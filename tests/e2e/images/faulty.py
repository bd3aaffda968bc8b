"""The real image with a fault in its predictions, which FAULT in the package's environment names; UNREHEARSED=1 leaves
the container's own rehearsal out, so that the fault shows with real callers only."""

import os
import signal
import sys
import threading
import time

from training_container import serve
from training_container.__main__ import main
from training_container.predictor import Predictor

SLOW_SECONDS = 1.5
MOST_CALLERS = 3

answers_as_trained = Predictor.answers
callers = threading.Semaphore(MOST_CALLERS)


def slow(self, rows, **options):  # type: ignore[no-untyped-def]
    time.sleep(SLOW_SECONDS)
    return answers_as_trained(self, rows, **options)


def dies_under_load(self, rows, **options):  # type: ignore[no-untyped-def]
    """As the kernel ends a process whose memory is gone: at once and without a word."""
    if not callers.acquire(blocking=False):
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        time.sleep(0.05)
        return answers_as_trained(self, rows, **options)
    finally:
        callers.release()


FAULTS = {"slow": slow, "dies-under-load": dies_under_load, "none": answers_as_trained}

if __name__ == "__main__":
    Predictor.answers = FAULTS[os.environ["FAULT"]]  # type: ignore[method-assign]
    if os.environ.get("UNREHEARSED"):
        serve.rehearse = lambda *_, **__: None
    sys.exit(main(sys.argv[1:]))
