from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from insights.schema import Insight
from lambdas.api.bodies import read_body
from lambdas.api.problems import (
    BodyTooLarge,
    InvalidRequest,
    ModelFailed,
    ModelUnavailable,
    TelemetryUnavailable,
    TooFewInsights,
    UnknownDevice,
    UnsupportedMediaType,
)
from lambdas.ingest_insights.writer import InsightWriter
from lambdas.predict.asking_again import READ_SECONDS
from lambdas.predict.circuit import Circuit
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predict import NOT_STORED, Parts, predict, predict_items
from lambdas.predict.predictions import Predictions
from lambdas.predict.request import parse_body
from lambdas.predict.telemetry import Telemetry
from lambdas.throttling import Backoff

NOW = datetime(2026, 3, 2, 11, 1, 2, 345000, tzinfo=UTC)
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3"
PREDICTION = {
    "risk_level": "high",
    "probabilities": {"low": 0.1, "medium": 0.2, "high": 0.6, "critical": 0.1},
    "confidence": 0.6,
    "contributions": [{"feature": "p99_latency", "value": None, "contribution": 0.25}],
}
EXPLAINED = [
    {
        "feature": "p99_latency",
        "value": None,
        "contribution": 0.25,
        "unit": "ms",
        "usual": None,
        "direction": "for",
    }
]
NO_WAIT = Backoff(attempts=2, sleep=lambda _: None)
MakeInsight = Callable[..., Insight]


def told(*predictions: dict[str, Any]) -> bytes:
    return json.dumps({"predictions": predictions, "model_version": PACKAGE}).encode()


class Model:
    """The SageMaker runtime in front of a model that always answers the same, or fails as it is told."""

    def __init__(self, answer: bytes | None = None, error: Exception | None = None) -> None:
        self.answer = answer or told(PREDICTION)
        self.error = error
        self.requests: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self.error:
            raise self.error
        return {"Body": io.BytesIO(self.answer), "InvokedProductionVariant": "live"}

    @property
    def instance(self) -> dict[str, Any]:
        (request,) = self.requests
        (instance,) = json.loads(request["Body"])["instances"]
        found: dict[str, Any] = instance
        return found


