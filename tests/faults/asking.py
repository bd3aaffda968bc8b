"""One deployment's API as a caller meets it: what can be asked, what was stored of it, and a function's faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from botocore.config import Config
from jsonschema import Draft202012Validator

from insights.schema import Insight, timestamp_text
from lambdas.api.openapi import document
from lambdas.insight_writer import InsightWriter
from lambdas.predict.predict import NOT_STORED
from local.api_client import SCOPES, Answer, get, post
from local.faults.book import Book
from local.run import sign_in_of
from tests.e2e.served_models import ServedModels
from tests.faults.api_cells import ApiCell
from tests.faults.taken_away import taken_away

ROWS, FOLLOWING = 12, 8
TOLD = "told"
FURTHER_TRIES = 3
ITEMS = 12
"""More than the ten requests that a function counts at once (lambdas/api/client_limit.py)."""
SCHEMAS: Mapping[str, str] = {
    "predict": "RiskPrediction",
    "items": "RiskResults",
    "insights": "Insights",
    "predictions": "Predictions",
    "devices": "Devices",
    "feedback": "Feedback",
    "models": "Models",
}


@dataclass
class Asking:
    """`device_id` is one that has insights, `told` the prediction about another that feedback is given to."""

    served: ServedModels
    book: Book
    device_id: str = "asked"
    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, served: ServedModels) -> Asking:
        asking = cls(served, Book(served.cloud.settings.state_dir))
        for device_id in (asking.device_id, TOLD):
            asking.store(device_id, ROWS)
        asking.told = checked("predict", until_answered(lambda: asking.predict(TOLD)))
        return asking

    def client(self, service: str, **options: Any) -> Any:
        return self.served.cloud.client(service, **options)

    @cached_property
    def url(self) -> str:
        return self.served.cloud.reachable_url(self.served.deployment["IopsApi.ApiUrl"])

    @cached_property
    def token(self) -> str:
        return self.token_of(SCOPES)

    def token_of(self, scopes: tuple[str, ...]) -> str:
        return sign_in_of(self.served.cloud, self.served.deployment).service_token(scopes)

    def ask(self, what: str) -> Answer:
        asks: Mapping[str, Callable[[], Answer]] = {
            "predict": lambda: self.predict(self.device_id),
            "items": lambda: self._post("/api/predict/risk", {"items": [{"device_id": self.device_id}] * ITEMS}),
            "insights": lambda: self._get("/api/insights", device_id=self.device_id),
            "predictions": lambda: self._get("/api/predictions", device_id=self.device_id),
            "devices": lambda: self._get("/api/devices"),
            "feedback": lambda: self._post("/api/feedback", self._feedback()),
            "models": lambda: self._get("/api/models"),
        }
        return asks[what]()

    def predict(self, device_id: str) -> Answer:
        return self._post("/api/predict/risk", {"device_id": device_id})

    def store(self, device_id: str, rows: int, *, after: int = 0) -> None:
        """So many insights of a device, from the row `after` on."""
        writer = InsightWriter(self.served.deployment["IopsData.InsightsTableName"], self.client("dynamodb"))
        writer.write(insight(device_id, number) for number in range(after, after + rows))

    def stored(self, device_id: str, since: str) -> list[dict[str, Any]]:
        """The predictions about a device since a moment, each of them whole."""
        query = {"device_id": device_id, "from": since, "limit": 200}
        predictions: list[dict[str, Any]] = checked("predictions", self._get("/api/predictions", **query))[
            "predictions"
        ]
        return predictions

    def device(self, device_id: str) -> dict[str, Any]:
        """As the fleet shows it; empty where it does not yet."""
        devices = checked("devices", self._get("/api/devices", limit=1000))["devices"]
        return next((device for device in devices if device["device_id"] == device_id), {})

    def newest_insight(self, device_id: str) -> dict[str, Any]:
        (newest,) = checked("insights", self._get("/api/insights", device_id=device_id, limit=1))["insights"]
        found: dict[str, Any] = newest
        return found

    def invoke(self, folder: str) -> dict[str, str]:
        """A function once, as a schedule does: its error's type and message."""
        functions = self.client("lambda", config=Config(retries={"total_max_attempts": 1}))
        try:
            answer = functions.invoke(FunctionName=self.functions[folder]["FunctionName"], Payload=b"{}")
        except functions.exceptions.TooManyRequestsException:
            return {"error": "TooManyRequestsException", "cause": "throttled"}
        told = json.loads(answer["Payload"].read())
        if "FunctionError" not in answer:
            return {"error": "", "cause": ""}
        return {"error": told["errorType"], "cause": told["errorMessage"]}

    @cached_property
    def functions(self) -> Mapping[str, dict[str, Any]]:
        """By the folder in lambdas/."""
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        found = [function for page in pages for function in page["Functions"]]
        return {each["Handler"].split(".")[1]: each for each in found if each["Handler"].startswith("lambdas.")}

    def role(self, folder: str) -> str:
        return str(self.functions[folder]["Role"].rpartition("/")[2])

    def freshen(self, folder: str, mark: str) -> None:
        """The next request meets a new process."""
        function = self.functions[folder]
        variables = {**function["Environment"]["Variables"], "FRESH": mark}
        self.client("lambda").update_function_configuration(
            FunctionName=function["FunctionName"], Environment={"Variables": variables}
        )

    @contextmanager
    def meeting(self, cell: ApiCell) -> Iterator[Callable[[], int]]:
        """While the block lasts the cell's fault strikes; what is given counts how often it has."""
        hop, began_ms = cell.hop, int(time.time() * 1000)
        if hop.is_cold:
            self.freshen(hop.function, cell.id)
        if cell.what == "denied":
            with taken_away(self.client("iam"), self.role(hop.function), hop.action, hop.resource):
                yield lambda: self._denials(hop.function, began_ms)
            return
        self.book.arm(cell.faults(self.functions[hop.function]["FunctionName"]))
        try:
            yield lambda: self.book.struck(cell.id)
        finally:
            self.book.arm([])

    def _denials(self, folder: str, since_ms: int) -> int:
        """How often the function wrote since then that it may not."""
        group = self.functions[folder]["LoggingConfig"]["LogGroup"]
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
        return sum("is not authorized to perform" in event["message"] for page in pages for event in page["events"])

    def _feedback(self) -> dict[str, Any]:
        names = {name: self.told[name] for name in ("device_id", "prediction_id")}
        return {**names, "risk_level": "high", "comment": "seen"}

    def _get(self, route: str, **query: object) -> Answer:
        return get(self.url, route, token=self.token, **query)

    def _post(self, route: str, body: Any) -> Answer:
        return post(self.url, route, body, token=self.token)


