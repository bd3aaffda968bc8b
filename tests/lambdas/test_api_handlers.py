"""The adapters of reading, feedback and models, on real API Gateway events."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from lambdas.api.bodies import read_body
from lambdas.api.problems import InvalidRequest, UnsupportedMediaType
from lambdas.attribute_values import to_item
from lambdas.describe_models import handler as models_adapter
from lambdas.give_feedback import handler as feedback_adapter
from lambdas.read_fleet import handler as fleet_adapter
from lambdas.track_devices import handler as tracking_adapter

ORIGIN = "http://localhost:3000"
VARIABLES = {
    "INSIGHTS_TABLE_NAME": "insights",
    "PREDICTIONS_TABLE_NAME": "predictions",
    "DEVICES_TABLE_NAME": "devices",
    "REQUESTS_TABLE_NAME": "requests",
    "CLIENT_REQUESTS_PER_MINUTE": "3000",
    "RISK_ENDPOINT_NAME": "iops-risk-predictor",
    "PERFORMANCE_ENDPOINT_NAME": "iops-performance-predictor",
    "RISK_LIVE_PACKAGE_PARAMETER": "/iops-insights/risk/live-package",
    "PERFORMANCE_LIVE_PACKAGE_PARAMETER": "/iops-insights/performance/live-package",
    "BUCKET_NAME": "bucket",
    "ALLOWED_ORIGINS": ORIGIN,
}
PREDICTED = {"kind": "risk", "risk_level": "high", "as_of": "2026-03-02T11:00:00.000Z"}
PREDICTION_ID = "2026-03-02T11:01:02.345Z#risk#0a1b2c3d"


class Absent:
    """A SageMaker without endpoints."""

    def __init__(self, make_refusal: Any) -> None:
        self.make_refusal = make_refusal

    def describe_endpoint(self, **_: Any) -> Any:
        raise self.make_refusal("ValidationException", "DescribeEndpoint")


class Unnoted:
    """An SSM without the notes of the endpoint stacks."""

    def __init__(self, make_refusal: Any) -> None:
        self.make_refusal = make_refusal

    def get_parameter(self, **_: Any) -> Any:
        raise self.make_refusal("ParameterNotFound", "GetParameter")


class Unreachable:
    def __getattr__(self, name: str) -> Any:
        def unreachable(**_: Any) -> Any:
            raise ConnectTimeoutError(endpoint_url="https://dynamodb")

        return unreachable


Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(
    cloud: Any, event: Any, context: Any, make_refusal: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """A request to an adapter; `dynamodb` replaces the tables."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)

    def send(adapter: ModuleType, method: str, path: str, *, dynamodb: Any = None, **changes: Any) -> dict[str, Any]:
        clients = {
            "dynamodb": dynamodb or cloud.dynamodb,
            "sagemaker": Absent(make_refusal),
            "ssm": Unnoted(make_refusal),
        }
        monkeypatch.setattr(adapter, "hurried_client", lambda service, **_: clients[service])
        adapter.api.cache_clear()
        request = event("predict_api_gateway") | {"path": path, "resource": path, "httpMethod": method}
        answer: dict[str, Any] = adapter.handler(request | changes, context)
        adapter.api.cache_clear()
        return answer | {"json": json.loads(answer["body"])}

    return send


def test_devices_insights_and_predictions_are_read(call: Call, stored: Any) -> None:
    for name, query in (("devices", {}), ("insights", {"device_id": "nvme-1"}), ("predictions", {"device_id": "a"})):
        answer = call(fleet_adapter, "GET", f"/api/{name}", queryStringParameters=query)
        assert answer["statusCode"] == 200
        assert set(answer["json"]) == {name, "next"}
        assert answer["multiValueHeaders"]["Access-Control-Allow-Origin"] == [ORIGIN]


def test_a_parameter_given_twice_is_refused(call: Call) -> None:
    query = {"multiValueQueryStringParameters": {"device_id": ["a", "b"]}, "queryStringParameters": {"device_id": "b"}}
    answer = call(fleet_adapter, "GET", "/api/insights", **query)
    assert (answer["statusCode"], answer["json"]["field"]) == (400, "device_id")


