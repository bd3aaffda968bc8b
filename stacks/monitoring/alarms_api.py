"""The API and the functions that answer for it."""

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.monitoring.alarm import FIVE_MINUTES, Breach, alarm, calculated
from stacks.monitoring.alarms_functions import function_alarms
from stacks.monitoring.watched import Watched

# One failed call of three is no share worth waking anybody for.
_FEWEST_CALLS = 20


def api_metric(
    api: apigateway.RestApi, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    """Over all routes, by the API's name."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=name,
        dimensions_map={"ApiName": api.rest_api_name},
        statistic=statistic,
        period=period,
    )


def api_alarms(scope: Construct, watched: Watched) -> list[cloudwatch.Alarm]:
    """Faults that callers notice."""
    api = watched.api
    return [
        alarm(
            scope,
            "api-server-errors",
            _share(api, "5XXError"),
            Breach(threshold=0.01, periods=2),
            says="More than 1% of the API's answers are server errors",
        ),
        alarm(
            scope,
            "api-latency",
            api_metric(api, "Latency", "p99"),
            Breach(threshold=2000, periods=3),
            says="The API takes more than 2 s (p99)",
        ),
        # A crash by itself is in the API's share of server errors; here it is a function that goes on crashing.
        *function_alarms(scope, watched.answering, periods=3, needed=2),
    ]


def caller_alarms(scope: Construct, api: apigateway.RestApi) -> list[cloudwatch.Alarm]:
    """Faults of callers."""
    return [
        alarm(
            scope,
            "api-client-errors",
            _share(api, "4XXError"),
            Breach(threshold=0.25, periods=3),
            says="More than a quarter of the API's calls are refused: a client is broken or probing",
        )
    ]


def _share(api: apigateway.RestApi, name: str) -> cloudwatch.MathExpression:
    return calculated(
        f"IF(calls >= {_FEWEST_CALLS}, refused / calls, 0)",
        {"calls": api_metric(api, "Count", "Sum"), "refused": api_metric(api, name, "Sum")},
        label=f"{name} by Count",
    )
