"""The endpoints, beside the roll-back alarms that stand in their own stacks (stacks/rollback_alarms.py)."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.endpoint_stack import MOST_INSTANCES, VARIANT
from stacks.monitoring.alarm import FIVE_MINUTES, Breach, alarm, calculated, own_metric
from stacks.names import KINDS
from stacks.settings import Settings

# An average of calls is seldom a whole number.
_NEARLY_ALL = MOST_INSTANCES - 0.1
# A handful of requests in five minutes may all have been ended by their callers before the endpoint was asked.
_ASKED_ENOUGH = 10


def endpoint_metric(
    endpoint: str, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map={"EndpointName": endpoint, "VariantName": VARIANT},
        statistic=statistic,
        period=period,
    )


def endpoint_alarms(scope: Construct, settings: Settings) -> list[cloudwatch.Alarm]:
    """Faults that keep callers from their predictions."""
    return [
        made
        for kind in KINDS
        for made in (
            _client_errors(scope, kind, settings.endpoint_name(kind)),
            _no_invocations(scope, kind, settings.endpoint_name(kind)),
        )
    ]


def _client_errors(scope: Construct, kind: str, endpoint: str) -> cloudwatch.Alarm:
    return alarm(
        scope,
        "endpoint-client-errors",
        endpoint_metric(endpoint, "Invocation4XXErrors", "Average"),
        Breach(threshold=0.01, periods=3, needed=2),
        of=kind,
        says=f"{endpoint} refuses more than 1% of what the API sends it",
    )


def _no_invocations(scope: Construct, kind: str, endpoint: str) -> cloudwatch.Alarm:
    """Relative to what the API was asked: nobody asks at night, or of a deployment that is new."""
    # A metric that has never been put gives FILL nothing to fill; the sum over a list leaves it out.
    unheard = "IF(SUM([calls, asked * 0]) < 1, 1, 0)"
    answerable = "asked - SUM([refused, asked * 0])"
    return alarm(
        scope,
        "endpoint-no-invocations",
        calculated(
            f"IF({answerable} >= {_ASKED_ENOUGH}, {unheard}, 0)",
            {
                "asked": own_metric("predict", "Requests", "Sum", Kind=kind),
                "refused": own_metric("predict", "RequestsRefused", "Sum", Kind=kind),
                "calls": endpoint_metric(endpoint, "Invocations", "Sum"),
            },
            label="asked without an invocation",
        ),
        Breach(threshold=0),
        of=kind,
        says=f"Callers ask for {kind} predictions and none of their requests reaches {endpoint}",
    )


def scaling_alarms(scope: Construct, settings: Settings) -> list[cloudwatch.Alarm]:
    """SageMaker has no metric of instances: calls by calls per instance is how many answered."""
    return [
        alarm(
            scope,
            "endpoint-scaling-at-maximum",
            calculated(
                "IF(per_instance > 0, calls / per_instance, 0)",
                {
                    "calls": endpoint_metric(settings.endpoint_name(kind), "Invocations", "Sum"),
                    "per_instance": endpoint_metric(settings.endpoint_name(kind), "InvocationsPerInstance", "Sum"),
                },
                label="instances",
            ),
            Breach(threshold=_NEARLY_ALL, periods=12),
            of=kind,
            says=f"{settings.endpoint_name(kind)} has run on all of its {MOST_INSTANCES} instances for an hour",
        )
        for kind in KINDS
    ]
