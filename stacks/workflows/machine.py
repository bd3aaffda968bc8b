"""A Standard workflow of this app: JSONata, everything logged, traced, with a name that people look for."""

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.nag import ROLE_ORDER, acknowledge, acknowledge_lint
from stacks.settings import Settings


def workflow_machine(
    scope: Construct,
    *,
    name: str,
    definition: sfn.IChainable,
    settings: Settings,
    timeout: cdk.Duration,
) -> sfn.StateMachine:
    log_group = logs.LogGroup(
        scope,
        "Logs",
        log_group_name=log_group_name(name),
        retention=settings.rules.log_retention,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
    machine = sfn.StateMachine(
        scope,
        "StateMachine",
        state_machine_name=name,
        definition_body=sfn.DefinitionBody.from_chainable(definition),
        query_language=sfn.QueryLanguage.JSONATA,
        timeout=timeout,
        tracing_enabled=True,
        # The data of states are plans, places and counts, by which people see what a run did; rows travel by S3.
        logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
    )
    acknowledge(
        machine,
        "AwsSolutions-IAM5[Resource::*]",
        "Log delivery (logs:*LogDelivery and the like) and X-Ray know no resources.",
    )
    acknowledge_lint(machine, "W3005", ROLE_ORDER)
    return machine


def log_group_name(machine: str) -> str:
    """Step Functions adds every group that it may write to into one resource policy of 5,120 characters; groups below
    /aws/vendedlogs/ are exempt (Logging using CloudWatch Logs)."""
    return f"/aws/vendedlogs/states/{machine}"
