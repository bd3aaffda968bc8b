"""The model behind a SageMaker endpoint: windows in, their predictions out, every trouble translated here."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from aws_lambda_powertools import Logger
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NotConnected

from insights.feature_table import FEATURE_NAMES
from insights.schema import RISK_LEVELS, Insight, timestamp_text
from lambdas.api.problems import ModelDown, ModelFailed, ModelResting, ModelUnavailable
from lambdas.client_errors import error_code
from lambdas.predict.asking_again import BUDGET_SECONDS, Failure, GiveUp, after_failure
from lambdas.serving_hours import Rest

logger = Logger(child=True)

_ABSENT = ("no model is live at the endpoint {endpoint}; promote one, or switch serving on", 300)
_BUSY = ("the endpoint {endpoint} has more requests than it can take", 1)
_DOWN = ("the endpoint {endpoint} is down", 30)
_SLOW = ("the endpoint {endpoint} did not answer in time", 5)
_FAILED = ("the model at the endpoint {endpoint} failed", 30)
# Error code of InvokeEndpoint (SageMaker Runtime API reference) -> whether to ask again, what the caller is told, and
# when the caller may ask again. A missing endpoint is a ValidationError; the request is built here and always valid.
_CODES = {
    "ValidationError": (Failure.FINAL, _ABSENT),
    "ValidationException": (Failure.FINAL, _ABSENT),
    "ModelNotReadyException": (Failure.FINAL, ("the endpoint {endpoint} is starting", 30)),
    "ThrottlingException": (Failure.THROTTLED, _BUSY),
    "ServiceUnavailable": (Failure.DOWN, _DOWN),
    "ServiceUnavailableException": (Failure.DOWN, _DOWN),
    "InternalFailure": (Failure.DOWN, _DOWN),
    "InternalDependencyException": (Failure.DOWN, _DOWN),
    "503": (Failure.DOWN, _DOWN),
}
_INVALID = ("ValidationError", "ValidationException")
_JSON = "application/json"
_NO_CONNECTION = (NotConnected, HTTPClientError, IncompleteReadError)


# A model that garbles its answers is mended by people.
_GARBLED_SECONDS = 60


class Instance(NamedTuple):
    """One window that the container is asked about; `rows` oldest first."""

    rows: Sequence[Insight]
    last_alert_at: datetime | None

    def to_json(self) -> str:
        last_alert_at = timestamp_text(self.last_alert_at) if self.last_alert_at else None
        return json.dumps({"insights": [row.to_json() for row in self.rows], "last_alert_at": last_alert_at})


def request_body(instances: Sequence[str]) -> str:
    return f'{{"instances": [{", ".join(instances)}]}}'


class ModelAnswer(NamedTuple):
    """A prediction for each window in order, the package that made them and the variant that answered."""

    predictions: list[dict[str, Any]]
    model_version: str
    variant: str | None


@dataclass(frozen=True)
class ModelEndpoint:
    """`remaining_seconds` says how long the caller can still wait for this endpoint, `rest` why it is missing by plan;
    `runtime_for` that many seconds is the SageMaker runtime's client, whose time-outs keep to them."""

    name: str
    runtime_for: Callable[[float], Any]
    remaining_seconds: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    fraction: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    rest: Callable[[], Rest | None] = lambda: None

    def ask(self, kind: str, instances: Sequence[str], target: str | None = None) -> ModelAnswer:
        """One call for all windows, each given as the JSON text of an Instance; to the variant `target` if there is one
        of that name, else to whom SageMaker chooses."""
        text, variant = self._answer(request_body(instances), target)
        try:
            answer = json.loads(text, parse_constant=_refuse_constant)
            predictions, version = list(answer["predictions"]), str(answer["model_version"])
            if len(predictions) != len(instances):
                raise ValueError(f"{len(predictions)} predictions for {len(instances)} windows")
            return ModelAnswer([checked_prediction(kind, given) for given in predictions], version, variant)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ModelFailed(
                f"the model at the endpoint {self.name} gave an answer that cannot be read",
                retry_after_seconds=_GARBLED_SECONDS,
            ) from error

    def _answer(self, body: str, target: str | None) -> tuple[bytes, str | None]:
        deadline = self.clock() + min(BUDGET_SECONDS, self.remaining_seconds())
        failures = 0
        while True:
            try:
                return self._call(body, target, deadline - self.clock())
            except (ClientError, *_NO_CONNECTION) as error:
                failures += 1
                self._wait_or_give_up(error, failures, deadline - self.clock())

    def _call(self, body: str, target: str | None, remaining_seconds: float) -> tuple[bytes, str | None]:
        """A variant that has just gone (its experiment ended less than a minute ago) is a ValidationError, as an endpoint
        that is missing: the call without a name tells which it was."""
        runtime = self.runtime_for(remaining_seconds)
        request = {"EndpointName": self.name, "ContentType": _JSON, "Accept": _JSON, "Body": body}
        try:
            named = {**request, "TargetVariant": target} if target else request
            response = runtime.invoke_endpoint(**named)
        except ClientError as error:
            if target is None or error_code(error) not in _INVALID:
                raise
            logger.warning("no such variant", extra={"endpoint": self.name, "variant": target})
            response = runtime.invoke_endpoint(**request)
        return response["Body"].read(), response.get("InvokedProductionVariant")

    def _wait_or_give_up(self, error: Exception, failures: int, remaining_seconds: float) -> None:
        failure, told = self._understood(error)
        decision = after_failure(
            failure, failures=failures, remaining_seconds=remaining_seconds, fraction=self.fraction()
        )
        if isinstance(decision, GiveUp):
            logger.warning("the endpoint gave no prediction", extra={"endpoint": self.name, "why": decision.reason})
            self._refuse(failure, told, error)
        self.sleep(decision.wait_seconds)

    def _understood(self, error: Exception) -> tuple[Failure, tuple[str, int]]:
        """What the failure means, and what the caller is told if it was the last; raises what no call can mend."""
        if isinstance(error, ReadTimeoutError):
            return Failure.UNANSWERED, _SLOW
        if not isinstance(error, ClientError):
            return Failure.UNCONNECTED, _SLOW
        code = error_code(error)
        if code in _CODES:
            return _CODES[code]
        if code != "ModelError":
            raise error
        status = int(error.response.get("OriginalStatusCode", 500))
        if status == 503:  # the container sheds load, as SageMaker's own 503 has a code of its own
            return Failure.SHED, _BUSY
        if status >= 500:
            return Failure.FAILED, _FAILED
        raise ModelFailed(
            f"the model at the endpoint {self.name} refused a request that this service built",
            retry_after_seconds=_GARBLED_SECONDS,
        ) from error

    def _refuse(self, failure: Failure, told: tuple[str, int], error: Exception) -> NoReturn:
        if told is _ABSENT and (rest := self.rest()):
            raise ModelResting(rest.sentence, retry_after_seconds=rest.retry_after_seconds) from error
        text, seconds = told
        problem = ModelUnavailable if failure is Failure.FINAL else ModelDown
        raise problem(
            f"{text.format(endpoint=self.name)}; ask again in {seconds} s", retry_after_seconds=seconds
        ) from error


