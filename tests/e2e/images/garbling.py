"""The real image, whose answer to a single row is no prediction; its golden rows, which are many, it answers rightly."""

import sys

from training_container import serve
from training_container.__main__ import main

answer_as_before = serve.answer


async def answer(send, status, body, headers=None):  # type: ignore[no-untyped-def]
    if body is not None and len(body.get("predictions", [])) == 1:
        body = {**body, "predictions": [{"risk_level": "dire"}]}
    await answer_as_before(send, status, body, headers)


if __name__ == "__main__":
    serve.answer = answer
    sys.exit(main(sys.argv[1:]))
