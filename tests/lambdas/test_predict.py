from __future__ import annotations

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
from lambdas.insight_writer import InsightWriter
from lambdas.predict.asking_again import READ_SECONDS
from lambdas.predict.predict import NOT_STORED
from tests.lambdas.predicting import (
    EXPLAINED,
    NOW,
    PACKAGE,
    PREDICTION,
    Clock,
    FlakyModel,
    MakeInsight,
    Model,
    Refusing,
    asked,
    told,
)


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
        Model(answer=told({**PREDICTION, "confidence": 6})),
        Model(answer=b'{"predictions": ["low"], "model_version": "a"}'),
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


def test_what_else_a_model_says_is_not_answered(cloud: Any, stored: list[Insight]) -> None:
    answer = asked(cloud, {"device_id": "nvme-1"}, Model(answer=told({**PREDICTION, "loud": True})))
    assert "loud" not in answer
    assert answer["risk_level"] == "high"