def checked_prediction(kind: str, given: Any) -> dict[str, Any]:
    """What the API answers of a prediction; ValueError, LookupError or TypeError where it does not hold that."""
    answer: dict[str, Any]
    if kind == "risk":
        answer = {
            "risk_level": given["risk_level"],
            "probabilities": {level: _number(given["probabilities"][level], 0, 1) for level in RISK_LEVELS},
        }
        if answer["risk_level"] not in RISK_LEVELS:
            raise ValueError(answer["risk_level"])
    else:
        ends = {end: _number(given["interval"][end], 0, 100) for end in ("lower", "upper")}
        answer = {
            "performance_score": _number(given["performance_score"], 0, 100),
            "interval": {**ends, "level": _number(given["interval"]["level"], 0, 1)},
        }
    reasons = [_contribution(reason) for reason in given.get("contributions", [])]
    return {**answer, "confidence": _number(given["confidence"], 0, 1), "contributions": reasons}


def _contribution(given: Any) -> dict[str, Any]:
    if given["feature"] not in FEATURE_NAMES:
        raise ValueError(given["feature"])
    value = None if given["value"] is None else _number(given["value"])
    return {"feature": given["feature"], "value": value, "contribution": _number(given["contribution"])}


def _number(value: Any, low: float = -sys.float_info.max, high: float = sys.float_info.max) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r:.80} is no number from {low} to {high}")
    return float(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