def until_answered(ask: Callable[[], Answer]) -> Answer:
    """As a client asks: a cold start on a busy machine may take longer than the caller is to wait, and is a 503."""
    for _ in range(FURTHER_TRIES):
        with suppress(TimeoutError):
            if (answer := ask()).status != 503:
                return answer
    return ask()


def checked(what: str, answer: Answer) -> Any:
    """The body, which is as the API's description has it."""
    assert answer.status == 200, answer.body
    assert complaints(SCHEMAS[what], answer) == []
    return answer.body


def complaints(schema: str, answer: Answer) -> list[str]:
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document()["components"]})
    return [error.message for error in validator.iter_errors(answer.body)]


def answered(answer: Answer) -> list[dict[str, Any]]:
    """The predictions that an answer brought."""
    if answer.status != 200 or not isinstance(answer.body, dict):
        return []
    results = answer.body.get("results", [{"status": 200, "prediction": answer.body}])
    return [result["prediction"] for result in results if "warnings" in result.get("prediction", {})]


def promised(answer: Answer) -> list[dict[str, Any]]:
    """Those of them that are said to be stored."""
    return [prediction for prediction in answered(answer) if NOT_STORED not in prediction["warnings"]]


def now() -> str:
    return timestamp_text(datetime.now(UTC))


def insight(device_id: str, number: int) -> Insight:
    """The row `number` of a quiet device, five minutes after the one before; long ago, so that what follows can be known."""
    row = {
        "device_id": device_id,
        "timestamp": timestamp_text(datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=5 * number)),
        "interval_seconds": 300,
        "read_iops": 900 + number % 3,
        "write_iops": 300,
        "bandwidth_mbps": 40,
        "avg_latency_ms": 0.4,
        "p99_latency_ms": 0.9,
        "queue_depth": 2,
        "latency_slo_ms": 2.0,
    }
    return Insight.from_json(row)