def test_a_store_that_does_not_answer_is_a_503_with_a_time(call: Call) -> None:
    answer = call(fleet_adapter, "GET", "/api/devices", dynamodb=Unreachable())
    assert (answer["statusCode"], answer["json"]["type"]) == (503, "urn:iops-insights:problem:store-unavailable")
    assert answer["multiValueHeaders"]["Retry-After"] == ["2"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 503),
        ("InternalServerError", 503),
        ("InternalFailure", 503),
        ("ServiceUnavailable", 503),
        ("AccessDeniedException", 500),
    ],
)
def test_a_store_that_is_throttled_or_ill_is_told_from_a_wrong_deployment(
    call: Call, make_refusal: Any, code: str, status: int
) -> None:
    class Refusing:
        def scan(self, **_: Any) -> Any:
            raise make_refusal(code, "Scan")

        def update_item(self, **_: Any) -> Any:
            return {"Attributes": {"taken": {"N": "10"}}}

    assert call(fleet_adapter, "GET", "/api/devices", dynamodb=Refusing())["statusCode"] == status


def test_feedback_is_given_in_the_name_of_the_tokens_user(call: Call, cloud: Any) -> None:
    item = {"device_id": "nvme-1", "predicted_at_id": PREDICTION_ID, **PREDICTED}
    cloud.dynamodb.put_item(TableName="predictions", Item=to_item(item))
    body = json.dumps({"device_id": "nvme-1", "prediction_id": PREDICTION_ID, "risk_level": "low"})
    answer = call(feedback_adapter, "POST", "/api/feedback", body=body)
    assert answer["statusCode"] == 200
    assert answer["json"]["given_by"] == "operator@example.com"


def test_a_service_gives_feedback_as_its_client(call: Call, cloud: Any, event: Any) -> None:
    item = {"device_id": "nvme-1", "predicted_at_id": PREDICTION_ID, **PREDICTED}
    cloud.dynamodb.put_item(TableName="predictions", Item=to_item(item))
    body = json.dumps({"device_id": "nvme-1", "prediction_id": PREDICTION_ID, "risk_level": "low"})
    claims = {"client_id": "a-service", "scope": "iops/feedback"}
    asked_by = event("predict_api_gateway")["requestContext"] | {"authorizer": {"claims": claims}}
    answer = call(feedback_adapter, "POST", "/api/feedback", body=body, requestContext=asked_by)
    assert answer["json"]["given_by"] == "a-service"


def test_health_without_models_is_a_503_that_says_which_and_needs_no_token(call: Call) -> None:
    answer = call(models_adapter, "GET", "/api/health", requestContext={"requestId": "1", "authorizer": None})
    assert answer["statusCode"] == 503
    absent = {"risk": "absent", "performance": "absent"}
    assert answer["json"] == {"status": "degraded", "models": absent, "returns_at": None}
    assert answer["multiValueHeaders"]["Retry-After"] == ["30"]
    assert call(models_adapter, "GET", "/api/models")["json"]["models"][0]["status"] == "absent"


def test_log_lines_carry_the_requests_id_of_the_gateway(call: Call) -> None:
    for adapter, method, path in (
        (fleet_adapter, "GET", "/api/devices"),
        (feedback_adapter, "POST", "/api/feedback"),
        (models_adapter, "GET", "/api/models"),
    ):
        call(adapter, method, path)
        assert adapter.logger.get_correlation_id() == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def test_the_streams_records_reach_the_devices_table(cloud: Any, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICES_TABLE_NAME", "devices")
    monkeypatch.setattr(tracking_adapter, "client", lambda _: cloud.dynamodb)
    tracking_adapter.environment.cache_clear()
    image = to_item({"device_id": "a", "timestamp": "2026-03-02T10:00:00.000Z", "read_iops": 5.0})
    record = {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "1", "NewImage": image}}
    assert tracking_adapter.handler({"Records": [record]}, context) == {"batchItemFailures": []}
    assert len(cloud.dynamodb.scan(TableName="devices")["Items"]) == 1


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", '"utf-8"', "us-ascii"])
def test_a_body_of_json_in_utf_8_is_read(charset: str) -> None:
    assert read_body("{}", f"application/json; charset={charset}") == {}
    assert read_body("{}", "application/problem+json") == {}


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", ""])
def test_another_charset_is_refused(charset: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_body("{}", f"application/json; charset={charset}")


def test_what_the_gateway_could_not_decode_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        read_body('{"device_id": "\ufffd"}', "application/json")
