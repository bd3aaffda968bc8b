"""States as both workflows write them: every task with a timeout, the retries that can help, and one way to fail.

Written as Amazon States Language with JSONata, as the console shows it; permissions stand with each workflow, because
CDK has no construct for processing and tuning jobs and those for Lambdas would allow every version.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction

Json = Any

# Why a permission of every workflow with `.sync` tasks is needed by no recorded run (stacks/permissions.py).
ON_ABORT = "Step Functions stops what it started when its execution is aborted; none was."
READS_TAGS = "Part of what Step Functions' guide asks for `.sync`; its stand-in on the laptop reads no tags."

# 2, 4, ... 64 s: 126 s in all, past a deployment of the function and a short burst of throttling.
LAMBDA_RETRY: Json = {
    "ErrorEquals": [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
        "TableThrottled",  # the export's and the ingestion's own name for a table that stayed busy; both may be repeated
    ],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}
# 1, 2, 5, 10, 10 min: 28 min for an instance quota that another run holds.
QUOTA_RETRY: Json = {
    "ErrorEquals": ["SageMaker.ResourceLimitExceededException", "SageMaker.ResourceLimitExceeded"],
    "IntervalSeconds": 60,
    "BackoffRate": 2.2,
    "MaxDelaySeconds": 600,
    "MaxAttempts": 5,
}
# 5, 10, 20 s: 35 s of throttling. The service answers a wrong request with the same name, so more would only delay
# the sentence that says what is wrong.
SAGEMAKER_RETRY: Json = {
    "ErrorEquals": ["SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException"],
    "IntervalSeconds": 5,
    "BackoffRate": 2,
    "MaxAttempts": 3,
    "JitterStrategy": "FULL",
}
# 2, 4, 8 s: 14 s of throttling of a small call. One that does not answer in its time limit is asked again as well: each
# of them may be repeated.
CALL_RETRY: Json = {
    "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxAttempts": 3,
    "JitterStrategy": "FULL",
}
JOB_RETRIES = (QUOTA_RETRY, SAGEMAKER_RETRY)
# 5, 10, 20 s, of an execution that could not be begun or did not say so: a second promotion waits for the stack update of the
# first and finds it made (a second end of an experiment is refused). One that was begun and failed has another name,
# States.TaskFailed.
NESTED_RETRY: Json = {
    "ErrorEquals": ["StepFunctions.AWSStepFunctionsException"],
    "IntervalSeconds": 5,
    "BackoffRate": 2,
    "MaxAttempts": 3,
    "JitterStrategy": "FULL",
}

# What the states after a function's read of its answer, by its folder in lambdas/: an answer of another shape fails in the
# state that got it, by the field that it lacks.
ANSWERS: Mapping[str, Sequence[str]] = {
    "prepare_run": ("run_id", "plan"),
    "ingest_insights": ("rows", "refused"),
    "export_insights": ("rows", "done"),
    "write_manifest": ("manifest", "plan"),
    "judge_model": ("passed", "metrics"),
    "summarize_run": ("models",),
    "prepare_promotion": ("action", "stack_name", "parameters"),
    "verify_endpoint": ("matched", "reason"),
    "describe_failure": ("error", "cause"),
}
# A job of a retried or redriven state must not meet its predecessor's name.
ATTEMPT = (
    "(($states.context.Execution.RedriveCount > 0 ? 'r' & $states.context.Execution.RedriveCount & '-' : '')"
    " & $states.context.State.RetryCount)"
)
# What DescribeFailure is asked about. An error need not have a cause, and a missing one would fail the expression.
CAUGHT = """{'state': $states.context.State.Name, 'error': $states.errorOutput.Error,
    'cause': $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '',
    'execution': $states.context.Execution.Id}"""


def expression(text: str) -> str:
    """A JSONata expression as a field's value."""
    return "{% " + " ".join(text.split()) + " %}"


def task(
    scope: Construct,
    name: str,
    resource: str,
    arguments: Json,
    *,
    timeout: cdk.Duration,
    retries: Sequence[Json] = (CALL_RETRY,),
    output: Json = None,
    assign: Mapping[str, Json] | None = None,
) -> sfn.CustomState:
    """`resource` is what follows arn:aws:states::: in the state's Resource."""
    state: dict[str, Json] = {
        "Type": "Task",
        "Resource": f"arn:{cdk.Stack.of(scope).partition}:states:::{resource}",
        "Arguments": arguments,
        "TimeoutSeconds": timeout.to_seconds(),
    }
    if retries:
        state["Retry"] = list(retries)
    if output is not None:
        state["Output"] = output
    if assign is not None:
        state["Assign"] = dict(assign)
    return sfn.CustomState(scope, name, state_json=state)


def invoke(
    scope: Construct,
    name: str,
    function: InsightFunction,
    payload: Json,
    *,
    timeout: cdk.Duration,
    output: Json = None,
    assign: Mapping[str, Json] | None = None,
    retries: Sequence[Json] = (LAMBDA_RETRY,),
) -> sfn.CustomState:
    """A Lambda; its answer is `$states.result.Payload`. The state waits a little longer than the function may run."""
    return task(
        scope,
        name,
        "lambda:invoke",
        {"FunctionName": function.arn, "Payload": payload},
        timeout=timeout.plus(cdk.Duration.seconds(30)),
        retries=retries,
        output=_checked(ANSWERS.get(function.folder, ()), "$states.result.Payload" if output is None else output),
        assign=assign,
    )


def _checked(fields: Sequence[str], output: Json) -> Json:
    """`output`, after the answer was seen to have the fields; text that is no expression yet becomes one."""
    text = json.dumps(output) if output == {} else str(output).removeprefix("{% ").removesuffix(" %}")
    missing = [
        f"$assert($exists($states.result.Payload.{field}), 'the function answered without {field}')" for field in fields
    ]
    return expression(f"({'; '.join((*missing, text))})" if missing else text)


def choice(scope: Construct, name: str) -> sfn.Choice:
    return sfn.Choice.jsonata(scope, name)


def when(text: str) -> sfn.Condition:
    return sfn.Condition.jsonata(expression(text))


class Failures(Construct):
    """Where a failing state goes: DescribeFailure finds the job's own reason and its log, Fail says it, or `end` is
    given {'error', 'cause'} instead.

    What was caught travels in a variable, `$caught`: CDK leaves the Output of a CustomState's Catch out (2.275).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        describe_failure: InsightFunction,
        end: sfn.IChainable | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        failed = end or sfn.Fail.jsonata(
            self, "Failed", error=expression("$states.input.error"), cause=expression("$states.input.cause")
        )
        # Without the description the raw error is still better than none.
        undescribed = sfn.Pass.jsonata(self, "FailedUndescribed", outputs=expression("$caught"))
        undescribed.next(failed)
        self.entry = describe(self, "DescribeFailure", describe_failure, "$caught")
        self.entry.add_catch(undescribed, errors=["States.ALL"])
        self.entry.next(failed)

    def catch(self, *states: sfn.CustomState | sfn.Map | sfn.DistributedMap | sfn.Parallel) -> None:
        for state in states:
            state.add_catch(self.entry, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})


def describe(scope: Construct, name: str, function: InsightFunction, caught: str) -> sfn.CustomState:
    """`caught` is the expression of what was caught, as CAUGHT has it."""
    return invoke(scope, name, function, expression(caught), timeout=cdk.Duration.seconds(60))