class Clock:
    """Time that passes only by sleeping, and by `call_seconds` for each call of a flaky model."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class FlakyModel(Model):
    """Fails as listed, each time after `call_seconds`, then answers."""

    def __init__(self, clock: Clock, *errors: Exception, call_seconds: float = 0.0) -> None:
        super().__init__()
        self.clock = clock
        self.errors = list(errors)
        self.call_seconds = call_seconds

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.clock.now += self.call_seconds
        self.error = self.errors.pop(0) if self.errors else None
        return super().invoke_endpoint(**request)


class Refusing:
    """A DynamoDB client of which one operation fails."""

    def __init__(self, client: Any, operation: str, error: Exception) -> None:
        self.client = client
        self.operation = operation
        self.error = error

    def __getattr__(self, name: str) -> Any:
        if name == self.operation:
            return self._refuse
        return getattr(self.client, name)

    def _refuse(self, **_: Any) -> Any:
        raise self.error


def asked(
    cloud: Any,
    body: object,
    model: Model,
    *,
    dynamodb: Any = None,
    kind: str = "risk",
    clock: Clock | None = None,
    remaining_seconds: float = 20.0,
    suffixes: Callable[[], str] = lambda: "0a1b2c3d",
) -> dict[str, Any]:
    table, clock = dynamodb or cloud.dynamodb, clock or Clock()
    parts = Parts(
        telemetry=Telemetry("insights", "last-alert", table),
        endpoint=ModelEndpoint(
            "iops-risk-predictor",
            model,
            remaining_seconds=lambda: remaining_seconds,
            sleep=clock.sleep,
            fraction=lambda: 0.5,
            clock=lambda: clock.now,
        ),
        predictions=Predictions("predictions", 30, table, NO_WAIT),
        circuit=Circuit(clock=lambda: clock.now),
        now=lambda: NOW,
        new_suffix=suffixes,
    )
    request = parse_body(body)
    if isinstance(request, list):
        return {"results": predict_items(kind, request, parts=parts, instance="/api/predict/risk")}
    return predict(kind, request, parts=parts)


@pytest.fixture
def stored(cloud: Any, make_insight: MakeInsight) -> list[Insight]:
    """Twenty rows of nvme-1 in a row, and three of hdd-2."""
    rows = [make_insight("nvme-1", n) for n in range(20)] + [make_insight("hdd-2", n) for n in range(3)]
    InsightWriter("insights", cloud.dynamodb).write(rows)
    return rows


def put(cloud: Any, *insights: Insight) -> None:
    InsightWriter("insights", cloud.dynamodb).write(insights)


def sent_times(model: Model) -> list[str]:
    return [row["timestamp"][11:16] for row in model.instance["insights"]]


def test_a_stored_device_is_answered_from_its_newest_twelve_rows(cloud: Any, stored: list[Insight]) -> None:
    model = Model()
    answer = asked(cloud, {"device_id": "nvme-1"}, model)
    assert len(answer.pop("window_sha256")) == 64
    assert answer == {
        "device_id": "nvme-1",
        "kind": "risk",
        "as_of": "2026-03-02T11:35:00.000Z",
        "predicted_at": "2026-03-02T11:01:02.345Z",
        **PREDICTION,
        "contributions": EXPLAINED,
        "explanation": ["p99 latency is not known: speaks for high risk."],
        "model_version": PACKAGE,
        "variant": "live",
        "prediction_id": "2026-03-02T11:01:02.345Z#risk#0a1b2c3d",
        "warnings": [],
    }
    assert model.requests[0]["EndpointName"] == "iops-risk-predictor"
    assert model.instance == {
        "insights": [row.to_json() for row in stored[8:20]],
        "last_alert_at": None,
    }


def test_the_prediction_is_stored_with_its_expiry(cloud: Any, stored: list[Insight]) -> None:
    asked(cloud, {"device_id": "nvme-1"}, Model())
    (item,) = cloud.dynamodb.scan(TableName="predictions")["Items"]
    assert item["device_id"] == {"S": "nvme-1"}
    assert item["predicted_at_id"] == {"S": "2026-03-02T11:01:02.345Z#risk#0a1b2c3d"}
    assert item["probabilities"]["M"]["high"] == {"N": "0.6"}
    assert item["contributions"]["L"][0]["M"]["value"] == {"NULL": True}
    assert item["expires_at"] == {"N": str(int((NOW + timedelta(days=30)).timestamp()))}
    assert "prediction_id" not in item


def test_a_gap_shortens_the_window_and_is_told(cloud: Any, make_insight: MakeInsight) -> None:
    put(cloud, *[make_insight(interval=n) for n in (0, 1, 2, 20, 21, 30)])
    model = Model()
    answer = asked(cloud, {"device_id": "nvme-1"}, model)
    assert sent_times(model) == ["11:40", "11:45", "12:30"]
    assert answer["warnings"] == ["3 of the 12 insights of a full window are known"]


def test_rows_closer_than_the_interval_are_all_within_the_window(cloud: Any, make_insight: MakeInsight) -> None:
    """Thirteen rows, one late: bulk features see all thirteen, so must the request."""
    extra = make_insight(interval=19, timestamp=datetime(2026, 3, 2, 11, 33, tzinfo=UTC))
    put(cloud, *[make_insight(interval=n) for n in range(20)], extra)
    model = Model()
    asked(cloud, {"device_id": "nvme-1"}, model)
    assert len(model.instance["insights"]) == 13
    assert sent_times(model)[0] == "10:40"


def test_far_more_rows_than_the_interval_allows_are_cut_with_a_warning(cloud: Any, make_insight: MakeInsight) -> None:
    start = make_insight().timestamp
    put(cloud, *[make_insight(timestamp=start + timedelta(seconds=30 * n)) for n in range(100)])
    model = Model()
    answer = asked(cloud, {"device_id": "nvme-1"}, model)
    assert len(model.instance["insights"]) == 48
    assert answer["warnings"] == ["the device has more insights than its interval allows; only the newest were used"]


def test_the_last_alert_is_found_beyond_the_window_and_never_in_the_newest_row(
    cloud: Any, make_insight: MakeInsight
) -> None:
    rows = [make_insight(interval=n, alert=n in (0, 5, 39)) for n in range(40)]
    put(cloud, *rows)
    model = Model()
    asked(cloud, {"device_id": "nvme-1"}, model)
    assert sent_times(model)[0] == "12:20"
    assert model.instance["last_alert_at"] == "2026-03-02T10:25:00.000Z"


def test_the_last_alert_is_found_behind_alerts_that_came_during_the_query_or_are_no_insights(
    cloud: Any, make_insight: MakeInsight
) -> None:
    put(cloud, *[make_insight(interval=n, alert=n == 5) for n in range(40)])
    for minute in ("15", "20", "25"):
        at = f"2026-03-02T14:{minute}:00.000Z"
        item = {"device_id": {"S": "nvme-1"}, "timestamp": {"S": at}, "alert_at": {"S": at}}
        cloud.dynamodb.put_item(TableName="insights", Item=item)
    model = Model()
    asked(cloud, {"device_id": "nvme-1"}, model)
    assert model.instance["last_alert_at"] == "2026-03-02T10:25:00.000Z"


def test_a_stored_item_that_is_no_insight_is_left_out_with_a_warning(cloud: Any, stored: list[Insight]) -> None:
    broken = {"device_id": {"S": "nvme-1"}, "timestamp": {"S": "2026-03-02T11:34:00.000Z"}}
    cloud.dynamodb.put_item(TableName="insights", Item=broken)
    model = Model()
    answer = asked(cloud, {"device_id": "nvme-1"}, model)
    assert len(model.instance["insights"]) == 12
    assert answer["warnings"] == ["1 stored items of the device are no valid insights and were left out"]


def test_own_insights_are_sorted_and_carry_their_last_alert(cloud: Any, make_insight: MakeInsight) -> None:
    rows = [make_insight(interval=n).to_json() for n in (3, 1, 2)]
    model = Model()
    answer = asked(cloud, {"insights": rows, "last_alert_at": "2026-03-01T00:00:00Z"}, model)
    assert sent_times(model) == ["10:05", "10:10", "10:15"]
    assert model.instance["last_alert_at"] == "2026-03-01T00:00:00.000Z"
    assert (answer["device_id"], answer["as_of"]) == ("nvme-1", "2026-03-02T10:15:00.000Z")


def test_own_insights_beyond_the_window_are_sent_for_their_alerts(cloud: Any, make_insight: MakeInsight) -> None:
    rows = [make_insight(interval=n).to_json() for n in range(48)]
    model = Model()
    asked(cloud, {"insights": rows}, model)
    assert len(model.instance["insights"]) == 48
    assert model.instance["last_alert_at"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: [], "body"),
        (lambda body: None, "body"),
        (lambda body: {}, "device_id"),
        (lambda body: {"device_id": ""}, "device_id"),
        (lambda body: {"device_id": 7}, "device_id"),
        (lambda body: {"device_id": "x" * 129}, "device_id"),
        (lambda body: {"device": "nvme-1"}, "device"),
        (lambda body: {**body, "device_id": "nvme-1"}, "device_id"),
        (lambda body: {"device_id": "nvme-1", "last_alert_at": None}, "last_alert_at"),
        (lambda body: {"insights": []}, "insights"),
        (lambda body: {"insights": {}}, "insights"),
        (lambda body: {"insights": body["insights"] * 17}, "insights"),
        (lambda body: {"insights": [*body["insights"], 5]}, "insights[3]"),
        (lambda body: {"insights": [body["insights"][0] | {"error_rate": 2}]}, "insights[0].error_rate"),
        (lambda body: {"insights": [body["insights"][0] | {"latency": 2}]}, "insights[0].latency"),
        (lambda body: {"insights": [body["insights"][0], body["insights"][0]]}, "insights[1].timestamp"),
        (
            lambda body: {"insights": [body["insights"][0], body["insights"][1] | {"device_id": "b"}]},
            "insights[1].device_id",
        ),
        (lambda body: {**body, "last_alert_at": "yesterday"}, "last_alert_at"),
        (lambda body: {**body, "last_alert_at": "2026-03-02T09:00:00"}, "last_alert_at"),
        (lambda body: {**body, "last_alert_at": "2027-01-01T00:00:00Z"}, "last_alert_at"),
        (lambda body: {**body, "last_alert_at": 5}, "last_alert_at"),
    ],
)
def test_a_wrong_field_is_named(
    cloud: Any, make_insight: MakeInsight, change: Callable[[dict[str, Any]], object], field: str
) -> None:
    body = {"insights": [make_insight(interval=n).to_json() for n in range(3)]}
    with pytest.raises(InvalidRequest) as refused:
        asked(cloud, change(body), Model())
    assert refused.value.field == field


def test_an_unknown_device_and_one_with_too_few_rows_are_told_apart(
    cloud: Any, stored: list[Insight], make_insight: MakeInsight
) -> None:
    with pytest.raises(UnknownDevice, match="'sata-9'"):
        asked(cloud, {"device_id": "sata-9"}, Model())
    assert asked(cloud, {"device_id": "hdd-2"}, Model())["kind"] == "risk"
    put(cloud, make_insight("new-1", 0), make_insight("new-1", 1))
    with pytest.raises(TooFewInsights, match=r"has 2 insights .* at least 3 are needed, 12 are a full window"):
        asked(cloud, {"device_id": "new-1"}, Model())
    with pytest.raises(TooFewInsights):
        asked(cloud, {"insights": [make_insight().to_json()]}, Model())


def test_a_prediction_that_cannot_be_stored_is_answered_with_a_warning(
    cloud: Any, stored: list[Insight], make_refusal: Any
) -> None:
    table = Refusing(cloud.dynamodb, "put_item", make_refusal("ThrottlingException", "PutItem"))
    answer = asked(cloud, {"device_id": "nvme-1"}, Model(), dynamodb=table)
    assert answer["risk_level"] == "high"
    assert answer["warnings"] == [NOT_STORED]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "Query"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
)
def test_a_table_that_does_not_answer_is_a_503_with_a_time(cloud: Any, error: Exception) -> None:
    with pytest.raises(TelemetryUnavailable) as refused:
        asked(cloud, {"device_id": "nvme-1"}, Model(), dynamodb=Refusing(cloud.dynamodb, "query", error))
    assert refused.value.headers() == {"Retry-After": "2"}


def test_a_missing_permission_is_no_excuse(cloud: Any, make_refusal: Any) -> None:
    table = Refusing(cloud.dynamodb, "query", make_refusal("AccessDeniedException", "Query"))
    with pytest.raises(ClientError, match="AccessDenied"):
        asked(cloud, {"device_id": "nvme-1"}, Model(), dynamodb=table)


def model_error(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "ModelError"}, "OriginalStatusCode": status}, "InvokeEndpoint")


@pytest.mark.parametrize(
    ("error", "text", "seconds"),
    [
        ("ValidationError", "no model is live", 300),
        ("ModelNotReadyException", "is starting", 30),
        ("ThrottlingException", "more requests than it can take", 1),
        ("ServiceUnavailable", "is down", 30),
        ("InternalFailure", "is down", 30),
        (model_error(500), "failed", 30),
        (model_error(503), "more requests than it can take", 1),
        (ReadTimeoutError(endpoint_url="https://x"), "did not answer in time", 5),
        (ConnectTimeoutError(endpoint_url="https://x"), "did not answer in time", 5),
        (EndpointConnectionError(endpoint_url="https://x"), "did not answer in time", 5),
    ],
)
def test_an_endpoint_that_is_missing_throttled_down_or_slow_is_a_503_with_a_time(
    cloud: Any, stored: list[Insight], make_refusal: Any, error: str | Exception, text: str, seconds: int
) -> None:
    raised = make_refusal(error, "InvokeEndpoint") if isinstance(error, str) else error
    with pytest.raises(ModelUnavailable, match=text) as refused:
        asked(cloud, {"device_id": "nvme-1"}, Model(error=raised))
    assert refused.value.headers() == {"Retry-After": str(seconds)}
    assert cloud.dynamodb.scan(TableName="predictions")["Items"] == []


@pytest.mark.parametrize(
    "model",
    [
        Model(error=model_error(400)),
        Model(answer=b"<html>"),
        Model(answer=b'{"predictions": []}'),
        Model(answer=b'{"predictions": [{"performance_score": NaN}], "model_version": "a"}'),
        Model(answer=b'{"predictions": [{"risk_level": "low"}]}'),
        Model(answer=told(PREDICTION, PREDICTION)),
        Model(answer=told({**PREDICTION, "risk_level": "dire"})),
        Model(answer=told({**PREDICTION, "confidence": "0.6"})),
        Model(answer=told({**PREDICTION, "contributions": [{"feature": "weather", "value": 1, "contribution": 1}]})),
    ],
)
def test_a_model_that_refuses_or_garbles_is_never_the_callers_fault(
    cloud: Any, stored: list[Insight], model: Model
) -> None:
    with pytest.raises(ModelFailed) as refused:
        asked(cloud, {"device_id": "nvme-1"}, model)
    assert (refused.value.status, refused.value.headers()) == (503, {"Retry-After": "60"})


@pytest.mark.parametrize(
    ("errors", "waits"),
    [
        ([ConnectionClosedError(endpoint_url="https://x")], [0.025]),
        ([EndpointConnectionError(endpoint_url="https://x")] * 2, [0.025, 0.05]),
        ([ResponseStreamingError(error="reset")], [0.025]),
        (["ServiceUnavailable"] * 3, [0.05, 0.1, 0.2]),
        ([model_error(500), model_error(502)], [0.025, 0.05]),
        ([model_error(503)], [0.25]),
        (["ThrottlingException"], [0.25]),
        ([ReadTimeoutError(endpoint_url="https://x")], [0.025]),
    ],
)
def test_an_endpoint_that_recovers_in_time_is_answered_and_stored_once(
    cloud: Any, stored: list[Insight], make_refusal: Any, errors: list[str | Exception], waits: list[float]
) -> None:
    clock = Clock()
    raised = [make_refusal(error, "InvokeEndpoint") if isinstance(error, str) else error for error in errors]
    model = FlakyModel(clock, *raised)
    answer = asked(cloud, {"device_id": "nvme-1"}, model, clock=clock)
    assert answer["risk_level"] == "high"
    assert clock.waits == pytest.approx(waits)
    assert len({request["Body"] for request in model.requests}) == 1
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 1


@pytest.mark.parametrize("error", ["ValidationError", "ModelNotReadyException", "AccessDeniedException", "ModelError"])
def test_what_another_call_cannot_mend_is_asked_once(
    cloud: Any, stored: list[Insight], make_refusal: Any, error: str
) -> None:
    clock = Clock()
    model = FlakyModel(clock, *[make_refusal(error, "InvokeEndpoint", OriginalStatusCode=400)] * 9)
    with pytest.raises((ModelUnavailable, ModelFailed, ClientError)):
        asked(cloud, {"device_id": "nvme-1"}, model, clock=clock)
    assert len(model.requests) == 1


def test_a_silent_endpoint_is_given_up_within_two_seconds(cloud: Any, stored: list[Insight]) -> None:
    clock = Clock()
    model = FlakyModel(clock, *[ReadTimeoutError(endpoint_url="https://x")] * 9, call_seconds=READ_SECONDS)
    with pytest.raises(ModelUnavailable, match="did not answer in time"):
        asked(cloud, {"device_id": "nvme-1"}, model, clock=clock)
    assert len(model.requests) == 2
    assert clock.now < 2


def test_the_endpoint_is_not_asked_again_where_the_callers_deadline_leaves_no_time(
    cloud: Any, stored: list[Insight], make_refusal: Any
) -> None:
    clock = Clock()
    model = FlakyModel(clock, *[make_refusal("ServiceUnavailable", "InvokeEndpoint")] * 9)
    with pytest.raises(ModelUnavailable, match="is down"):
        asked(cloud, {"device_id": "nvme-1"}, model, clock=clock, remaining_seconds=0.9)
    assert len(model.requests) == 1


def test_missing_credentials_are_a_bug_and_no_slow_endpoint(cloud: Any, stored: list[Insight]) -> None:
    with pytest.raises(NoCredentialsError):
        asked(cloud, {"device_id": "nvme-1"}, Model(error=NoCredentialsError()))


def test_a_probability_too_small_for_the_store_is_kept_as_zero(cloud: Any, stored: list[Insight]) -> None:
    tiny = {**PREDICTION, "probabilities": {"low": 1e-200, "medium": 0.0, "high": 1.0, "critical": 0.0}}
    model = Model(answer=json.dumps({"predictions": [tiny], "model_version": PACKAGE}).encode())
    answer = asked(cloud, {"device_id": "nvme-1"}, model)
    assert (answer["probabilities"]["low"], answer["warnings"]) == (1e-200, [])
    (item,) = cloud.dynamodb.scan(TableName="predictions")["Items"]
    assert item["probabilities"]["M"]["low"] == {"N": "0"}


def test_the_body_is_json_of_a_bounded_size() -> None:
    assert read_body('{"device_id": "é"}', "application/json; charset=utf-8") == {"device_id": "é"}
    assert read_body("{}", None) == {}
    with pytest.raises(UnsupportedMediaType, match="'text/csv'"):
        read_body("{}", "text/csv")
    with pytest.raises(BodyTooLarge):
        read_body('"' + "x" * 1_100_000 + '"', "application/json")
    for broken in ("", "{", '{"device_id": NaN}', "[" * 100_000):
        with pytest.raises(InvalidRequest) as refused:
            read_body(broken, "application/json")
        assert refused.value.field == "body"


class ManyModel(Model):
    """One prediction for each window that it is asked about."""

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.answer = told(*[PREDICTION] * len(json.loads(request["Body"])["instances"]))
        return super().invoke_endpoint(**request)


@pytest.fixture
def suffixes() -> Callable[[], str]:
    numbers = iter(range(1000))
    return lambda: f"{next(numbers):08x}"


def test_items_are_answered_each_in_its_place_by_one_call_to_the_endpoint(
    cloud: Any, stored: list[Insight], make_insight: MakeInsight, suffixes: Callable[[], str]
) -> None:
    own = [make_insight("mine", n).to_json() for n in range(4)]
    items = [
        {"device_id": "nvme-1"},
        {"device_id": "nobody"},
        {"insights": own},
        {"insights": own[:1]},
        {"device": "typo"},
        "no object",
        {"device_id": "hdd-2"},
    ]
    model = ManyModel()
    results = asked(cloud, {"items": items}, model, suffixes=suffixes)["results"]
    assert [result["status"] for result in results] == [200, 404, 200, 409, 400, 400, 200]
    assert [result["prediction"]["device_id"] for result in results if result["status"] == 200] == [
        "nvme-1",
        "mine",
        "hdd-2",
    ]
    assert results[4]["problem"]["field"] == "items[4].device"
    assert results[1]["problem"]["type"] == "urn:iops-insights:problem:unknown-device"
    assert len(model.requests) == 1
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 3


def test_a_hundred_items_are_stored_in_batches(cloud: Any, stored: list[Insight], suffixes: Callable[[], str]) -> None:
    results = asked(cloud, {"items": [{"device_id": "nvme-1"}] * 100}, ManyModel(), suffixes=suffixes)["results"]
    assert {result["status"] for result in results} == {200}
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 100


def test_items_that_are_all_wrong_ask_no_endpoint(cloud: Any, stored: list[Insight]) -> None:
    model = ManyModel()
    assert asked(cloud, {"items": [{}, {"device_id": "nobody"}]}, model)["results"][1]["status"] == 404
    assert model.requests == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [{"device_id": "nvme-1"}] * 101}, "items"),
        ({"items": {}}, "items"),
        ({"items": [{"device_id": "nvme-1"}], "device_id": "nvme-1"}, "device_id"),
    ],
)
def test_a_list_of_items_that_is_none_names_its_field(cloud: Any, body: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(cloud, body, Model())
    assert refused.value.field == field


class LeavingOver:
    """A table that takes only the first `taken` requests of each batch."""

    def __init__(self, client: Any, taken: int) -> None:
        self.client, self.taken = client, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        if self.taken:
            self.client.batch_write_item(RequestItems={table: requests[: self.taken]})
        return {"UnprocessedItems": {table: requests[self.taken :]}}


@pytest.mark.parametrize(("taken", "unstored"), [(4, 0), (2, 4), (0, 10)])
def test_items_that_the_store_does_not_take_are_answered_with_a_warning(
    cloud: Any, stored: list[Insight], suffixes: Callable[[], str], taken: int, unstored: int
) -> None:
    table = LeavingOver(cloud.dynamodb, taken)
    body = {"items": [{"device_id": "nvme-1"}] * 10}
    results = asked(cloud, body, ManyModel(), dynamodb=table, suffixes=suffixes)["results"]
    assert sum(NOT_STORED in result["prediction"]["warnings"] for result in results) == unstored
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 10 - unstored


def test_the_windows_hash_is_the_same_for_the_same_window_alone(cloud: Any, stored: list[Insight]) -> None:
    first, second, other = (
        asked(cloud, {"device_id": device}, Model())["window_sha256"] for device in ("nvme-1", "nvme-1", "hdd-2")
    )
    assert first == second != other
