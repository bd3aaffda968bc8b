"""What Lambda says of a function: invocations that failed, and ones that it did not begin."""

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.monitoring.alarm import FIVE_MINUTES, Breach, alarm


def function_metric(function: InsightFunction, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=name,
        dimensions_map={"FunctionName": function.name},
        statistic=statistic,
        period=FIVE_MINUTES,
    )


def function_alarms(
    scope: Construct, functions: Mapping[str, InsightFunction], *, periods: int = 1, needed: int = 1
) -> list[cloudwatch.Alarm]:
    return [
        alarm(
            scope,
            entry,
            function_metric(function, metric, "Sum"),
            Breach(threshold=0, periods=periods, needed=needed),
            of=name,
            says=says.format(name),
        )
        for name, function in functions.items()
        for entry, metric, says in (
            ("function-errors", "Errors", "The function {} crashes or runs out of time or memory"),
            ("function-throttles", "Throttles", "Lambda does not begin invocations of {}: its concurrency is used up"),
        )
    ]
