"""The adapter: routes, CORS, problem details and metrics on real API Gateway events."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from insights.schema import Insight
from lambdas.insight_writer import InsightWriter
from lambdas.predict import handler as adapter
from stacks.functions import METRICS_NAMESPACE

ORIGIN = "http://localhost:3000"
VARIABLES = {
    "INSIGHTS_TABLE_NAME": "insights",
    "PREDICTIONS_TABLE_NAME": "predictions",
    "RISK_ENDPOINT_NAME": "iops-risk-predictor",
    "PERFORMANCE_ENDPOINT_NAME": "iops-performance-predictor",
    "ALLOWED_ORIGINS": f"{ORIGIN},https://dashboard.example.com",
    "POWERTOOLS_SERVICE_NAME": "predict",
    "REQUESTS_TABLE_NAME": "requests",
    "CLIENT_REQUESTS_PER_MINUTE": "3000",
    "RISK_EXPERIMENT_PARAMETER": "/iops-insights/risk/experiment",
    "PERFORMANCE_EXPERIMENT_PARAMETER": "/iops-insights/performance/experiment",
}


class Runtime:
    """The SageMaker runtime: what each endpoint answers, or raises."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers: dict[str, Any] = {
            "iops-risk-predictor": {
                "risk_level": "low",
                "confidence": 0.9,
                "probabilities": {"low": 0.9, "medium": 0.1, "high": 0.0, "critical": 0.0},
                "contributions": [],
            },
            "iops-performance-predictor": {
                "performance_score": 81.5,
                "confidence": 0.8,
                "interval": {"lower": 71.5, "upper": 91.5, "level": 0.9},
                "contributions": [],
            },
        }

    def invoke_endpoint(self, *, EndpointName: str, **_: Any) -> dict[str, Any]:
        self.calls += 1
        answer = self.answers[EndpointName]
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(json.dumps({"predictions": [answer], "model_version": "arn"}).encode())}


@pytest.fixture
def runtime(cloud: Any, make_insight: Callable[..., Insight], monkeypatch: pytest.MonkeyPatch) -> Runtime:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    InsightWriter("insights", cloud.dynamodb).write(make_insight(interval=n) for n in range(12))
    fake = Runtime()
    clients = {"dynamodb": cloud.dynamodb, "sagemaker-runtime": fake}
    monkeypatch.setattr(adapter, "hurried_client", lambda service, **_: clients[service])
    monkeypatch.setattr(adapter, "parameter_value", lambda name: "off")
    adapter.api.cache_clear()
    return fake


@pytest.fixture
def call(runtime: Runtime, event: Any, context: Any) -> Callable[..., dict[str, Any]]:
    def send(body: Any = None, route: str = "/api/predict/risk", **changes: Any) -> dict[str, Any]:
        request = event("predict_api_gateway")
        request |= {"path": route, "resource": route}
        if body is not None:
            request["body"] = body if isinstance(body, str) else json.dumps(body)
        content_type = changes.pop("content_type", "application/json")
        origin = changes.pop("origin", ORIGIN)
        request["headers"] |= {"Content-Type": content_type, "Origin": origin}
        request["multiValueHeaders"] |= {"Content-Type": [content_type], "Origin": [origin]}
        answer: dict[str, Any] = adapter.handler(request | changes, context)
        return answer

    return send


def header(answer: dict[str, Any], name: str) -> str | None:
    values = answer["multiValueHeaders"].get(name)
    return values[0] if values else None


def test_the_risk_route_answers(call: Callable[..., dict[str, Any]]) -> None:
    answer = call()
    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert header(answer, "Content-Type") == "application/json"
    assert (body["kind"], body["risk_level"], body["device_id"]) == ("risk", "low", "nvme-1")


def test_the_performance_route_asks_the_other_endpoint(call: Callable[..., dict[str, Any]]) -> None:
    answer = call(route="/api/predict/performance")
    body = json.loads(answer["body"])
    assert (body["kind"], body["performance_score"]) == ("performance", 81.5)
    assert "#performance#" in body["prediction_id"]


