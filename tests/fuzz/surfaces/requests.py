"""What callers send: bodies and queries of the API, invocations and bare HTTP of the container."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from insights.feature_table import FEATURES
from lambdas.api.bodies import body_of
from lambdas.api.paging import last_key_of, question, token_of
from lambdas.api.problems import Problem
from lambdas.api.queries import check_names, choice_of, device_id_of, limit_of, time_range_of
from lambdas.give_feedback.give_feedback import parse_feedback
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.request import parse_body
from tests.fuzz.surfaces.insight_formats import ROWS
from tests.fuzz.target import NotJson, Target, check_sentence, json_seeds, parsed, texts
from training_container.serving.application import Application
from training_container.serving.http_connection import Connection, Site
from training_container.serving.messages import Answer, Request

PREDICTION = {
    "risk_level": "high",
    "probabilities": {"low": 0.1, "medium": 0.2, "high": 0.6, "critical": 0.1},
    "confidence": 0.6,
    "contributions": [{"feature": "p99_latency", "value": None, "contribution": 0.25}],
}
RECORDS = [insight.to_json() for insight in ROWS]
ASKED = question("/api/predictions", {"device_id": "a"})


def api_body(data: bytes) -> Any:
    """As the proxy event brings it: text, or base64 where the gateway took it for binary."""
    event = {
        "headers": {"Content-Type": "application/json"},
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }
    return body_of(APIGatewayProxyEvent(event))


def predict_body(data: bytes) -> None:
    read = parse_body(api_body(data))
    for item in read if isinstance(read, list) else ():
        if isinstance(item, Problem):
            _check_problem(item)


def feedback_body(data: bytes) -> None:
    parse_feedback(api_body(data))


def raw_event(data: bytes) -> None:
    """The event's own oddities: headers, the encoding, no body."""
    event = parsed(data)
    if not isinstance(event, dict) or not isinstance(event.get("body"), str | None):
        raise NotJson("API Gateway gives a text or null as the body")
    headers = event.get("headers")
    headers = (
        {name: value for name, value in (headers or {}).items() if isinstance(value, str)}
        if isinstance(headers, dict)
        else None
    )
    body_of(APIGatewayProxyEvent({**event, "headers": headers}))


def query(data: bytes) -> None:
    given = texts(data)
    check_names(given, ("device_id", "kind", "from", "to", "limit", "next"))
    device_id_of(given)
    choice_of(given, "kind", ("risk", "performance"))
    limit_of(given, most=100, default=20)
    time_range_of(given)
    last_key_of(given, asked=ASKED)


def model_answer(data: bytes) -> None:
    """What the endpoint says is outside input too: the container may be of another version."""
    endpoint = ModelEndpoint("iops-risk-predictor", lambda _: _Runtime(data), lambda: 10.0)
    answer = endpoint.ask("risk", ["{}"])
    json.dumps(answer.predictions, allow_nan=False)


class _Runtime:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.data)}


def _check_problem(problem: Problem) -> None:
    check_sentence(problem.detail)
    json.loads(problem.to_json("/api/predict/risk"))


class Refused(Exception):
    """An answer of the container that is no 200."""


def _invoked(content_type: str, body: bytes) -> Answer:
    application = Application(lambda rows: [{"rows": float(rows[0, 0] != rows[0, 0])}] * len(rows), model_version="v")
    working = application(Request("POST", "/invocations", content_type, body))
    assert not isinstance(working, Answer)
    while True:
        try:
            next(working)
        except StopIteration as ended:
            return ended.value


def invocations(content_type: str, body: bytes) -> None:
    answer = _invoked(content_type, body)
    told = json.loads(answer.body)
    if answer.status == 200:
        assert told["predictions"]
        return
    assert answer.status in (400, 413, 415), answer
    raise Refused(told["error"])


class _Transport:
    def __init__(self) -> None:
        self.written, self.closed = bytearray(), False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _Loop:
    def time(self) -> float:
        return 0.0

    def call_later(self, *_: Any) -> None: ...
    def call_soon(self, *_: Any) -> None: ...


def http(data: bytes) -> None:
    """In two pieces, as a network cuts it."""
    connection, transport = Connection(Site(lambda _: Answer(200, b"{}"), _Loop())), _Transport()  # type: ignore[arg-type]
    connection.connection_made(transport)  # type: ignore[arg-type]
    cut = data[0] if data else 0
    for part in (data[1 : 1 + cut], data[1 + cut :]):
        if not transport.closed:
            connection.data_received(part)
    assert not transport.written or transport.written.startswith(b"HTTP/1.1 "), transport.written[:80]


_CSV = ",".join("1" if feature.minimum <= 1 <= feature.maximum else "" for feature in FEATURES).encode()
_HEADER = ",".join(feature.name for feature in FEATURES).encode()
_QUERY = {"device_id": "a", "kind": "risk", "limit": "5", "next": token_of("2026#1", asked=ASKED)}
_FEEDBACK = {
    "device_id": "a",
    "prediction_id": "2026-03-02T11:00:00.000Z#1",
    "risk_level": "high",
    "performance_score": 3,
    "comment": "c",
}
_PROBLEMS = (Problem, NotJson)
TARGETS = (
    Target(
        "api_predict",
        predict_body,
        _PROBLEMS,
        json_seeds(
            [
                {"device_id": "a"},
                {"insights": RECORDS, "last_alert_at": "2026-01-01T00:00:00Z"},
                {"items": [{"device_id": "a"}, {"insights": RECORDS[:1]}]},
            ]
        ),
    ),
    Target("api_feedback", feedback_body, _PROBLEMS, json_seeds([_FEEDBACK])),
    Target(
        "api_event",
        raw_event,
        _PROBLEMS,
        json_seeds(
            [
                {
                    "headers": {"Content-Type": 'application/json; charset="utf-8"'},
                    "body": "{}",
                    "isBase64Encoded": False,
                },
                {"headers": None, "body": "e30=", "isBase64Encoded": True},
            ]
        ),
    ),
    Target(
        "api_query",
        query,
        _PROBLEMS,
        json_seeds([_QUERY, {"device_id": "a", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00+01:00"}]),
    ),
    Target(
        "model_answer", model_answer, (Problem,), json_seeds([{"predictions": [PREDICTION], "model_version": "arn"}])
    ),
    Target(
        "invocations_json",
        lambda data: invocations("application/json", data),
        (Refused,),
        json_seeds([{"instances": [{"insights": RECORDS, "last_alert_at": None}]}, {"insights": RECORDS}]),
    ),
    Target(
        "invocations_csv",
        lambda data: invocations("text/csv", data),
        (Refused,),
        (_CSV, _HEADER + b"\n" + _CSV),
        is_json=False,
    ),
    Target(
        "http",
        http,
        (),
        (
            b"\x20POST /invocations HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\n1,2GET / HTTP/1.1\r\n\r\n",
            b"\x01GET /ping HTTP/1.1\r\nExpect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            b"\x08POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        is_json=False,
    ),
)
