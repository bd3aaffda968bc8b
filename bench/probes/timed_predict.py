"""predict's handler timed inside its Lambda: the bench puts this module into the root of predict's bundle.

The answer's Server-Timing header holds, as JSON, the milliseconds of the handler, of its processor time, and of each
request that it sent, by what it asked; `waited` is the time in which at least one of them was on its way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody

from lambdas.predict.handler import handler as predict

ROUTE = "/api/predict/risk"
Span = tuple[str, float, float]
_spans: list[Span] = []


def timed(call: Callable[..., Any], name_of: Callable[[Any], str]) -> Callable[..., Any]:
    def timing(self: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(self, *arguments)
        finally:
            _spans.append((name_of(*arguments[:1]), started, time.perf_counter()))

    return timing


def asked(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"")
    action = (target.decode() if isinstance(target, bytes) else str(target)).rpartition(".")[2] or "InvokeEndpoint"
    return "QueryLastAlert" if b"IndexName" in (request.body or b"") and action == "Query" else action


URLLib3Session.send = timed(URLLib3Session.send, asked)
StreamingBody.read = timed(StreamingBody.read, lambda *_: "InvokeEndpoint")


def union(spans: list[Span]) -> float:
    """The seconds that lie in at least one span."""
    total, end = 0.0, 0.0
    for _, begin, finish in sorted(spans, key=lambda span: span[1]):
        total += max(0.0, finish - max(begin, end))
        end = max(end, finish)
    return total


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    _spans.clear()
    processor, started = time.process_time(), time.perf_counter()
    answer = predict({**event, "path": ROUTE}, context)
    whole = time.perf_counter() - started
    times = {"handler": whole, "processor": time.process_time() - processor, "waited": union(_spans)}
    for name, begin, end in _spans:
        times[name] = times.get(name, 0.0) + end - begin
    text = json.dumps({name: 1000 * seconds for name, seconds in times.items()})
    answer["multiValueHeaders"]["Server-Timing"] = [text]
    return answer
