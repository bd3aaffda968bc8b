"""A Lambda of this app: its own log group, a role that may write to it and nothing else, Powertools' environment."""

from collections.abc import Callable, Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.nag import ROLE_ORDER, acknowledge, acknowledge_lint
from stacks.permissions import Permission, allow, grant
from stacks.settings import Settings

METRICS_NAMESPACE = "IopsInsights"

_TRACING = allow(
    ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
    ["*"],
    because="X-Ray's writing actions know no resource (service reference).",
)

# A Code belongs to one stack, so stacks are given its maker; template tests pass one that bundles nothing.
CodeMaker = Callable[[], lambda_.Code]


def _sending(queue: sqs.IQueue) -> Permission:
    return allow(
        ["sqs:SendMessage"], [queue.queue_arn], unused_because="Lambda's, for a call that failed three times; none did."
    )


class InsightFunction(Construct):
    """`name` is the function's folder below lambdas/; `permissions` is all that it may do beside logging.

    `failed_calls` is the queue for calls that nobody waits for and that failed, or why there is none to keep.
    """

    def __init__(  # noqa: PLR0913  # a function's own decisions, each by its name
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        code: lambda_.Code,
        timeout: cdk.Duration,
        failed_calls: sqs.IQueue | str,
        memory_mib: int = 256,
        environment: Mapping[str, str] | None = None,
        permissions: Sequence[Permission] = (),
    ) -> None:
        super().__init__(scope, "".join(word.capitalize() for word in name.split("_")))
        self.folder = name
        self.log_group = logs.LogGroup(
            self, "Logs", retention=settings.rules.log_retention, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant(self.role, "logs:CreateLogStream", "logs:PutLogEvents")
        grant(self.role, [_TRACING, *permissions])
        if not isinstance(failed_calls, str):
            grant(self.role, [_sending(failed_calls)])
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"lambdas.{name}.handler.handler",
            code=code,
            role=self.role,
            timeout=timeout,
            memory_size=memory_mib,
            log_group=self.log_group,
            dead_letter_queue=None if isinstance(failed_calls, str) else failed_calls,
            # Lambda itself traces an invocation and its cold start; Powertools' Tracer would add the SDK's calls, and its
            # imports to every cold start (bench cold_lambda).
            tracing=lambda_.Tracing.ACTIVE,
            environment={
                "STAGE": settings.stage,
                "POWERTOOLS_SERVICE_NAME": name,
                "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **(environment or {}),
            },
        )
        for rule in ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"):
            acknowledge(
                self.function, rule, "Python 3.13 is what the code is tested with; 3.14 follows with its own test run."
            )
        acknowledge_lint(self.function, "W3005", ROLE_ORDER)
        if isinstance(failed_calls, str):
            acknowledge(self.function, "Serverless-LambdaDLQ", failed_calls)

    @property
    def name(self) -> str:
        return self.function.function_name

    @property
    def arn(self) -> str:
        return self.function.function_arn
