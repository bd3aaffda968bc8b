"""The Lambdas of the two workflows, each with exactly the permissions that its code uses."""

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.functions import CodeMaker, InsightFunction
from stacks.names import (
    KINDS,
    endpoint_arn,
    endpoint_stack_name,
    experiment_parameter,
    package_group_name,
    sagemaker_arn,
    stack_arn,
)
from stacks.permissions import Permission, allow
from stacks.settings import Settings
from stacks.workflows.nested_promotion import promote_model_arn

_STACK_ID = "A stack's ARN ends in an id that it gets when it is made."
_LOG_GROUP = "CloudWatch Logs authorises a group's contents on the ARN that ends in ':*'."
_NO_CHILD_FAILED = "Asked which child of an export failed; none did."
_COUNTED_BY_EXPORT = "Counts the rows of a run whose source is S3; the recorded ones export from the table."

# Each is called by somebody who waits for its answer, so no call of it can be lost unnoticed.
_FAILED_CALLS = {
    "prepare_run": "TrainModels waits for the plan of its run; without one the execution fails and nothing has begun.",
    "ingest_insights": "Whoever loads rows waits for their count; loading them again writes the same items.",
    "export_insights": "TrainModels calls a segment again, which writes over what the first attempt left.",
    "write_manifest": "TrainModels waits for the manifest's place; no step after it can begin without.",
    "judge_model": "Its branch of TrainModels waits for the verdict; a model without one is not registered.",
    "summarize_run": "TrainModels waits for the summary, which is its own output.",
    "prepare_promotion": "PromoteModel waits for its plan; nothing has been changed by then.",
    "verify_endpoint": "PromoteModel waits for the comparison; without one it goes back to what was live.",
    "judge_experiment": "WatchModels waits for the judgement; the experiment goes on until a later one.",
    "describe_failure": "A workflow that has failed already waits for it, and ends with the plain cause otherwise.",
}


