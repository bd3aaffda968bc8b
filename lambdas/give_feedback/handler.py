"""GiveFeedback: adapter between API Gateway and `give_feedback`, for POST /api/feedback."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.api.application import Api
from lambdas.api.caller import Caller
from lambdas.api.client_limit import ClientLimit
from lambdas.clients import hurried_client
from lambdas.environment import read_environment
from lambdas.give_feedback.give_feedback import FeedbackEnvironment, give_feedback
from lambdas.metric_names import METRICS_NAMESPACE, put

# The caller's count, the feedback and the label: three writes of 2 x (1 + 2) s at worst, within the function's 20 s.
TABLE_CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 2.0, "most_attempts": 2}

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


@cache
def api() -> Api:
    environment = read_environment(FeedbackEnvironment)
    dynamodb = hurried_client("dynamodb", **TABLE_CLIENT)
    limit = ClientLimit(environment.requests_table_name, environment.client_requests_per_minute, dynamodb)
    made = Api(allowed_origins=environment.allowed_origins, metrics=metrics, limit=limit)

    def answer(caller: Caller) -> dict[str, Any]:
        given = give_feedback(
            made.body(),
            given_by=caller.name,
            predictions_table=environment.predictions_table_name,
            insights_table=environment.insights_table_name,
            dynamodb=dynamodb,
        )
        put("give_feedback", given.metrics(), Kind=given.kind)
        return given.feedback

    made.route("POST", "/api/feedback", answer, scope="feedback")
    return made


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api().resolve(event, context)
