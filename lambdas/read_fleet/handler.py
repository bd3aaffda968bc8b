"""ReadFleet: adapter between API Gateway and `Fleet`, for GET /api/devices, /api/insights and /api/predictions."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.api.application import Api
from lambdas.api.client_limit import ClientLimit
from lambdas.clients import hurried_client
from lambdas.environment import read_environment
from lambdas.metric_names import METRICS_NAMESPACE
from lambdas.read_fleet.read_fleet import Fleet, FleetEnvironment

# A page is one query as a rule: 2 x (1 + 3) s, within the function's 15 s.
TABLE_CLIENT: Final = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 3.0, "most_attempts": 2}

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


@cache
def api() -> Api:
    environment = read_environment(FleetEnvironment)
    dynamodb = hurried_client("dynamodb", **TABLE_CLIENT)
    limit = ClientLimit(environment.requests_table_name, environment.client_requests_per_minute, dynamodb)
    made = Api(allowed_origins=environment.allowed_origins, metrics=metrics, limit=limit)
    fleet = Fleet(environment, dynamodb)
    made.route("GET", "/api/devices", lambda _: fleet.devices(made.query()), scope="read")
    made.route("GET", "/api/insights", lambda _: fleet.insights(made.query()), scope="read")
    made.route("GET", "/api/predictions", lambda _: fleet.predictions(made.query()), scope="read")
    return made


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return api().resolve(event, context)
