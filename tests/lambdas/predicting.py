"""A prediction asked for with fakes of the endpoint and of the time, for the tests of predict."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from insights.schema import Insight
from lambdas.predict.circuit import Circuit
from lambdas.predict.experiment import ExperimentNote
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predict import Parts, predict, predict_items
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
    note: str = "off",
    circuit: Circuit | None = None,
) -> dict[str, Any]:
    table, clock = dynamodb or cloud.dynamodb, clock or Clock()
    parts = Parts(
        telemetry=Telemetry("insights", "last-alert", table),
        endpoint=ModelEndpoint(
            "iops-risk-predictor",
            lambda _: model,
            remaining_seconds=lambda: remaining_seconds,
            sleep=clock.sleep,
            fraction=lambda: 0.5,
            clock=lambda: clock.now,
        ),
        predictions=Predictions("predictions", 30, table, NO_WAIT),
        circuits={"live": circuit or Circuit(clock=lambda: clock.now), "challenger": Circuit(clock=lambda: clock.now)},
        experiment=ExperimentNote(lambda: note),
        now=lambda: NOW,
        new_suffix=suffixes,
    )
    request = parse_body(body)
    if isinstance(request, list):
        return {"results": predict_items(kind, request, parts=parts, instance="/api/predict/risk")}
    return predict(kind, request, parts=parts)
