"""WatchModels: each live model's period beside what it was trained on; metrics, report, and an alarm where it has drifted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.names import KINDS, sagemaker_arn
from stacks.permissions import Permission, allow, grant
from stacks.workflows.jobs import JobDefaults, job_name, processing_input, processing_job
from stacks.workflows.lost_worker import catch_lost, repeated
from stacks.workflows.machine import workflow_machine
from stacks.workflows.steps import (
    CAUGHT,
    JOB_RETRIES,
    ON_ABORT,
    READS_TAGS,
    choice,
    describe,
    expression,
    invoke,
    task,
    when,
)

Json = Any

_JOB_SECONDS = 3600
_CAPTURED_ROOT = "/opt/ml/processing/input/captured"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """What the workflow calls: its three functions, judge_experiment and describe_failure."""

    defaults: JobDefaults
    functions: Mapping[str, InsightFunction]
    jobs_role: iam.IRole


class WatchModels(Construct):
    """The state machine; {} watches the period that ends as the execution begins."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: WatchParts) -> None:
        super().__init__(scope, construct_id)
        self._parts = parts
        each = sfn.Parallel.jsonata(self, "WatchEachModel")
        for kind in KINDS:
            each.branch(self._branch(kind))
        watched = sfn.Succeed.jsonata(self, "Watched", outputs=expression("{'models': $states.input}"))
        failed = sfn.Fail.jsonata(
            self,
            "WatchFailed",
            error=expression("$states.input[status = 'failed'][0].error"),
            cause=expression("$join($states.input[status = 'failed'].(kind & ': ' & cause), '; ')"),
        )
        ended = choice(self, "DidEachSucceed")
        ended.when(when("'failed' in $states.input.status"), failed).otherwise(watched)
        self.state_machine = workflow_machine(
            self,
            name="WatchModels",
            definition=each.next(ended),
            settings=parts.defaults.settings,
            # The job's hour, a quota that is waited for, and the outcomes of a large fleet.
            timeout=cdk.Duration.hours(4),
        )
        grant(self.state_machine, self._permissions())

    def _branch(self, kind: str) -> sfn.IChainable:
        """It ends in an outcome whatever happens, so that the other model is watched all the same."""
        title = kind.capitalize()
        prepare, collect = self._prepare(kind), self._collect(kind)
        judge, publish, failed = self._judge(kind), self._publish(kind), self._failed(kind)
        look = self._judge_experiment(kind)
        for state in (prepare, collect, publish, look):
            state.add_catch(failed, errors=["States.ALL"], assign={f"{kind}_caught": expression(CAUGHT)})
        catch_lost(self, [judge], otherwise=failed, kind=kind)
        skipped = sfn.Succeed.jsonata(self, f"{title}Skipped", outputs=expression(f"${kind}_plan"))
        done = sfn.Succeed.jsonata(self, f"{title}Watched")
        collected = choice(self, f"Are{title}OutcomesCollected")
        collected.when(when("$states.input.done"), judge.next(publish).next(look).next(done)).otherwise(collect)
        wanted = choice(self, f"IsThere{title}Traffic")
        wanted.when(when(f"${kind}_plan.status = 'skipped'"), skipped).otherwise(collect.next(collected))
        return prepare.next(wanted)

    def _prepare(self, kind: str) -> sfn.CustomState:
        return invoke(
            self,
            f"Prepare{kind.capitalize()}",
            self._parts.functions["prepare_watch"],
            expression(
                f"""{{'kind': '{kind}', 'input': $exists($states.context.Execution.Input)
                ? $states.context.Execution.Input : {{}}, 'started_at': $states.context.Execution.StartTime,
                'execution_arn': $states.context.Execution.Id}}"""
            ),
            timeout=cdk.Duration.seconds(60),
            output={},
            assign={f"{kind}_plan": expression("$states.result.Payload"), repeated(kind): []},
        )

    def _collect(self, kind: str) -> sfn.CustomState:
        """One near its time limit hands on to the next where it stopped."""
        return invoke(
            self,
            f"Collect{kind.capitalize()}Outcomes",
            self._parts.functions["collect_outcomes"],
            expression(
                f"""{{'plan': ${kind}_plan,
                'start_key': $exists($states.input.start_key) ? $states.input.start_key : null,
                'part': $exists($states.input.part) ? $states.input.part : 0}}"""
            ),
            timeout=cdk.Duration.minutes(15),
        )

    def _judge(self, kind: str) -> sfn.CustomState:
        plan = f"${kind}_plan"
        fixed = ", ".join(
            (
                processing_input("model", f"{plan}.model_uri"),
                processing_input("outcomes", f"'s3://' & {plan}.bucket & '/' & {plan}.prefix & 'outcomes/'"),
            )
        )
        request = processing_job(
            self._parts.defaults,
            job_name(f"watch-{kind}", kind=kind, run_id=f"{plan}.run_id"),
            arguments=[
                "watch",
                "--kind",
                kind,
                *(
                    argument
                    for name in ("start", "end", "model_version", "report")
                    for argument in (_OPTIONS[name], expression(f"{plan}.{name}"))
                ),
            ],
            inputs=expression(f"$append([{fixed}], {_captured_inputs(plan)})"),
            output_name="watch",
            output_uri=expression(f"'s3://' & {plan}.bucket & '/' & {plan}.prefix"),
            max_runtime_seconds=_JOB_SECONDS,
        )
        return task(
            self,
            f"Judge{kind.capitalize()}",
            "sagemaker:createProcessingJob.sync",
            request,
            timeout=cdk.Duration.seconds(_JOB_SECONDS + 1800),
            retries=JOB_RETRIES,
            output={},
        )

    def _publish(self, kind: str) -> sfn.CustomState:
        return invoke(
            self,
            f"Publish{kind.capitalize()}",
            self._parts.functions["publish_watch"],
            expression(f"{{'plan': ${kind}_plan}}"),
            timeout=cdk.Duration.seconds(30),
        )

    def _judge_experiment(self, kind: str) -> sfn.CustomState:
        """The outcomes that were collected also tell the variants apart; where no experiment runs this says so."""
        plan = f"${kind}_plan"
        return invoke(
            self,
            f"Judge{kind.capitalize()}Experiment",
            self._parts.functions["judge_experiment"],
            expression(
                f"{{'kind': '{kind}', 'outcomes_uri': 's3://' & {plan}.bucket & '/' & {plan}.prefix & 'outcomes/'}}"
            ),
            timeout=cdk.Duration.minutes(15),
            output=expression("$merge([$states.input, {'experiment': $states.result.Payload}])"),
        )

    def _failed(self, kind: str) -> sfn.IChainable:
        """The job's own reason, or what was caught where nobody can describe it."""
        title, caught = kind.capitalize(), f"${kind}_caught"
        failed = sfn.Succeed.jsonata(
            self,
            f"{title}Failed",
            outputs=expression(
                f"{{'kind': '{kind}', 'status': 'failed', 'error': $states.input.error, 'cause': $states.input.cause}}"
            ),
        )
        undescribed = sfn.Pass.jsonata(self, f"{title}FailedUndescribed", outputs=expression(caught))
        described = describe(self, f"Describe{title}Failure", self._parts.functions["describe_failure"], caught)
        described.add_catch(undescribed, errors=["States.ALL"])
        described.next(failed)
        undescribed.next(failed)
        return described

    def _permissions(self) -> list[Permission]:
        stack = cdk.Stack.of(self)
        jobs = sagemaker_arn(stack, "processing-job", "iops-watch-*")
        because = "A job's name holds its execution's id."
        rule = stack.format_arn(
            service="events", resource="rule", resource_name="StepFunctionsGetEventsForSageMakerProcessingJobsRule"
        )
        return [
            allow(["lambda:InvokeFunction"], [function.arn for function in self._parts.functions.values()]),
            # What `.sync` needs: the job, its end by an EventBridge managed rule, its tags, and its role.
            allow(
                [f"sagemaker:{verb}ProcessingJob" for verb in ("Create", "Describe", "Stop")],
                [jobs],
                because=because,
                unused_because={"sagemaker:StopProcessingJob": ON_ABORT},
            ),
            allow(
                ["sagemaker:AddTags", "sagemaker:ListTags"],
                [jobs],
                because=because,
                unused_because={"sagemaker:ListTags": READS_TAGS},
            ),
            allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
            allow(
                ["iam:PassRole"],
                [self._parts.jobs_role.role_arn],
                {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
        ]


_OPTIONS = {"start": "--start", "end": "--end", "model_version": "--model-version", "report": "--report-uri"}


def _captured_inputs(plan: str) -> str:
    """An input for each variant's day, below the folder that holds them all, as PrepareWatch found them."""
    return (
        f"$map({plan}.captured, function($part) {{ {{'InputName': $part.name, 'S3Input': {{'S3Uri': $part.uri, "
        f"'LocalPath': '{_CAPTURED_ROOT}/' & $part.path, 'S3DataType': 'S3Prefix', 'S3InputMode': 'File'}}}} }})"
    )
