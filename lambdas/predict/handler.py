"""Predict: adapter between API Gateway and `predict`, for POST /api/predict/risk and /api/predict/performance."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.api.application import METRICS_NAMESPACE, Api
from lambdas.api.client_limit import ClientLimit
from lambdas.clients import hurried_client
from lambdas.environment import read_environment
from lambdas.predict.asking_again import CONNECT_SECONDS, READ_SECONDS
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predict import NOT_STORED, PredictEnvironment, predict
from lambdas.predict.predictions import Predictions
from lambdas.predict.telemetry import Telemetry

# A table's call ends within 2 x (1 + 1) s. At worst there are five waits for one (the caller's count, the window's pages
# and the alerts side by side, the alerts again, the store; a second page is rare) and the endpoint's 1.8 s: before the
# function's 25 s and API Gateway's 29 s.
TABLE_CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 1.0, "most_attempts": 2}
ENDPOINT_CLIENT: Final = {
    "connect_timeout_seconds": CONNECT_SECONDS,
    "read_timeout_seconds": READ_SECONDS,
    "most_attempts": 1,
}
# What the store may take after the answer: the endpoint is not asked again at the cost of the prediction's record.
STORE_SECONDS: Final = 4.0

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


@cache
def api() -> Api:
    environment = read_environment(PredictEnvironment)
    dynamodb = hurried_client("dynamodb", **TABLE_CLIENT)
    limit = ClientLimit(environment.requests_table_name, environment.client_requests_per_minute, dynamodb)
    made = Api(allowed_origins=environment.allowed_origins, metrics=metrics, limit=limit)

    def answer(kind: str) -> dict[str, Any]:
        metrics.add_dimension(name="Kind", value=kind)
        answered = predict(
            kind,
            made.body(),
            telemetry=Telemetry(environment.insights_table_name, environment.last_alert_index_name, dynamodb),
            endpoint=ModelEndpoint(
                environment.endpoint_of(kind),
                hurried_client("sagemaker-runtime", **ENDPOINT_CLIENT),
                lambda: made.remaining_seconds() - STORE_SECONDS,
            ),
            predictions=Predictions(environment.predictions_table_name, environment.prediction_days, dynamodb),
        )
        metrics.add_metric(name="Predictions", unit=MetricUnit.Count, value=1)
        if NOT_STORED in answered["warnings"]:
            metrics.add_metric(name="PredictionsNotStored", unit=MetricUnit.Count, value=1)
        return answered

    made.route("POST", "/api/predict/risk", lambda _: answer("risk"), scope="predict")
    made.route("POST", "/api/predict/performance", lambda _: answer("performance"), scope="predict")
    return made


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api().resolve(event, context)