def test_a_base64_body_is_read(call: Callable[..., dict[str, Any]]) -> None:
    encoded = base64.b64encode(b'{"device_id": "nvme-1"}').decode()
    assert call(encoded, isBase64Encoded=True)["statusCode"] == 200


@pytest.mark.parametrize(
    ("changes", "status", "name", "field"),
    [
        ({"body": {"device": "x"}}, 400, "invalid-request", "device"),
        ({"body": "{"}, 400, "invalid-request", "body"),
        ({"body": "/////w==", "isBase64Encoded": True}, 400, "invalid-request", "body"),
        ({"body": {"device_id": "nobody"}}, 404, "unknown-device", "device_id"),
        ({"route": "/api/predict/weather"}, 404, "unknown-route", None),
        ({"body": '"' + "x" * 1_100_000 + '"'}, 413, "body-too-large", None),
        ({"content_type": "text/csv"}, 415, "unsupported-media-type", "Content-Type"),
    ],
)
def test_a_refusal_is_a_problem_document_with_cors(
    call: Callable[..., dict[str, Any]], changes: dict[str, Any], status: int, name: str, field: str | None
) -> None:
    answer = call(**changes)
    problem = json.loads(answer["body"])
    assert answer["statusCode"] == problem["status"] == status
    assert problem["type"] == f"urn:iops-insights:problem:{name}"
    assert problem.get("field") == field
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == changes.get("route", "/api/predict/risk")
    assert header(answer, "Content-Type") == "application/problem+json"
    assert header(answer, "Access-Control-Allow-Origin") == ORIGIN


def test_too_few_insights_are_a_conflict(call: Callable[..., dict[str, Any]], make_insight: Any) -> None:
    answer = call({"insights": [make_insight().to_json()]})
    assert answer["statusCode"] == 409
    assert "at least 3 are needed" in json.loads(answer["body"])["detail"]


def test_an_endpoint_that_is_missing_is_a_503_that_says_when_to_ask_again(
    call: Callable[..., dict[str, Any]], runtime: Runtime, make_refusal: Any
) -> None:
    runtime.answers["iops-risk-predictor"] = make_refusal("ValidationError", "InvokeEndpoint")
    answer = call()
    assert answer["statusCode"] == 503
    assert header(answer, "Retry-After") == "300"
    assert header(answer, "Access-Control-Allow-Origin") == ORIGIN


def test_an_endpoint_that_rests_is_a_503_with_the_hour_of_return(
    call: Callable[..., dict[str, Any]], runtime: Runtime, make_refusal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_HOURS", "Mon-Fri 06:00-20:00")
    monkeypatch.setenv("SERVING_WINDOWS", "[[360, 1200], [1800, 2640], [3240, 4080], [4680, 5520], [6120, 6960]]")
    monkeypatch.setattr(adapter, "now", lambda: datetime(2026, 11, 24, 21, tzinfo=UTC))
    runtime.answers["iops-risk-predictor"] = make_refusal("ValidationError", "InvokeEndpoint")
    answer = call()
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], header(answer, "Retry-After")) == (503, str(9 * 3600))
    assert problem["type"] == "urn:iops-insights:problem:model-resting"
    assert problem["detail"] == ("the endpoints rest outside Mon-Fri 06:00-20:00 UTC and return at 2026-11-25T06:00Z")


def test_an_endpoint_that_serves_outside_its_hours_answers(
    call: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_HOURS", "Mon 06:00-20:00")
    monkeypatch.setenv("SERVING_WINDOWS", "[[360, 1200]]")
    monkeypatch.setattr(adapter, "now", lambda: datetime(2026, 11, 24, 21, tzinfo=UTC))
    assert call()["statusCode"] == 200


def test_a_bug_is_a_500_without_a_trace(
    call: Callable[..., dict[str, Any]], runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.answers["iops-risk-predictor"] = ZeroDivisionError("secret detail")
    answer = call()
    assert answer["statusCode"] == 500
    assert header(answer, "Content-Type") == "application/problem+json"
    assert "secret" not in answer["body"]
    assert "Traceback" not in answer["body"]
    assert header(answer, "Access-Control-Allow-Origin") == ORIGIN


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (ORIGIN, ORIGIN),
        ("https://dashboard.example.com", "https://dashboard.example.com"),
        ("https://evil.example.com", None),
    ],
)
def test_only_the_configured_origins_are_allowed(
    call: Callable[..., dict[str, Any]], origin: str, allowed: str | None
) -> None:
    assert header(call(origin=origin), "Access-Control-Allow-Origin") == allowed


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"CloudWatchMetrics"' in line]
    found: dict[str, Any] = lines[-1]
    return found


