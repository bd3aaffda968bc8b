"""What rolls an endpoint's deployment back, and the times that an alarm needs, from which the bake follows.

The alarms carry the new configuration's name as a dimension, so they see the new fleet alone: on the endpoint's name
and variant only, an old fleet in trouble would make SageMaker end the very deployment that cures it (SageMaker guide,
"Auto-Rollback Configuration and Monitoring"; it publishes each metric with and without EndpointConfigName).
"""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.names import rollback_alarm_name
from stacks.runbook import described

# SageMaker publishes once a minute, so no shorter period has data.
PERIOD_SECONDS = 60
# One minute with few requests and a cold start among them is no reason to go back; two in a row are.
DATAPOINTS = 2
METRIC_DELAY_SECONDS = 60
# A fault begins anywhere within a minute, which then need not count: one more period than datapoints, and the delay.
BAKE_SECONDS = PERIOD_SECONDS * (DATAPOINTS + 1) + METRIC_DELAY_SECONDS

SERVER_ERROR_SHARE = 0.01
LATENCY_MICROSECONDS = 500_000


def rollback_alarms(
    scope: Construct, *, kind: str, endpoint_name: str, variant: str, config_name: str
) -> list[cloudwatch.Alarm]:
    """Also what people are told of at any other time, by the page that has them as members (stacks/monitoring): the
    fleet that last went live is the one that serves."""
    dimensions = {"EndpointName": endpoint_name, "VariantName": variant, "EndpointConfigName": config_name}

    def alarm(what: str, metric: str, statistic: str, threshold: float, *, says: str, entry: str) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            scope,
            what,
            alarm_name=rollback_alarm_name(kind, what),
            metric=cloudwatch.Metric(
                namespace="AWS/SageMaker",
                metric_name=metric,
                dimensions_map=dimensions,
                statistic=statistic,
                period=cdk.Duration.seconds(PERIOD_SECONDS),
            ),
            threshold=threshold,
            evaluation_periods=DATAPOINTS,
            datapoints_to_alarm=DATAPOINTS,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=described(says, entry),
        )

    return [
        alarm(
            "ServerErrors",
            "Invocation5XXErrors",
            "Average",
            SERVER_ERROR_SHARE,
            says=f"More than {SERVER_ERROR_SHARE:.0%} of {endpoint_name}'s answers are server errors",
            entry="endpoint-server-errors",
        ),
        alarm(
            "ModelLatency",
            "ModelLatency",
            "p99",
            LATENCY_MICROSECONDS,
            says=f"{endpoint_name} takes more than {LATENCY_MICROSECONDS // 1000} ms (p99; the metric is in microseconds)",
            entry="endpoint-latency",
        ),
    ]
