"""TrainModels: from insights in the table to judged, registered and promoted models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.names import KINDS, endpoint_stack_name, package_group_name, sagemaker_arn, stack_arn
from stacks.permissions import Permission, allow, grant
from stacks.workflows.engineering import Engineering, processing_task
from stacks.workflows.exporting import Exporting, ExportParts, acknowledge_children, export_permissions
from stacks.workflows.jobs import JobDefaults, job_name, processing_job
from stacks.workflows.lost_worker import catch_lost, repeated
from stacks.workflows.machine import workflow_machine
from stacks.workflows.model_branch import model_branch
from stacks.workflows.nested_promotion import nested_execution_permissions
from stacks.workflows.steps import (
    ON_ABORT,
    READS_TAGS,
    Failures,
    choice,
    expression,
    invoke,
    task,
    when,
)

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingParts:
    """What the workflow calls."""

    defaults: JobDefaults
    bucket: s3.IBucket
    topic: sns.ITopic
    functions: Mapping[str, InsightFunction]
    jobs_role: iam.IRole
    promote_model: sfn.IStateMachine
    insights_table: dynamodb.ITable

    @property
    def exporting(self) -> ExportParts:
        return ExportParts(bucket=self.bucket, insights_table=self.insights_table, functions=self.functions)


class TrainModels(Construct):
    """The state machine; every field of its input is optional, so that {} is a full run."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: TrainingParts) -> None:
        super().__init__(scope, construct_id)
        self._parts = parts
        self._failures = Failures(self, "Failure", describe_failure=parts.functions["describe_failure"])
        self.state_machine = workflow_machine(
            self,
            name="TrainModels",
            definition=self._definition(),
            settings=parts.defaults.settings,
            # Tuning's 24 h, everything before and after it, and a quota that is waited for at every job.
            timeout=cdk.Duration.hours(40),
        )
        grant(self.state_machine, self._permissions())
        acknowledge_children(self.state_machine)

    def _definition(self) -> sfn.IChainable:
        """The graph, as the console draws it."""
        prepare = self._prepare()
        generate, listed, load = self._generate(), self._list_generated(), self._load_generated()
        export = Exporting(self, self._parts.exporting)
        engineering = Engineering(self, self._parts.defaults)
        train, summarize = self._train(), self._summarize()

        engineering.last.next(train).next(summarize).next(self._notify())
        export.manifest.next(engineering.first)
        source = choice(self, "WhichSource")
        # What was ingested a moment ago is not in a point-in-time export for certain: a scan reads it consistently.
        source.when(when("$run.source.kind = 'synthetic'"), generate.next(listed).next(load).next(export.scan))
        source.when(when("$run.source.kind = 's3'"), engineering.first)
        source.otherwise(export.choice)
        self._failures.catch(prepare, listed, load, *export.catchable, *engineering.catchable, train, summarize)
        catch_lost(self, (generate, *engineering.jobs), otherwise=self._failures.entry)
        return prepare.next(source)

    def _prepare(self) -> sfn.CustomState:
        return invoke(
            self,
            "PrepareRun",
            self._parts.functions["prepare_run"],
            expression(
                """{'input': $states.context.Execution.Input, 'execution_arn': $states.context.Execution.Id,
                'execution_name': $states.context.Execution.Name,
                'redrive_count': $exists($states.context.Execution.RedriveCount)
                ? $states.context.Execution.RedriveCount : 0}"""
            ),
            timeout=cdk.Duration.seconds(60),
            # Every later state reads $run; $plan is that of what is known before the export, which counts; $manifest stays
            # empty when a run starts from files in S3.
            assign={
                "run": expression("$states.result.Payload"),
                "plan": expression("$states.result.Payload.plan"),
                "manifest": {},
                repeated(): [],
            },
        )

    def _generate(self) -> sfn.CustomState:
        return processing_task(
            self,
            "GenerateInsights",
            processing_job(
                self._parts.defaults,
                job_name("generate"),
                arguments=[
                    "generate",
                    "--records",
                    expression("$string($run.source.records)"),
                    "--seed",
                    expression("$string($run.source.seed)"),
                ],
                inputs=[],
                output_name="generated",
                output_uri=expression("'s3://' & $run.bucket & '/' & $run.raw_prefix & 'generated/'"),
                max_runtime_seconds=3600,
            ),
        )

    def _list_generated(self) -> sfn.CustomState:
        return task(
            self,
            "ListGenerated",
            "aws-sdk:s3:listObjectsV2",
            {"Bucket": expression("$run.bucket"), "Prefix": expression("$run.raw_prefix & 'generated/part-'")},
            timeout=cdk.Duration.minutes(1),
            # One page: 1,000 parts. The generator writes a few.
            output=expression("{'keys': [$states.result.Contents.Key]}"),
        )

    def _load_generated(self) -> sfn.Map:
        ingest = invoke(
            self,
            "IngestInsights",
            self._parts.functions["ingest_insights"],
            expression("{'bucket': $run.bucket, 'key': $states.input}"),
            timeout=cdk.Duration.minutes(15),
        )
        # Five writers: an on-demand table that was just made takes 4,000 writes a second (On-demand capacity mode).
        load = sfn.Map.jsonata(
            self,
            "LoadGenerated",
            items=sfn.ProvideItems.jsonata(expression("$states.input.keys")),
            max_concurrency=5,
            outputs=expression("{'rows': $sum($states.result.rows), 'refused': $sum($states.result.refused)}"),
        )
        return load.item_processor(ingest)

    def _train(self) -> sfn.Parallel:
        parallel = sfn.Parallel.jsonata(self, "TrainEachModel")
        for kind in KINDS:
            parallel.branch(model_branch(self, kind, parts=self._parts))
        return parallel

    def _summarize(self) -> sfn.CustomState:
        return invoke(
            self,
            "Summarize",
            self._parts.functions["summarize_run"],
            expression("{'run': $run, 'plan': $plan, 'manifest': $manifest, 'models': $states.input}"),
            timeout=cdk.Duration.seconds(30),
            assign={"summary": expression("$states.result.Payload")},
        )

    def _notify(self) -> sfn.CustomState:
        done = sfn.Succeed.jsonata(self, "Done")
        notify = task(
            self,
            "Notify",
            "sns:publish",
            {
                "TopicArn": self._parts.topic.topic_arn,
                "Subject": expression("'IOPS Insights: training run ' & $run.run_id & ' has ended'"),
                "Message": expression("$string($states.input, true)"),
            },
            timeout=cdk.Duration.minutes(1),
            output=expression("$states.input"),
        )
        # The models are trained and live: that nobody could be told is part of the answer, not a failed run.
        untold = sfn.Succeed.jsonata(
            self,
            "DoneUntold",
            outputs=expression("$merge([$summary, {'notification_failure': $states.input.Cause}])"),
        )
        notify.add_catch(untold, errors=["States.ALL"])
        notify.next(done)
        return notify

    def _permissions(self) -> list[Permission]:
        parts, stack = self._parts, cdk.Stack.of(self)
        return [
            allow(["lambda:InvokeFunction"], [function.arn for function in parts.functions.values()]),
            *job_permissions(stack, parts.jobs_role),
            allow(
                ["sagemaker:CreateModelPackage"],
                [
                    sagemaker_arn(stack, resource, name)
                    for kind in KINDS
                    for resource, name in (
                        ("model-package-group", package_group_name(kind)),
                        ("model-package", f"{package_group_name(kind)}/*"),
                    )
                ],
                because="A version's number is known when it is made.",
            ),
            # What is live, and where its model lies: the newcomer is judged beside it.
            allow(
                ["cloudformation:DescribeStacks"],
                [stack_arn(stack, endpoint_stack_name(kind)) for kind in KINDS],
                because="A stack's ARN ends in an id that it gets when it is made.",
            ),
            allow(
                ["sagemaker:DescribeModelPackage"],
                [sagemaker_arn(stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS],
                because="Any version of the group may be the live one.",
            ),
            allow(
                ["s3:ListBucket"],
                [parts.bucket.bucket_arn],
                {"StringLike": {"s3:prefix": ["raw/*", "features/splits.json"]}},
            ),
            # KeepSplits; SageMaker reads a package's model and metrics as the caller.
            allow(
                ["s3:GetObject"],
                [parts.bucket.arn_for_objects("features/*"), parts.bucket.arn_for_objects("models/*")],
                because="Every run has prefixes of its own below these two.",
            ),
            allow(["s3:PutObject"], [parts.bucket.arn_for_objects("features/splits.json")]),
            allow(["sns:Publish"], [parts.topic.topic_arn]),
            *export_permissions(parts.exporting),
            *nested_execution_permissions(stack),
        ]


def job_permissions(stack: cdk.Stack, jobs_role: iam.IRole) -> list[Permission]:
    """What `.sync` needs: the job, its end (EventBridge managed rules), its tags, and its role.

    Step Functions tags what it starts (AddTags) and stops it when the execution is stopped.
    """
    processing = sagemaker_arn(stack, "processing-job", "iops-*")
    tuning = [sagemaker_arn(stack, "hyper-parameter-tuning-job", f"{kind}-*") for kind in KINDS]
    verbs, because = ("Create", "Describe", "Stop"), "A job's name holds its run's id."
    rules = [
        stack.format_arn(service="events", resource="rule", resource_name=f"StepFunctionsGetEventsForSageMaker{name}")
        for name in ("ProcessingJobsRule", "TuningJobsRule")
    ]
    return [
        allow(
            [f"sagemaker:{verb}ProcessingJob" for verb in verbs],
            [processing],
            because=because,
            unused_because={"sagemaker:StopProcessingJob": ON_ABORT},
        ),
        allow(
            [f"sagemaker:{verb}HyperParameterTuningJob" for verb in verbs],
            tuning,
            because=because,
            unused_because={"sagemaker:StopHyperParameterTuningJob": ON_ABORT},
        ),
        allow(
            ["sagemaker:AddTags", "sagemaker:ListTags"],
            [processing, *tuning],
            because=because,
            unused_because={"sagemaker:ListTags": READS_TAGS},
        ),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rules),
        allow(
            ["iam:PassRole"],
            [jobs_role.role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]
