"""What people look at, and what wakes them."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.data_stack import synthesizer
from stacks.endpoint_stack import VARIANT
from stacks.names import KINDS
from stacks.settings import Settings


class MonitoringStack(cdk.Stack):
    """The endpoints' own alarms stand with the endpoints, as they also roll deployments back."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        topic: sns.ITopic,
        workflows: Mapping[str, sfn.IStateMachine],
        api: apigateway.RestApi,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=settings.environment,
            synthesizer=synthesizer(settings),
            termination_protection=settings.rules.termination_protection,
            description="IOPS Insights: dashboard and alarms",
        )
        alarms = [*workflow_alarms(self, workflows), *api_alarms(self, api)]
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(topic))
        dashboard(self, settings, workflows, api, alarms)


def workflow_alarms(scope: Construct, workflows: Mapping[str, sfn.IStateMachine]) -> list[cloudwatch.Alarm]:
    """One failed or timed-out execution is worth a look."""
    five_minutes = cdk.Duration.minutes(5)
    return [
        _alarm(scope, f"{name}{what}", metric, threshold=0, periods=1, description=f"An execution of {name} has {verb}")
        for name, machine in workflows.items()
        for what, verb, metric in (
            ("Failed", "failed", machine.metric_failed(period=five_minutes)),
            ("TimedOut", "run out of time", machine.metric_timed_out(period=five_minutes)),
        )
    ]


def api_alarms(scope: Construct, api: apigateway.RestApi) -> list[cloudwatch.Alarm]:
    """Shares of calls: the two error metrics average to a rate."""
    five_minutes = cdk.Duration.minutes(5)
    return [
        _alarm(
            scope,
            "ApiServerErrors",
            api.metric_server_error(period=five_minutes, statistic="Average"),
            threshold=0.01,
            periods=2,
            description="More than 1% of the API's answers are server errors",
        ),
        _alarm(
            scope,
            "ApiClientErrors",
            api.metric_client_error(period=five_minutes, statistic="Average"),
            threshold=0.25,
            periods=3,
            description="More than a quarter of the API's calls are refused: a client is broken or probing",
        ),
        _alarm(
            scope,
            "ApiLatency",
            api.metric_latency(period=five_minutes, statistic="p99"),
            threshold=2000,
            periods=3,
            description="The API takes more than 2 s (p99)",
        ),
    ]


def _alarm(
    scope: Construct,
    construct_id: str,
    metric: cloudwatch.IMetric,
    *,
    threshold: float,
    periods: int,
    description: str,
) -> cloudwatch.Alarm:
    return cloudwatch.Alarm(
        scope,
        construct_id,
        metric=metric,
        threshold=threshold,
        evaluation_periods=periods,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=description,
    )


def dashboard(
    scope: Construct,
    settings: Settings,
    workflows: Mapping[str, sfn.IStateMachine],
    api: apigateway.RestApi,
    alarms: list[cloudwatch.Alarm],
) -> None:
    board = cloudwatch.Dashboard(scope, "Dashboard", default_interval=cdk.Duration.hours(12))
    board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=24, height=3))
    board.add_widgets(
        _graph("API calls and errors", api.metric_count(), api.metric_client_error(), api.metric_server_error()),
        _graph("API latency (ms)", api.metric_latency(statistic="p50"), api.metric_latency(statistic="p99")),
        *(
            _graph(name, machine.metric_started(), machine.metric_succeeded(), machine.metric_failed())
            for name, machine in workflows.items()
        ),
    )
    for kind in KINDS:
        endpoint = settings.endpoint_name(kind)
        board.add_widgets(
            _graph(
                f"{endpoint}: calls and errors",
                _endpoint_metric(endpoint, "Invocations", "Sum"),
                _endpoint_metric(endpoint, "Invocation4XXErrors", "Sum"),
                _endpoint_metric(endpoint, "Invocation5XXErrors", "Sum"),
            ),
            _graph(
                f"{endpoint}: latency (microseconds)",
                _endpoint_metric(endpoint, "ModelLatency", "p50"),
                _endpoint_metric(endpoint, "ModelLatency", "p99"),
                _endpoint_metric(endpoint, "OverheadLatency", "p99"),
            ),
            _graph(
                f"{endpoint}: calls per instance and minute",
                _endpoint_metric(endpoint, "InvocationsPerInstance", "Sum"),
            ),
        )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8)


def _endpoint_metric(endpoint: str, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map={"EndpointName": endpoint, "VariantName": VARIANT},
        statistic=statistic,
        period=cdk.Duration.minutes(1),
    )
