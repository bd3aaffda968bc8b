"""Updating an endpoint's stack from a workflow, and looking at how that goes."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.names import KINDS, endpoint_stack_name, stack_arn
from stacks.permissions import Permission, allow
from stacks.workflows.steps import CALL_RETRY, expression, task


def update_stack(scope: Construct, name: str, parameters: str, *, initial: str, role_arn: str) -> sfn.CustomState:
    """UpdateStack with the previous template, as a role that can touch this endpoint's resources only."""
    token = request_token(initial)
    return task(
        scope,
        name,
        "aws-sdk:cloudformation:updateStack",
        {
            "StackName": expression("$plan.stack_name"),
            "UsePreviousTemplate": True,
            "Parameters": expression(parameters),
            "RoleARN": role_arn,
            "ClientRequestToken": expression(token),
        },
        timeout=cdk.Duration.minutes(1),
        # Refusals ("No updates ...", "... IN_PROGRESS ...") bear the same error name as throttling and are
        # answers; only what is surely throttling is worth a retry: 5, 10, 20 s.
        retries=(CALL_RETRY | {"ErrorEquals": ["CloudFormation.ThrottlingException"], "IntervalSeconds": 5},),
        output={},
        assign={
            "update_started": True,
            "update_token": expression(token),
            "updated_since": expression("$states.context.State.EnteredTime"),
        },
    )


def request_token(initial: str) -> str:
    """What CloudFormation's events name an update by, in the state that asks for it."""
    return f"'{initial}-' & $states.context.Execution.Name & '-' & $states.context.State.RetryCount"


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


def update_permissions(stack: cdk.Stack, role_arn: str) -> list[Permission]:
    """What the two calls above need: both endpoints' stacks, and that CloudFormation may become `role_arn`."""
    stacks = [stack_arn(stack, endpoint_stack_name(kind)) for kind in KINDS]
    stack_id = "A stack's ARN ends in an id that it gets when it is made."
    return [
        # Without RoleARN CloudFormation would use the role of the last deployment: CDK's administrator.
        allow(
            ["cloudformation:UpdateStack"],
            stacks,
            {"StringEquals": {"cloudformation:RoleArn": role_arn}},
            because=stack_id,
        ),
        allow(["cloudformation:DescribeStacks"], stacks, because=stack_id),
        allow(["iam:PassRole"], [role_arn], {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}}),
    ]
