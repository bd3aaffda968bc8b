"""An image that is the real one but for one more member of every answer; how a test's own image is written."""

import sys

from training_container import serve
from training_container.__main__ import main

answer_as_before = serve.answer


async def answer(send, status, body, headers=None):  # type: ignore[no-untyped-def]
    await answer_as_before(send, status, None if body is None else {**body, "loud": True}, headers)


if __name__ == "__main__":
    serve.answer = answer
    sys.exit(main(sys.argv[1:]))