class TrainingFunctions(Construct):
    """`by_name["prepare_run"]` and so on, by the folder below lambdas/."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        code: CodeMaker,
        bucket: s3.IBucket,
        insights_table: dynamodb.ITable,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._code = settings, code()
        self._bucket, self._table = bucket, insights_table
        self._stack = cdk.Stack.of(self)
        self._endpoints = [endpoint_arn(self._stack, settings.endpoint_name(kind)) for kind in KINDS]
        self._endpoint_logs = [
            self._stack.format_arn(
                service="logs",
                resource="log-group",
                resource_name=f"/aws/sagemaker/Endpoints/{settings.endpoint_name(kind)}:*",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for kind in KINDS
        ]
        self._endpoint_stacks = [stack_arn(self._stack, endpoint_stack_name(kind)) for kind in KINDS]
        functions = [
            self._prepare_run(),
            self._ingest_insights(),
            self._export_insights(),
            self._write_manifest(),
            self._judge_model(),
            self._summarize_run(),
            self._prepare_promotion(),
            self._verify_endpoint(),
            self._judge_experiment(),
            self._describe_failure(),
        ]
        self.by_name: Mapping[str, InsightFunction] = {function.folder: function for function in functions}

    def _prepare_run(self) -> InsightFunction:
        settings = self._settings
        sources = [
            self._stack.format_arn(service="s3", region="", account="", resource=b) for b in settings.source_buckets
        ]
        permissions = [
            allow(["s3:ListBucket"], [self._bucket.bucket_arn, *sources]),
            allow(["dynamodb:DescribeTable"], [self._table.table_arn]),
        ]
        if settings.create_bucket:
            permissions.append(allow(["s3:CreateBucket"], [self._bucket.bucket_arn]))
        return self._function(
            "prepare_run",
            timeout=cdk.Duration.seconds(60),
            environment={
                "BUCKET_NAME": self._bucket.bucket_name,
                "CREATE_BUCKET": str(settings.create_bucket).lower(),
                "INSIGHTS_TABLE_NAME": self._table.table_name,
                "MODEL_TYPE": settings.model_type,
                "TUNING_MAX_JOBS": str(settings.tuning_max_jobs),
                "TUNING_MAX_PARALLEL_JOBS": str(settings.tuning_max_parallel_jobs),
                "SCAN_SEGMENTS": str(settings.scan_segments),
                "PROCESSING_INSTANCE_TYPE": settings.processing_instance_type,
                "TRAINING_INSTANCE_TYPE": settings.training_instance_type,
                "LARGER_INSTANCE_TYPES": ",".join(settings.larger_instance_types),
                "MOST_PROCESSING_INSTANCES": str(settings.most_processing_instances),
                "MOST_TRAINING_INSTANCES": str(settings.most_training_instances),
            },
            permissions=permissions,
        )

    def _ingest_insights(self) -> InsightFunction:
        return self._function(
            "ingest_insights",
            timeout=cdk.Duration.minutes(15),
            memory_mib=1024,
            environment={"INSIGHTS_TABLE_NAME": self._table.table_name},
            permissions=[
                self._objects(["s3:GetObject"], "raw/*/generated/*", "incoming/*"),
                self._objects(["s3:PutObject"], "quarantine/*"),
                allow(["dynamodb:BatchWriteItem"], [self._table.table_arn]),
            ],
        )

    def _export_insights(self) -> InsightFunction:
        """A batch of 48 MB is in memory three times when it is written, and a device may be as large as five of them."""
        return self._function(
            "export_insights",
            timeout=cdk.Duration.minutes(15),
            memory_mib=2048,
            environment={"INSIGHTS_TABLE_NAME": self._table.table_name, "HAND_ON_MARGIN_SECONDS": "60"},
            permissions=[
                allow(["dynamodb:Scan"], [self._table.table_arn]),
                # Files of a point-in-time export.
                self._objects(["s3:GetObject"], "exports/*/table/*"),
                # A repeated segment removes what its first attempt wrote beyond its own last batch.
                self._objects(
                    ["s3:PutObject", "s3:DeleteObject"],
                    "raw/*",
                    "exports/*",
                    "quarantine/*",
                    unused={"s3:DeleteObject": "Batches of a first attempt that got further; no segment was repeated."},
                ),
                self._listing("raw/*", "exports/*", "quarantine/*"),
            ],
        )

    def _write_manifest(self) -> InsightFunction:
        return self._function(
            "write_manifest",
            timeout=cdk.Duration.minutes(15),
            memory_mib=3008,  # devices that are brought together are in memory (write_manifest.regroup)
            permissions=[
                self._listing("raw/*", "exports/*", "quarantine/*"),
                self._objects(["s3:GetObject"], "raw/*", "exports/*"),
                # Batches whose devices are brought together are replaced.
                self._objects(["s3:PutObject", "s3:DeleteObject"], "raw/*", "exports/*"),
                self._objects(
                    ["s3:AbortMultipartUpload"],
                    "raw/*",
                    unused={"s3:AbortMultipartUpload": "Takes back an upload that failed half-way; none did."},
                ),
            ],
        )

    def _judge_model(self) -> InsightFunction:
        return self._function("judge_model", permissions=[self._objects(["s3:GetObject"], "models/*")])

    def _summarize_run(self) -> InsightFunction:
        return self._function(
            "summarize_run",
            permissions=[
                self._objects(["s3:GetObject"], "features/*", unused={"s3:GetObject": _COUNTED_BY_EXPORT}),
                self._listing("features/*", unused_because=_COUNTED_BY_EXPORT),
            ],
        )

    def _prepare_promotion(self) -> InsightFunction:
        groups = [sagemaker_arn(self._stack, "model-package-group", package_group_name(kind)) for kind in KINDS]
        packages = [sagemaker_arn(self._stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS]
        return self._function(
            "prepare_promotion",
            timeout=cdk.Duration.seconds(60),
            environment={
                **{f"{kind.upper()}_STACK_NAME": endpoint_stack_name(kind) for kind in KINDS},
                **{f"{kind.upper()}_ENDPOINT_NAME": self._settings.endpoint_name(kind) for kind in KINDS},
                **{f"{kind.upper()}_PACKAGE_GROUP": package_group_name(kind) for kind in KINDS},
                "BUCKET_NAME": self._bucket.bucket_name,
            },
            permissions=[
                # Golden predictions, and what "previous" means.
                self._objects(["s3:GetObject"], "models/*", "promotions/*"),
                self._listing("promotions/*"),
                allow(["cloudformation:DescribeStacks"], self._endpoint_stacks, because=_STACK_ID),
                allow(["sagemaker:ListModelPackages"], groups),
                allow(
                    ["sagemaker:DescribeModelPackage"],
                    packages,
                    because="Any version of the two groups may be asked for.",
                ),
                allow(["sagemaker:DescribeEndpoint"], self._endpoints),
            ],
        )

    def _verify_endpoint(self) -> InsightFunction:
        return self._function(
            "verify_endpoint",
            timeout=cdk.Duration.minutes(2),
            permissions=[
                self._objects(["s3:GetObject"], "models/*"),
                allow(["sagemaker:InvokeEndpoint"], self._endpoints),
            ],
        )

    def _judge_experiment(self) -> InsightFunction:
        """A day's outcomes of a large fleet are read line by line; the sums of a month are in memory."""
        parameters = {f"{kind.upper()}_EXPERIMENT_PARAMETER": experiment_parameter(kind) for kind in KINDS}
        notes = [
            self._stack.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
            for name in parameters.values()
        ]
        machine = promote_model_arn(self._stack)
        return self._function(
            "judge_experiment",
            timeout=cdk.Duration.minutes(15),
            memory_mib=1024,
            environment={"BUCKET_NAME": self._bucket.bucket_name, "PROMOTE_MODEL_ARN": machine, **parameters},
            permissions=[
                allow(["ssm:GetParameter"], notes),
                self._listing("monitoring/*"),
                self._objects(["s3:GetObject"], "monitoring/*"),
                self._objects(["s3:PutObject"], *(f"monitoring/{kind}/experiments/*" for kind in KINDS)),
                allow(["states:StartExecution"], [machine]),
            ],
        )

    def _describe_failure(self) -> InsightFunction:
        tuning = [sagemaker_arn(self._stack, "hyper-parameter-tuning-job", f"{kind}-*") for kind in KINDS]
        return self._function(
            "describe_failure",
            permissions=[
                allow(
                    ["sagemaker:ListTrainingJobsForHyperParameterTuningJob"],
                    tuning,
                    because="A job's name holds its run's id.",
                    unused_because="Looked up when a tuning job has failed; none did.",
                ),
                allow(
                    ["cloudformation:DescribeStackEvents"],
                    self._endpoint_stacks,
                    because=_STACK_ID,
                    unused_because="Read when CloudFormation rolled a stack back; SageMaker took the endpoints back before.",
                ),
                allow(["logs:FilterLogEvents"], self._endpoint_logs, because=_LOG_GROUP),
                *self._children_of_training(),
            ],
        )

    def _children_of_training(self) -> list[Permission]:
        """Which child a Distributed Map of TrainModels failed by."""
        named = (("execution", "TrainModels:*"), ("mapRun", "TrainModels/*"), ("execution", "TrainModels/*"))
        executions, map_runs, children = (
            self._stack.format_arn(
                service="states", resource=kind, resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
            )
            for kind, name in named
        )
        because = "An execution's and a Map Run's name is made when it starts."
        return [
            allow(["states:ListMapRuns"], [executions], because=because, unused_because=_NO_CHILD_FAILED),
            allow(["states:ListExecutions"], [map_runs], because=because, unused_because=_NO_CHILD_FAILED),
            allow(["states:DescribeExecution"], [children], because=because, unused_because=_NO_CHILD_FAILED),
        ]

    def _function(
        self,
        name: str,
        *,
        permissions: Sequence[Permission],
        timeout: cdk.Duration | None = None,
        memory_mib: int = 256,
        environment: Mapping[str, str] | None = None,
    ) -> InsightFunction:
        return InsightFunction(
            self,
            name,
            settings=self._settings,
            code=self._code,
            timeout=timeout or cdk.Duration.seconds(30),
            failed_calls=_FAILED_CALLS[name],
            memory_mib=memory_mib,
            environment=environment,
            permissions=permissions,
        )

    def _objects(self, actions: Sequence[str], *patterns: str, unused: Mapping[str, str] | None = None) -> Permission:
        return allow(
            actions,
            [self._bucket.arn_for_objects(pattern) for pattern in patterns],
            because="Every run, and every file that is given, has its own keys below these prefixes.",
            unused_because=unused,
        )

    def _listing(self, *prefixes: str, unused_because: str | None = None) -> Permission:
        condition = {"StringLike": {"s3:prefix": list[str](prefixes)}}
        return allow(["s3:ListBucket"], [self._bucket.bucket_arn], condition, unused_because=unused_because)
