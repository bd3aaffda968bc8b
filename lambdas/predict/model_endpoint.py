"""The model behind a SageMaker endpoint: one window in, its prediction out, every trouble translated here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from insights.schema import Insight, timestamp_text
from lambdas.predict.problems import ModelFailed, ModelUnavailable
from lambdas.throttling import error_code

# Error code of InvokeEndpoint (SageMaker Runtime API reference) -> what the caller is told, and when to ask again.
# A missing endpoint is a ValidationError; the request itself is built here and always valid.
_UNAVAILABLE = {
    "ValidationError": ("no model is live at the endpoint {endpoint}; promote one", 300),
    "ValidationException": ("no model is live at the endpoint {endpoint}; promote one", 300),
    "ModelNotReadyException": ("the endpoint {endpoint} is starting", 30),
    "ThrottlingException": ("the endpoint {endpoint} has more requests than it can take", 1),
    "ServiceUnavailable": ("the endpoint {endpoint} is down", 30),
    "ServiceUnavailableException": ("the endpoint {endpoint} is down", 30),
    "InternalFailure": ("the endpoint {endpoint} is down", 30),
    "InternalDependencyException": ("the endpoint {endpoint} is down", 30),
    "503": ("the endpoint {endpoint} is down", 30),
}
_SLOW = ("the endpoint {endpoint} did not answer in time", 5)


@dataclass(frozen=True)
class ModelEndpoint:
    name: str
    sagemaker_runtime: Any

    def ask(self, rows: Sequence[Insight], last_alert_at: datetime | None) -> tuple[dict[str, Any], str]:
        """The prediction for the newest row, and the package that made it."""
        instance = {
            "insights": [row.to_json() for row in rows],
            "last_alert_at": timestamp_text(last_alert_at) if last_alert_at else None,
        }
        try:
            response = self.sagemaker_runtime.invoke_endpoint(
                EndpointName=self.name,
                ContentType="application/json",
                Accept="application/json",
                Body=json.dumps({"instances": [instance]}),
            )
            text = response["Body"].read()
        except ClientError as error:
            raise self._translated(error) from error
        except BotoCoreError as error:  # no connection, or no answer within the client's time
            raise self._unavailable(_SLOW) from error
        return self._prediction(text)

    def _translated(self, error: ClientError) -> Exception:
        code = error_code(error)
        if code in _UNAVAILABLE:
            return self._unavailable(_UNAVAILABLE[code])
        if code == "ModelError":
            if int(error.response.get("OriginalStatusCode", 500)) >= 500:
                return self._unavailable(("the model at the endpoint {endpoint} failed", 30))
            return ModelFailed(f"the model at the endpoint {self.name} refused a request that this service built")
        return error

    def _unavailable(self, case: tuple[str, int]) -> ModelUnavailable:
        text, seconds = case
        return ModelUnavailable(
            f"{text.format(endpoint=self.name)}; ask again in {seconds} s", retry_after_seconds=seconds
        )

    def _prediction(self, text: bytes) -> tuple[dict[str, Any], str]:
        try:
            answer = json.loads(text)
            return dict(answer["predictions"][0]), str(answer["model_version"])
        except (ValueError, LookupError, TypeError) as error:
            raise ModelFailed(f"the model at the endpoint {self.name} gave an answer that cannot be read") from error
