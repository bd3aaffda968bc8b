"""The API's one table of routes: what each takes, demands, answers and refuses. Document, tests and stack are held to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lambdas.api import examples
from lambdas.api.schemas import DEVICE_ID, GIVEN_MOMENT, KIND, Schema
from lambdas.read_fleet import read_fleet

_NEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 1024}
_SIGNED_IN: Final = (401, 403, 429, 500, 503)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    name: str
    schema: Schema
    description: str
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Route:
    """`answers` are names of schemas, any of which a 200 has; `scope` None: anybody may ask."""

    method: str
    path: str
    name: str
    summary: str
    scope: str | None
    function: str
    answers: tuple[str, ...]
    refusals: tuple[int, ...]
    examples: dict[str, Any]
    request: str | None = None
    request_examples: dict[str, Any] | None = None
    parameters: tuple[Parameter, ...] = ()


def _limit(most: int, default: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter(name="limit", schema=schema, description="How many at most")


_GO_ON: Final = Parameter(name="next", schema=_NEXT, description="The `next` of the page before, of the same question")
_DEVICE: Final = Parameter(name="device_id", schema=DEVICE_ID, description="The device", required=True)
_RANGE: Final = (
    Parameter(name="from", schema=GIVEN_MOMENT, description="Not before this time"),
    Parameter(name="to", schema=GIVEN_MOMENT, description="Before this time; later than `from`"),
)


def _prediction_route(kind: str, answer: str, results: str, shown: dict[str, Any]) -> Route:
    return Route(
        method="POST",
        path=f"/api/predict/{kind}",
        name=f"predict_{kind}",
        summary=f"Predict the {kind} of the next half hour",
        scope="predict",
        function="predict",
        request="PredictionRequest",
        request_examples=examples.PREDICTION_REQUESTS,
        answers=(answer, results),
        refusals=(400, 404, 409, 413, 415, *_SIGNED_IN),
        examples=shown,
    )


ROUTES: Final = (
    _prediction_route("risk", "RiskPrediction", "RiskResults", examples.RISK_ANSWERS),
    _prediction_route("performance", "PerformancePrediction", "PerformanceResults", examples.PERFORMANCE_ANSWERS),
    Route(
        method="GET",
        path="/api/devices",
        name="list_devices",
        summary="The newest known state of each device",
        scope="read",
        function="read_fleet",
        answers=("Devices",),
        refusals=(400, *_SIGNED_IN),
        examples=examples.DEVICES,
        parameters=(_limit(read_fleet.MOST_DEVICES, read_fleet.DEVICES), _GO_ON),
    ),
    Route(
        method="GET",
        path="/api/insights",
        name="list_insights",
        summary="Insights of a device, oldest first; the newest ones where `from` is left out",
        scope="read",
        function="read_fleet",
        answers=("Insights",),
        refusals=(400, *_SIGNED_IN),
        examples=examples.INSIGHTS,
        parameters=(_DEVICE, *_RANGE, _limit(read_fleet.MOST_INSIGHTS, read_fleet.INSIGHTS), _GO_ON),
    ),
    Route(
        method="GET",
        path="/api/predictions",
        name="list_predictions",
        summary="Predictions about a device as they were answered, newest first, with the feedback given",
        scope="read",
        function="read_fleet",
        answers=("Predictions",),
        refusals=(400, *_SIGNED_IN),
        examples=examples.PREDICTIONS,
        parameters=(
            _DEVICE,
            Parameter(name="kind", schema=KIND, description="Of this kind alone"),
            *_RANGE,
            _limit(read_fleet.MOST_PREDICTIONS, read_fleet.PREDICTIONS),
            _GO_ON,
        ),
    ),
    Route(
        method="POST",
        path="/api/feedback",
        name="give_feedback",
        summary="Say what really happened; the same again changes nothing, another one replaces it",
        scope="feedback",
        function="give_feedback",
        request="GivenFeedback",
        request_examples=examples.FEEDBACK_REQUESTS,
        answers=("Feedback",),
        refusals=(400, 404, 413, 415, *_SIGNED_IN),
        examples=examples.FEEDBACK,
    ),
    Route(
        method="GET",
        path="/api/models",
        name="list_models",
        summary="The live models with the numbers that the gate judged",
        scope="read",
        function="describe_models",
        answers=("Models",),
        refusals=_SIGNED_IN,
        examples=examples.MODELS,
    ),
    Route(
        method="GET",
        path="/api/health",
        name="health",
        summary="Whether both models can be asked, or rest by plan",
        scope=None,
        function="describe_models",
        answers=("Health",),
        refusals=(429, 500, 503),
        examples=examples.HEALTH,
    ),
    Route(
        method="GET",
        path="/api/openapi.json",
        name="openapi",
        summary="This document",
        scope=None,
        function="describe_models",
        answers=(),
        refusals=(429, 500),
        examples={},
    ),
)
