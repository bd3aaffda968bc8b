"""The real image, whose answer to a single row is no prediction; its golden rows, which are many, it answers rightly."""

import sys

from training_container import serve
from training_container.__main__ import main
from training_container.serving.answers import answers_of


def garbling(predictor):  # type: ignore[no-untyped-def]
    answers = answers_of(predictor)
    return lambda rows: [{"risk_level": "dire"}] if len(rows) == 1 else answers(rows)


if __name__ == "__main__":
    serve.answers_of = garbling
    serve.rehearse = lambda *_, **__: None  # which asks row by row
    sys.exit(main(sys.argv[1:]))
