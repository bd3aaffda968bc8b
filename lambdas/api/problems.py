"""Errors of the API as RFC 9457 problem details: what is wrong, where, and what to do, never a stack trace."""

from __future__ import annotations

import json
from typing import Any, Final

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:iops-insights:problem:"


class Problem(Exception):
    """An answer other than 200. The class attributes are the kind of problem, the detail is this case of it."""

    status = 500
    name = "internal"
    title = "The request could not be answered"

    def __init__(self, detail: str, *, field: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_seconds = retry_after_seconds

    def to_dict(self, instance: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": _TYPE_PREFIX + self.name,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        if self.field is not None:
            body["field"] = self.field
        return body

    def to_json(self, instance: str) -> str:
        return json.dumps(self.to_dict(instance))

    def headers(self) -> dict[str, str | list[str]]:
        return {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}


class InvalidRequest(Problem):
    status, name, title = 400, "invalid-request", "The request is not valid"


class MissingScope(Problem):
    status, name, title = 403, "missing-scope", "The token does not allow this"


class UnknownDevice(Problem):
    status, name, title = 404, "unknown-device", "No insight of this device is stored"


class UnknownPrediction(Problem):
    status, name, title = 404, "unknown-prediction", "No such prediction is stored"


class UnknownRoute(Problem):
    status, name, title = 404, "unknown-route", "There is nothing at this address"


class TooFewInsights(Problem):
    status, name, title = 409, "too-few-insights", "The device has too few recent insights for a prediction"


class BodyTooLarge(Problem):
    status, name, title = 413, "body-too-large", "The request body is too large"


class UnsupportedMediaType(Problem):
    status, name, title = 415, "unsupported-media-type", "The request body must be JSON"


class TooManyRequests(Problem):
    status, name, title = 429, "too-many-requests", "This client has used up its requests of the minute"


class ModelUnavailable(Problem):
    status, name, title = 503, "model-unavailable", "The model cannot answer at the moment"


class ModelDown(ModelUnavailable):
    """The endpoint exists and gave no answer; a missing one is a ModelUnavailable only."""


class ModelResting(ModelUnavailable):
    """There is no endpoint by plan, so nothing is at fault."""

    name, title = "model-resting", "The endpoints rest outside their serving hours"


class StoreUnavailable(Problem):
    status, name, title = 503, "store-unavailable", "The store cannot be read or written at the moment"


class TelemetryUnavailable(Problem):
    status, name, title = 503, "telemetry-unavailable", "The stored insights cannot be read at the moment"


class ModelFailed(Problem):
    """The model refused or garbled a valid request: a fault of this service, never of its caller."""

    status, name, title = 503, "model-failed", "The model did not answer as it should"
