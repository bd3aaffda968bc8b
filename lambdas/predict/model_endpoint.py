"""The model behind a SageMaker endpoint: one window in, its prediction out, every trouble translated here."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from aws_lambda_powertools import Logger
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NotConnected

from insights.schema import Insight, timestamp_text
from lambdas.api.problems import ModelFailed, ModelUnavailable
from lambdas.predict.asking_again import BUDGET_SECONDS, Failure, GiveUp, after_failure
from lambdas.throttling import error_code

logger = Logger(child=True)

_ABSENT = ("no model is live at the endpoint {endpoint}; promote one", 300)
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
_NO_CONNECTION = (NotConnected, HTTPClientError, IncompleteReadError)


def request_body(rows: Sequence[Insight], last_alert_at: datetime | None) -> str:
    """The one window that the container is asked about."""
    instance = {
        "insights": [row.to_json() for row in rows],
        "last_alert_at": timestamp_text(last_alert_at) if last_alert_at else None,
    }
    return json.dumps({"instances": [instance]})


@dataclass(frozen=True)
class ModelEndpoint:
    """`remaining_seconds` says how long the caller can still wait for this endpoint."""

    name: str
    sagemaker_runtime: Any
    remaining_seconds: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    fraction: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def ask(self, rows: Sequence[Insight], last_alert_at: datetime | None) -> tuple[dict[str, Any], str]:
        """The prediction for the newest row, and the package that made it."""
        return self._prediction(self._answer(request_body(rows, last_alert_at)))

    def _answer(self, body: str) -> bytes:
        deadline = self.clock() + min(BUDGET_SECONDS, self.remaining_seconds())
        failures = 0
        while True:
            try:
                return self._call(body)
            except (ClientError, *_NO_CONNECTION) as error:
                failures += 1
                self._wait_or_give_up(error, failures, deadline - self.clock())

    def _call(self, body: str) -> bytes:
        response = self.sagemaker_runtime.invoke_endpoint(
            EndpointName=self.name, ContentType="application/json", Accept="application/json", Body=body
        )
        answer: bytes = response["Body"].read()
        return answer

    def _wait_or_give_up(self, error: Exception, failures: int, remaining_seconds: float) -> None:
        failure, told = self._understood(error)
        decision = after_failure(
            failure, failures=failures, remaining_seconds=remaining_seconds, fraction=self.fraction()
        )
        if isinstance(decision, GiveUp):
            logger.warning("the endpoint gave no prediction", extra={"endpoint": self.name, "why": decision.reason})
            self._refuse(told, error)
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
        raise ModelFailed(f"the model at the endpoint {self.name} refused a request that this service built") from error

    def _refuse(self, told: tuple[str, int], error: Exception) -> NoReturn:
        text, seconds = told
        raise ModelUnavailable(
            f"{text.format(endpoint=self.name)}; ask again in {seconds} s", retry_after_seconds=seconds
        ) from error

    def _prediction(self, text: bytes) -> tuple[dict[str, Any], str]:
        try:
            answer = json.loads(text, parse_constant=_refuse_constant)
            return dict(answer["predictions"][0]), str(answer["model_version"])
        except (ValueError, LookupError, TypeError) as error:
            raise ModelFailed(f"the model at the endpoint {self.name} gave an answer that cannot be read") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
