"""Predict: adapter between API Gateway and `predict`, for POST /api/predict/risk and /api/predict/performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from insights.experiments import CHALLENGER, LIVE
from insights.schema import KINDS
from lambdas.api.application import Api
from lambdas.api.caller import Caller
from lambdas.api.client_limit import ClientLimit
from lambdas.clients import hurried_client
from lambdas.environment import read_environment
from lambdas.metric_names import METRICS_NAMESPACE
from lambdas.parameters import parameter_value
from lambdas.predict.asking_again import CONNECT_SECONDS, read_seconds
from lambdas.predict.circuit import Circuit
from lambdas.predict.experiment import ExperimentNote
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predict import NOT_STORED, Parts, PredictEnvironment, predict, predict_items
from lambdas.predict.predictions import Predictions
from lambdas.predict.request import PredictionRequest, parse_body
from lambdas.predict.telemetry import Telemetry
from lambdas.serving_hours import ServingHours, rest

# A table's call ends within 2 x (1 + 1) s. At worst there are five waits for one (the caller's count, the window's pages
# and the alerts side by side, the alerts again, the store; a second page is rare) and the endpoint's 1.8 s: before the
# function's 25 s and API Gateway's 29 s. A hundred items have thirteen rounds of windows and four of the store.
TABLE_CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 1.0, "most_attempts": 2}
ENDPOINT_CLIENT: Final = {"connect_timeout_seconds": CONNECT_SECONDS, "most_attempts": 1}
# A caller hears of an endpoint that is down within 2 s, counted from the gateway.
HEARD_SECONDS: Final = 1.9
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

    circuits = {kind: {variant: Circuit() for variant in (LIVE, CHALLENGER)} for kind in KINDS}
    experiments = {kind: ExperimentNote(partial(parameter_value, environment.experiment_of(kind))) for kind in KINDS}
    hours = ServingHours.from_environment(environment.serving_hours, environment.serving_windows)

    def parts(kind: str, *, many: bool) -> Parts:
        def client(remaining_seconds: float) -> Any:
            read = read_seconds(remaining_seconds, is_many=many)
            return hurried_client("sagemaker-runtime", read_timeout_seconds=read, **ENDPOINT_CLIENT)

        return Parts(
            telemetry=Telemetry(environment.insights_table_name, environment.last_alert_index_name, dynamodb),
            endpoint=ModelEndpoint(
                environment.endpoint_of(kind),
                client,
                lambda: min(made.remaining_seconds() - STORE_SECONDS, HEARD_SECONDS - made.waited_seconds()),
                rest=lambda: rest(hours, now()),
            ),
            predictions=Predictions(environment.predictions_table_name, environment.prediction_days, dynamodb),
            circuits=circuits[kind],
            experiment=experiments[kind],
        )

    def answer(kind: str, caller: Caller) -> dict[str, Any]:
        metrics.add_dimension(name="Kind", value=kind)
        request = parse_body(made.body())
        if isinstance(request, PredictionRequest):
            answered = predict(kind, request, parts=parts(kind, many=False))
            count_predictions([answered])
            return answered
        made.count(caller, len(request) - 1)  # the request itself is counted already
        results = predict_items(kind, request, parts=parts(kind, many=True), instance=made.path)
        count_predictions([result["prediction"] for result in results if result["status"] == 200])
        return {"results": results}

    made.route("POST", "/api/predict/risk", lambda caller: answer("risk", caller), scope="predict")
    made.route("POST", "/api/predict/performance", lambda caller: answer("performance", caller), scope="predict")
    return made


def now() -> datetime:
    return datetime.now(UTC)


def count_predictions(answers: Sequence[Mapping[str, Any]]) -> None:
    metrics.add_metric(name="Predictions", unit=MetricUnit.Count, value=len(answers))
    unstored = sum(NOT_STORED in answer["warnings"] for answer in answers)
    if unstored:
        metrics.add_metric(name="PredictionsNotStored", unit=MetricUnit.Count, value=unstored)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api().resolve(event, context)
