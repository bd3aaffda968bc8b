"""The limit of our own server: the same processes and the same HTTP, a handler that reads the body and answers a constant."""

from __future__ import annotations

import sys

from training_container.errors import Stopped
from training_container.serving.messages import Answer, Request, Work
from training_container.serving.workers import answer_until_stopped, listen


def constant(request: Request) -> Answer | Work:
    return _constant() if request.method == "POST" else Answer(200)


def _constant() -> Work:
    """By way of the queue, as a prediction goes."""
    yield from ()
    return Answer(200, b'{"predictions":[]}')


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    try:
        answer_until_stopped(constant, listen("127.0.0.1", port), workers=workers)
    except Stopped:
        return


if __name__ == "__main__":
    main()
