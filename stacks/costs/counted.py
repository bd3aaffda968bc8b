"""What the synthesised templates say of the number and size of things."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Templates = Mapping[str, Mapping[str, Any]]
# Target tracking makes one alarm above and one below its target.
_ALARMS_OF_TRACKING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """`function_gb` is the memory of each of this app's functions by its folder."""

    endpoints: int
    function_gb: Mapping[str, float]
    alarm_metrics: int
    composite_alarms: int
    dashboards: int
    service_clients: int
    schedules: int
    budgets: int
    machines: frozenset[str]
    has_page: bool

    @classmethod
    def from_templates(cls, templates: Templates) -> "Counted":
        def found(kind: str) -> list[Mapping[str, Any]]:
            return list(_properties(templates, kind))

        tracked = len(found("AWS::ApplicationAutoScaling::ScalingPolicy")) * _ALARMS_OF_TRACKING
        return cls(
            endpoints=len(found("AWS::SageMaker::Endpoint")),
            function_gb=dict(_functions(found("AWS::Lambda::Function"))),
            alarm_metrics=tracked + sum(_metrics_of(alarm) for alarm in found("AWS::CloudWatch::Alarm")),
            composite_alarms=len(found("AWS::CloudWatch::CompositeAlarm")),
            dashboards=len(found("AWS::CloudWatch::Dashboard")),
            service_clients=sum(
                "client_credentials" in client.get("AllowedOAuthFlows", [])
                for client in found("AWS::Cognito::UserPoolClient")
            ),
            schedules=sum("ScheduleExpression" in rule for rule in found("AWS::Events::Rule")),
            budgets=len(found("AWS::Budgets::Budget")),
            machines=frozenset(
                str(machine.get("StateMachineName")) for machine in found("AWS::StepFunctions::StateMachine")
            ),
            has_page=bool(found("AWS::CloudFront::Distribution")),
        )


def _properties(templates: Templates, kind: str) -> Iterator[Mapping[str, Any]]:
    for template in templates.values():
        for resource in template.get("Resources", {}).values():
            if resource["Type"] == kind:
                yield resource.get("Properties", {})


def _functions(functions: list[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for function in functions:
        handler = str(function.get("Handler", ""))
        if handler.startswith("lambdas."):  # CDK's own run at deployments only
            yield handler.split(".")[1], function["MemorySize"] / 1024


def _metrics_of(alarm: Mapping[str, Any]) -> int:
    """CloudWatch bills an alarm by the metrics that it reads."""
    return sum("MetricStat" in query for query in alarm["Metrics"]) if "Metrics" in alarm else 1
