"""How each refusal of docs/api.md is brought about on a deployment: by a request, or by breaking what it says is broken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.api_client import Answer, get, post, send
from tests.e2e.moods import MoodyEndpoint
from tests.e2e.served_models import ServedModels

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Api:
    """A deployment's API with a token of every scope, a device and a prediction that it knows, and what can be made ill."""

    served: ServedModels
    url: str
    token: str
    tokens: Callable[[tuple[str, ...]], str]
    device_id: str
    prediction_id: str = ""
    performance: MoodyEndpoint | None = None

    def predict(self, body: Any, kind: str = "risk") -> Answer:
        return post(self.url, f"/api/predict/{kind}", body, token=self.token)

    def get(self, route: str, **query: object) -> Answer:
        return get(self.url, route, token=self.token, **query)

    def client(self, service: str) -> Any:
        return self.served.cloud.client(service)

    @property
    def id(self) -> str:
        return str(self.served.deployment["IopsApi.ApiUrl"].split("//")[1].split(".")[0])

    @contextmanager
    def function(self, name: str, *, handler: str | None = None, **variables: str) -> Iterator[None]:
        """The function with other variables or another handler, and as it was afterwards."""
        lambdas = self.client("lambda")
        pages = lambdas.get_paginator("list_functions").paginate()
        found = next(
            f for page in pages for f in page["Functions"] if f["Handler"] == f"lambdas.{name}.handler.handler"
        )
        before = {"Handler": found["Handler"], "Environment": {"Variables": found["Environment"]["Variables"]}}
        changed = {
            "Handler": handler or found["Handler"],
            "Environment": {"Variables": before["Environment"]["Variables"] | variables},
        }
        lambdas.update_function_configuration(FunctionName=found["FunctionName"], **changed)
        try:
            yield
        finally:
            lambdas.update_function_configuration(FunctionName=found["FunctionName"], **before)

    @contextmanager
    def without_scopes(self, path: str) -> Iterator[None]:
        """The path's GET demanding a token and no scope, and with its scopes afterwards."""
        gateway = self.client("apigateway")
        resources = gateway.get_resources(restApiId=self.id, limit=500)["items"]
        at = {"restApiId": self.id, "httpMethod": "GET"}
        at["resourceId"] = next(resource["id"] for resource in resources if resource["path"] == path)
        before = gateway.get_method(**at)
        kept = {name: before["methodIntegration"][name] for name in ("type", "uri")}

        def put(scopes: list[str]) -> None:
            """A new method, as MiniStack's UpdateMethod does not patch a list."""
            gateway.delete_method(**at)
            guard = {name: before[name] for name in ("authorizationType", "authorizerId")}
            gateway.put_method(**at, **guard, authorizationScopes=scopes)
            gateway.put_integration(**at, **kept, integrationHttpMethod="POST")
            gateway.create_deployment(restApiId=self.id, stageName="v1")

        put([])
        try:
            yield
        finally:
            put(before["authorizationScopes"])


def _own_row() -> dict[str, Any]:
    return {
        "device_id": "mine",
        "timestamp": "2026-03-02T10:00:00Z",
        "interval_seconds": 300,
        "read_iops": 1,
        "write_iops": 1,
        "bandwidth_mbps": 1,
    }


def missing_scope(api: Api) -> Answer:
    with api.without_scopes("/api/devices"):
        return get(api.url, "/api/devices", token=api.tokens(("iops/predict",)))


