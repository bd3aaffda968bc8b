"""PromoteModel ending the experiment whose challenger it is to make live: it starts itself, and waits."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.permissions import Permission, allow
from stacks.workflows.steps import NESTED_RETRY, ON_ABORT, expression, task

PROMOTE_MODEL = "PromoteModel"


def end_experiment(scope: Construct) -> sfn.CustomState:
    """Named by its ARN, as a definition cannot refer to the machine that it is the definition of."""
    return task(
        scope,
        "EndExperiment",
        "states:startExecution.sync:2",
        {
            "StateMachineArn": promote_model_arn(cdk.Stack.of(scope)),
            "Input": {
                "kind": expression("$plan.kind"),
                "drop_challenger": True,
                "reason": expression("'the challenger ' & $plan.target_package & ' is promoted'"),
                # Links the two executions in the console.
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": expression("$states.context.Execution.Id"),
            },
        },
        # Less than its starter's own four hours.
        timeout=cdk.Duration.hours(2),
        retries=(NESTED_RETRY,),
        output={},
    )


def nested_execution_permissions(stack: cdk.Stack) -> list[Permission]:
    """What startExecution.sync:2 of PromoteModel needs (Manage nested executions)."""
    executions = stack.format_arn(
        service="states",
        resource="execution",
        resource_name=f"{PROMOTE_MODEL}:*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    rule = stack.format_arn(
        service="events", resource="rule", resource_name="StepFunctionsGetEventsForStepFunctionsExecutionRule"
    )
    return [
        allow(["states:StartExecution"], [promote_model_arn(stack)]),
        allow(
            ["states:DescribeExecution", "states:StopExecution"],
            [executions],
            because="An execution's name holds its run's id.",
            unused_because={"states:StopExecution": ON_ABORT},
        ),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
    ]


def promote_model_arn(stack: cdk.Stack) -> str:
    """By its name, for what the machine itself is made after, or of."""
    return stack.format_arn(
        service="states",
        resource="stateMachine",
        resource_name=PROMOTE_MODEL,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
