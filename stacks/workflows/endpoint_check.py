"""What PromoteModel asks an updated endpoint: which configuration it really runs, and the golden answers."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.workflows.steps import expression, invoke, task


def describe_endpoint(scope: Construct) -> sfn.CustomState:
    return task(
        scope,
        "DescribeEndpoint",
        "aws-sdk:sagemaker:describeEndpoint",
        {"EndpointName": expression("$plan.endpoint_name")},
        timeout=cdk.Duration.minutes(1),
        output=expression(
            """{'status': $states.result.EndpointStatus, 'stack_endpoint_config': $states.input.endpoint_config,
            'why': $exists($states.result.FailureReason) ? $states.result.FailureReason : 'no reason is given'}"""
        ),
        assign={"live_config": expression("$states.result.EndpointConfigName")},
    )


def verify_endpoint(scope: Construct, function: InsightFunction) -> sfn.CustomState:
    """The plan says which variant must answer as which package: the challenger's own where it answers anybody."""
    return invoke(
        scope,
        "VerifyEndpoint",
        function,
        expression(
            """{'endpoint_name': $plan.endpoint_name, 'golden_uri': $plan.verify.golden_uri,
            'expected_package': $plan.verify.package, 'variant': $plan.verify.variant}"""
        ),
        timeout=cdk.Duration.minutes(2),
        assign={"verification": expression("$states.result.Payload")},
    )
