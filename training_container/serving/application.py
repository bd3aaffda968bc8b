"""What the server answers: GET /ping, and POST /invocations with the model's predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from training_container.invocations import SLICE_ROWS, InvalidRequest, read_rows
from training_container.predictor import Answers
from training_container.serving.messages import Answer, Request, Work, json_answer

PING: Final = ("GET", "/ping")
INVOCATIONS: Final = ("POST", "/invocations")

_encoded: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class Application:
    """The handler of the routes; `mismatch` says why /ping is red, empty when it is green."""

    def __init__(self, answers: Answers, *, model_version: str, mismatch: str = "") -> None:
        self._answers = answers
        self._end = b'],"model_version":%b}' % _encoded(model_version)
        self._mismatch = mismatch

    def __call__(self, request: Request) -> Answer | Work:
        route = (request.method, request.path)
        if route == INVOCATIONS:
            if self._mismatch:  # no caller meets a wrong model
                return json_answer(503, {"error": f"the model is not served: {self._mismatch}"})
            return self._predictions(request)
        if route == PING:
            return json_answer(503, {"error": self._mismatch}) if self._mismatch else Answer(200)
        return json_answer(404, {"error": f"{route[0]} {route[1]}: give GET /ping or POST /invocations"})

    def _predictions(self, request: Request) -> Work:
        try:
            rows = yield from read_rows(request.content_type, request.body)
        except InvalidRequest as refused:
            return json_answer(refused.status, {"error": str(refused)})
        parts = [self._slice(rows[:SLICE_ROWS])]
        for begin in range(SLICE_ROWS, len(rows), SLICE_ROWS):
            yield
            parts.append(self._slice(rows[begin : begin + SLICE_ROWS]))
        return Answer(200, b'{"predictions":[%b%b' % (b",".join(parts), self._end))

    def _slice(self, rows: Any) -> bytes:
        """The answers of some rows without the brackets of their list."""
        return _encoded(self._answers(rows))[1:-1]
