"""Predict: adapter between API Gateway and `predict`, for POST /api/predict/risk and /api/predict/performance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.clients import hurried_client
from lambdas.environment import read_environment
from lambdas.predict.asking_again import CONNECT_SECONDS, READ_SECONDS
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predict import NOT_STORED, PredictEnvironment, predict
from lambdas.predict.predictions import Predictions
from lambdas.predict.problems import PROBLEM_MEDIA_TYPE, InvalidRequest, Problem, UnknownRoute
from lambdas.predict.request import read_body
from lambdas.predict.telemetry import Telemetry

# A table's call ends within 2 x (1 + 1) s. At worst there are four waits for one (the window's pages and the alerts side
# by side, the alerts again, the store; a second page is rare) and the endpoint's 1.8 s: before the function's 25 s and
# API Gateway's 29 s.
TABLE_CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 1.0, "most_attempts": 2}
ENDPOINT_CLIENT: Final = {
    "connect_timeout_seconds": CONNECT_SECONDS,
    "read_timeout_seconds": READ_SECONDS,
    "most_attempts": 1,
}
# What the store may take after the answer: the endpoint is not asked again at the cost of the prediction's record.
STORE_SECONDS: Final = 4.0
METRICS_NAMESPACE = "IopsInsights"

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


@cache
def application() -> APIGatewayRestResolver:
    environment = read_environment(PredictEnvironment)
    app = APIGatewayRestResolver(cors=_cors(environment.allowed_origins))

    def answer(kind: str) -> dict[str, Any]:
        metrics.add_dimension(name="Kind", value=kind)
        dynamodb = hurried_client("dynamodb", **TABLE_CLIENT)
        answered = predict(
            kind,
            _body_of(app),
            telemetry=Telemetry(environment.insights_table_name, environment.last_alert_index_name, dynamodb),
            endpoint=ModelEndpoint(
                environment.endpoint_of(kind), hurried_client("sagemaker-runtime", **ENDPOINT_CLIENT), _remaining(app)
            ),
            predictions=Predictions(environment.predictions_table_name, environment.prediction_days, dynamodb),
        )
        metrics.add_metric(name="Predictions", unit=MetricUnit.Count, value=1)
        if NOT_STORED in answered["warnings"]:
            metrics.add_metric(name="PredictionsNotStored", unit=MetricUnit.Count, value=1)
        return answered

    app.post("/api/predict/risk")(lambda: answer("risk"))
    app.post("/api/predict/performance")(lambda: answer("performance"))
    app.exception_handler(Problem)(lambda problem: _refusal(app, problem))
    app.not_found(lambda _: _refusal(app, UnknownRoute(f"no {app.current_event.http_method} {app.current_event.path}")))
    app.exception_handler(Exception)(lambda error: _bug(app, error))
    return app


def _remaining(app: APIGatewayRestResolver) -> Callable[[], float]:
    return lambda: app.lambda_context.get_remaining_time_in_millis() / 1000 - STORE_SECONDS


def _body_of(app: APIGatewayRestResolver) -> object:
    event = app.current_event
    try:
        text = event.decoded_body
    except ValueError as error:  # neither base64 nor UTF-8
        raise InvalidRequest("the body is not UTF-8 text", field="body") from error
    return read_body(text or "", event.headers.get("Content-Type"))


def _refusal(app: APIGatewayRestResolver, problem: Problem) -> Response[str]:
    name = "PredictionsUnavailable" if problem.status >= 500 else "PredictionsRefused"
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    logger.warning("refused", extra={"status": problem.status, "detail": problem.detail, "field": problem.field})
    return Response(
        status_code=problem.status,
        content_type=PROBLEM_MEDIA_TYPE,
        body=problem.to_json(app.current_event.path),
        headers=problem.headers(),
    )


def _bug(app: APIGatewayRestResolver, error: Exception) -> Response[str]:
    logger.error("unexpected error", exc_info=error)
    return _refusal(app, Problem("an unexpected error happened here; it is in the log under this request's id"))


def _cors(allowed_origins: str) -> CORSConfig:
    first, *others = [origin.strip() for origin in allowed_origins.split(",") if origin.strip()]
    return CORSConfig(
        allow_origin=first,
        extra_origins=others,
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
        max_age=600,
    )


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return application().resolve(event, context)
