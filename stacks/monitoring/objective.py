"""99.9% of prediction requests are answered without a server error, over 30 days; and the alarms on how fast the budget
of the other 0.1% is spent.

Windows and rates are those of Google's SRE workbook, "Alerting on SLOs" (6: multiwindow, multi-burn-rate alerts): a long
window says that it matters, a short one that it still goes on. An alarm has one period, so each window is an alarm, and
each pair a composite of two. A period of an hour or more may be up to seven days (PutMetricAlarm, Period).
"""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.monitoring.alarm import Breach, alarm, calculated
from stacks.names import KINDS

OBJECTIVE = 0.999
BUDGET = 1 - OBJECTIVE
BUDGET_PERIOD = cdk.Duration.days(30)
# Less traffic than this says nothing about a rate: one failed call would be a fire.
_FEWEST_CALLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """`rate` times as fast as the budget may be spent, over both windows."""

    entry: str
    rate: float
    long: tuple[str, cdk.Duration]
    short: tuple[str, cdk.Duration]
    spent: str
    wakes: bool

    @property
    def error_share(self) -> float:
        return round(self.rate * BUDGET, 6)


_MINUTES, _HOURS, _DAYS = cdk.Duration.minutes, cdk.Duration.hours, cdk.Duration.days
BURN_RATES = (
    BurnRate(
        entry="budget-burn-1h",
        rate=14.4,
        long=("1h", _HOURS(1)),
        short=("5m", _MINUTES(5)),
        spent="2% of the month's error budget went within an hour",
        wakes=True,
    ),
    BurnRate(
        entry="budget-burn-6h",
        rate=6,
        long=("6h", _HOURS(6)),
        short=("30m", _MINUTES(30)),
        spent="5% of the month's error budget went within six hours",
        wakes=True,
    ),
    BurnRate(
        entry="budget-burn-1d",
        rate=3,
        long=("1d", _DAYS(1)),
        short=("2h", _HOURS(2)),
        spent="10% of the month's error budget went within a day",
        wakes=False,
    ),
    BurnRate(
        entry="budget-burn-3d",
        rate=1,
        long=("3d", _DAYS(3)),
        short=("6h", _HOURS(6)),
        spent="10% of the month's error budget went within three days",
        wakes=False,
    ),
)


def prediction_metric(
    api: apigateway.RestApi, kind: str, name: str, statistic: str, *, period: cdk.Duration
) -> cloudwatch.Metric:
    """Of one route; API Gateway has it as the stage asks for detailed metrics (stacks/api/gateway.py)."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=name,
        dimensions_map={
            "ApiName": api.rest_api_name,
            "Method": "POST",
            "Resource": f"/api/predict/{kind}",
            "Stage": api.deployment_stage.stage_name,
        },
        statistic=statistic,
        period=period,
    )


def failed_share(
    api: apigateway.RestApi, period: cdk.Duration, *, fewest_calls: int = _FEWEST_CALLS
) -> cloudwatch.MathExpression:
    """Server errors by calls of both prediction routes; a route that nobody calls has no metric and is left out."""
    metrics = {
        f"{name}_{kind}": prediction_metric(api, kind, metric, "Sum", period=period)
        for kind in KINDS
        for name, metric in (("calls", "Count"), ("failed", "5XXError"))
    }
    calls, failed = 'SUM(METRICS("calls"))', 'SUM(METRICS("failed"))'
    return calculated(
        f"IF({calls} >= {fewest_calls}, {failed} / {calls}, 0)", metrics, period=period, label="share of failed calls"
    )


def burn_alarms(scope: Construct, api: apigateway.RestApi, burn: BurnRate) -> list[cloudwatch.Alarm]:
    """The two windows; they tell nobody."""
    return [
        alarm(
            scope,
            burn.entry,
            failed_share(api, period),
            Breach(threshold=burn.error_share),
            of=f"over-{window}",
            says=f"Prediction requests fail at more than {burn.rate:g} times the rate of the objective, over {window}",
        )
        for window, period in (burn.long, burn.short)
    ]