def too_many_requests(api: Api) -> Answer:
    """The client's count of this minute and the next is put at its limit, for whichever minute the request falls into."""
    table = api.client("dynamodb")
    name, client_id = (
        api.served.deployment[f"IopsApi.{output}"] for output in ("RequestsTableName", "ServiceClientId")
    )
    minute = int(time.time() // 60)
    keys = [{"client_minute": {"S": f"{client_id}#{minute + later}"}} for later in range(2)]
    for key in keys:
        table.put_item(TableName=name, Item={**key, "taken": {"N": str(10**9)}})
    try:
        with api.function("read_fleet", FRESH="1"):  # a warm one may still have some of its lease
            return api.get("/api/devices")
    finally:
        for key in keys:
            table.delete_item(TableName=name, Key=key)


def throttled(api: Api) -> Answer:
    gateway = api.client("apigateway")
    before = gateway.get_stage(restApiId=api.id, stageName="v1")["methodSettings"]["*/*"]

    def limit(rate: float, burst: int) -> None:
        operations = [
            {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": str(rate)},
            {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": str(burst)},
        ]
        gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=operations)

    limit(0.01, 1)
    try:
        answers = [api.get("/api/health") for _ in range(3)]
        return next(answer for answer in answers if answer.status == 429)
    finally:
        limit(before["throttlingRateLimit"], before["throttlingBurstLimit"])


def internal(api: Api) -> Answer:
    with api.function("read_fleet", DEVICES_TABLE_NAME="no-such-table"):
        return api.get("/api/devices")


def cannot_run(api: Api) -> Answer:
    with api.function("read_fleet", handler="lambdas.read_fleet.nothing.handler"):
        return api.get("/api/devices")


def unreachable(api: Api, function: str, service: str, ask: Callable[[], Answer]) -> Answer:
    with api.function(function, **{f"AWS_ENDPOINT_URL_{service}": NOWHERE}):
        return ask()


def garbled(api: Api) -> Answer:
    assert api.performance is not None
    with api.performance.ill("garbling"):
        return api.predict({"device_id": api.device_id}, kind="performance")


def unknown_prediction(api: Api) -> Answer:
    body = {"device_id": api.device_id, "prediction_id": "never", "risk_level": "low"}
    return post(api.url, "/api/feedback", body, token=api.token)


REFUSALS: Mapping[tuple[int, str], Callable[[Api], Answer]] = {
    (400, "invalid-request"): lambda api: api.predict({"device": "typo"}),
    (401, "unauthorized"): lambda api: get(api.url, "/api/devices", token=api.tokens(("iops/predict",))),
    (403, "missing-scope"): missing_scope,
    (404, "unknown-device"): lambda api: api.predict({"device_id": "nobody"}),
    (404, "unknown-prediction"): unknown_prediction,
    (404, "unknown-route"): lambda api: api.get("/api/weather"),
    (405, "method-not-allowed"): lambda api: send(api.url, "/api/devices", None, token=api.token, method="DELETE"),
    (409, "too-few-insights"): lambda api: api.predict({"insights": [_own_row()]}),
    (413, "body-too-large"): lambda api: api.predict({"device_id": "x" * 1_100_000}),
    (415, "unsupported-media-type"): lambda api: send(
        api.url, "/api/predict/risk", b"a,b", token=api.token, content_type="text/csv"
    ),
    (429, "too-many-requests"): too_many_requests,
    (429, "throttled"): throttled,
    (500, "internal"): internal,
    (502, "function-failed"): cannot_run,
    (503, "model-unavailable"): lambda api: unreachable(
        api, "predict", "SAGEMAKER_RUNTIME", lambda: api.predict({"device_id": api.device_id})
    ),
    (503, "model-failed"): garbled,
    (503, "telemetry-unavailable"): lambda api: unreachable(
        api, "predict", "DYNAMODB", lambda: api.predict({"device_id": api.device_id})
    ),
    (503, "store-unavailable"): lambda api: unreachable(api, "read_fleet", "DYNAMODB", lambda: api.get("/api/devices")),
}


def windows(device_id: str, count: int) -> list[dict[str, Any]]:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    return [
        {**_own_row(), "device_id": device_id, "timestamp": (start + timedelta(minutes=5 * n)).isoformat()}
        for n in range(count)
    ]


HOSTILE: Mapping[str, tuple[bytes, str]] = {
    "wrong type": (b'{"device_id": {"a": [1]}}', "application/json"),
    "a number": (b"7", "application/json"),
    "null": (b"null", "application/json"),
    "nothing": (b"", "application/json"),
    "huge": (b'{"device_id": "' + b"x" * 5_000_000 + b'"}', "application/json"),
    "deep": (b"[" * 200_000, "application/json"),
    "deep and closed": (b'{"insights": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json"),
    "NaN": (b'{"insights": [{"read_iops": NaN}]}', "application/json"),
    "infinity": (b'{"insights": [{"read_iops": -Infinity}]}', "application/json"),
    "a number of 5,000 digits": (b'{"device_id": ' + b"9" * 5000 + b"}", "application/json"),
    "no UTF-8": (b'{"device_id": "\xff\xfe"}', "application/json"),
    "lone surrogate": (b'{"device_id": "\\ud800"}', "application/json"),
    "UTF-16": ('{"device_id": "a"}'.encode("utf-16"), "application/json"),
    "another charset": ('{"device_id": "ü"}'.encode("latin-1"), "application/json; charset=latin-1"),
    "a form": (b"device_id=a", "application/x-www-form-urlencoded"),
    "wrong content type": (b'{"device_id": "a"}', "text/plain"),
    "10,000 items": (json.dumps({"items": [{"device_id": "a"}] * 10_000}).encode(), "application/json"),
    "twice the same name": (b'{"device_id": "a", "device_id": 5}', "application/json"),
    "markup": (b'{"device_id": 5, "<script>": 1}', "application/json"),
}
