"""DescribeModels: adapter between API Gateway and what is known of the service, for GET /api/models, /api/health and
/api/openapi.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.api.application import Api
from lambdas.api.client_limit import ClientLimit
from lambdas.clients import hurried_client
from lambdas.describe_models.describe_models import RESTING, LiveModels, ModelsEnvironment
from lambdas.describe_models.latest_watch import latest_watch
from lambdas.environment import read_environment
from lambdas.metric_names import METRICS_NAMESPACE

# Eight calls at worst, each 1 x (1 + 2) s as a rule: within the function's 25 s.
CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 2.0, "most_attempts": 2}
HEALTH_RETRY_SECONDS: Final = 30

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


@cache
def api() -> Api:
    environment = read_environment(ModelsEnvironment)
    live = LiveModels(
        environment,
        hurried_client("sagemaker", **CLIENT),
        hurried_client("ssm", **CLIENT),
        # S3's client, the slowest to make, is made for those alone who ask for the models.
        lambda kind: latest_watch(hurried_client("s3", **CLIENT), environment.bucket_name, kind),
    )
    limit = ClientLimit(
        environment.requests_table_name,
        environment.client_requests_per_minute,
        hurried_client("dynamodb", **CLIENT),
    )
    made = Api(allowed_origins=environment.allowed_origins, metrics=metrics, limit=limit)
    made.route("GET", "/api/models", lambda _: live.models(), scope="read")
    made.route("GET", "/api/health", lambda _: health_answer(live.health()), scope=None)
    made.route("GET", "/api/openapi.json", lambda _: openapi_text(), scope=None)
    return made


def health_answer(health: dict[str, Any]) -> Response[str]:
    is_well = health["status"] in ("ok", RESTING)
    return Response(
        status_code=200 if is_well else 503,
        content_type="application/json",
        body=json.dumps(health),
        headers={} if is_well else {"Retry-After": str(HEALTH_RETRY_SECONDS)},
    )


@cache
def openapi_text() -> Response[str]:
    from lambdas.api.openapi import document  # read by few, so that no other cold start pays for it

    return Response(status_code=200, content_type="application/json", body=json.dumps(document()))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api().resolve(event, context)
