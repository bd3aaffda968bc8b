"""Updating an endpoint's stack from a workflow, and looking at how that goes."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.workflows.steps import CALL_RETRY, expression, task


def update_stack(scope: Construct, name: str, parameters: str, *, initial: str, role_arn: str) -> sfn.CustomState:
    """UpdateStack with the previous template, as a role that can touch this endpoint's resources only."""
    request_token = f"'{initial}-' & $states.context.Execution.Name & '-' & $states.context.State.RetryCount"
    return task(
        scope,
        name,
        "aws-sdk:cloudformation:updateStack",
        {
            "StackName": expression("$plan.stack_name"),
            "UsePreviousTemplate": True,
            "Parameters": expression(parameters),
            "RoleARN": role_arn,
            "ClientRequestToken": expression(request_token),
        },
        timeout=cdk.Duration.minutes(1),
        # Refusals ("No updates ...", "... IN_PROGRESS ...") bear the same error name as throttling and are
        # answers; only what is surely throttling is worth a retry: 5, 10, 20 s.
        retries=(CALL_RETRY | {"ErrorEquals": ["CloudFormation.ThrottlingException"], "IntervalSeconds": 5},),
        output={},
        assign={
            "update_started": True,
            "update_token": expression(request_token),
            "updated_since": expression("$states.context.State.EnteredTime"),
        },
    )


def describe_stack(scope: Construct, name: str) -> sfn.CustomState:
    outputs = "$states.result.Stacks[0].Outputs[OutputKey = 'EndpointConfigName'].OutputValue"
    return task(
        scope,
        name,
        "aws-sdk:cloudformation:describeStacks",
        {"StackName": expression("$plan.stack_name")},
        timeout=cdk.Duration.minutes(1),
        output=expression(
            f"""{{'status': $states.result.Stacks[0].StackStatus,
            'endpoint_config': $exists({outputs}) ? {outputs} : ''}}"""
        ),
    )
