"""An alarm of this app: a name that people can type, a runbook entry, and what no data means."""

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.functions import METRICS_NAMESPACE
from stacks.runbook import described

FIVE_MINUTES = cdk.Duration.minutes(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Above (or below) the threshold in `needed` (all) of `periods`. No data is no fault; with `keeps_state`, for what
    is measured once in hours or weeks, the last value counts until there is another."""

    threshold: float
    periods: int = 1
    needed: int | None = None
    is_below: bool = False
    keeps_state: bool = False


def alarm_name(entry: str, of: str | None = None) -> str:
    """`entry` is the runbook's heading; `of` tells apart the alarms that share it."""
    return f"iops-{entry}-{of}" if of else f"iops-{entry}"


def alarm(
    scope: Construct,
    entry: str,
    metric: cloudwatch.IMetric,
    breach: Breach,
    *,
    says: str,
    of: str | None = None,
) -> cloudwatch.Alarm:
    name = alarm_name(entry, of)
    comparison, missing = cloudwatch.ComparisonOperator, cloudwatch.TreatMissingData
    return cloudwatch.Alarm(
        scope,
        construct_id(name),
        alarm_name=name,
        metric=metric,
        threshold=breach.threshold,
        evaluation_periods=breach.periods,
        datapoints_to_alarm=breach.needed or breach.periods,
        comparison_operator=comparison.LESS_THAN_THRESHOLD if breach.is_below else comparison.GREATER_THAN_THRESHOLD,
        treat_missing_data=missing.IGNORE if breach.keeps_state else missing.NOT_BREACHING,
        alarm_description=described(says, entry),
    )


def construct_id(name: str) -> str:
    return "".join(part.capitalize() for part in name.removeprefix("iops-").replace("_", "-").split("-"))


def own_metric(
    function: str, name: str, statistic: str, *, period: cdk.Duration = FIVE_MINUTES, **dimensions: str
) -> cloudwatch.Metric:
    """A metric that a function of this app puts (lambdas/metric_names.py); Powertools adds `service`, its folder."""
    return cloudwatch.Metric(
        namespace=METRICS_NAMESPACE,
        metric_name=name,
        dimensions_map={"service": function, **dimensions},
        statistic=statistic,
        period=period,
    )


def calculated(
    expression: str, metrics: Mapping[str, cloudwatch.IMetric], *, period: cdk.Duration = FIVE_MINUTES, label: str = ""
) -> cloudwatch.MathExpression:
    """All metrics of an alarm's expression have one period, and there are ten at most (CloudWatch service quotas)."""
    return cloudwatch.MathExpression(
        expression=expression, using_metrics=dict(metrics), period=period, label=label or expression
    )