def test_each_request_leaves_its_metrics_in_the_apps_namespace(
    call: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    call()
    record = emitted(capsys)
    (definition,) = record["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == METRICS_NAMESPACE
    assert "Kind" in definition["Dimensions"][0]
    assert record["Kind"] == "risk"
    assert record["Requests"] == record["Predictions"] == [1.0]
    call({"device_id": "nobody"})
    refused = emitted(capsys)
    assert (refused["RequestsRefused"], refused["Kind"]) == ([1.0], "risk")


def test_items_are_counted_each_as_a_request_of_the_client(call: Callable[..., dict[str, Any]], cloud: Any) -> None:
    call({"items": [{"device_id": "nobody"}] * 30})
    (counted,) = cloud.dynamodb.scan(TableName="requests")["Items"]
    assert counted["taken"] == {"N": "30"}
    assert counted["client_minute"]["S"].startswith("3n4b5urk1ft4fl3mg5e62d9ado#")


def test_a_client_that_has_used_up_its_minute_is_told_when_to_ask_again(
    call: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_REQUESTS_PER_MINUTE", "20")
    adapter.api.cache_clear()
    answer = call({"items": [{"device_id": "nobody"}] * 30})
    assert answer["statusCode"] == 429
    assert 1 <= int(header(answer, "Retry-After") or 0) <= 60


@pytest.mark.parametrize("claims", [{}, {"client_id": "a", "scope": "iops/read openid"}, {"scope": "iops/predict"}])
def test_a_token_without_the_scope_is_refused_even_behind_the_gateway(
    call: Callable[..., dict[str, Any]], event: Any, claims: dict[str, str]
) -> None:
    context = event("predict_api_gateway")["requestContext"] | {"authorizer": {"claims": claims}}
    answer = call(requestContext=context)
    assert answer["statusCode"] == 403
    assert "iops/predict" in json.loads(answer["body"])["detail"]


def test_an_endpoint_that_stays_down_is_answered_for_without_being_asked(
    call: Callable[..., dict[str, Any]], runtime: Runtime, make_refusal: Any
) -> None:
    runtime.answers["iops-risk-predictor"] = make_refusal("ServiceUnavailable", "InvokeEndpoint")
    for _ in range(3):
        assert call()["statusCode"] == 503
    asked = runtime.calls
    answer = call()
    assert (answer["statusCode"], runtime.calls) == (503, asked)
    assert 1 <= int(header(answer, "Retry-After") or 0) <= 5
    assert call(route="/api/predict/performance")["statusCode"] == 200


@pytest.mark.parametrize(("waited_seconds", "reads"), [(0.0, [0.75, 0.75]), (1.0, [0.4]), (20.0, [0.4])])
def test_a_caller_who_has_waited_for_a_cold_start_waits_less_for_a_silent_endpoint(
    runtime: Runtime,
    call: Callable[..., dict[str, Any]],
    event: Any,
    cloud: Any,
    monkeypatch: pytest.MonkeyPatch,
    waited_seconds: float,
    reads: list[float],
) -> None:
    """Counted from API Gateway's own clock: without it, a first call would be heard of after 3 s."""
    runtime.answers["iops-risk-predictor"] = ReadTimeoutError(endpoint_url="https://runtime")
    given: list[float] = []

    def client(service: str, *, read_timeout_seconds: float, **_: Any) -> Any:
        if service == "dynamodb":
            return cloud.dynamodb
        given.append(read_timeout_seconds)
        return runtime

    monkeypatch.setattr(adapter, "hurried_client", client)
    received = {"requestTimeEpoch": int((time.time() - waited_seconds) * 1000)}
    answer = call(requestContext=event("predict_api_gateway")["requestContext"] | received)

    assert answer["statusCode"] == 503
    assert header(answer, "Retry-After") == "5"
    assert given == reads
