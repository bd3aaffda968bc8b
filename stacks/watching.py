"""What watches the live models: three functions and the workflow; and its schedule."""

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.data_stack import DataStack
from stacks.functions import CodeMaker, InsightFunction
from stacks.names import KINDS, endpoint_arn, live_package_parameter, package_group_name, sagemaker_arn
from stacks.permissions import Permission, allow, unused
from stacks.settings import Settings
from stacks.workflows.jobs import JobDefaults
from stacks.workflows.watch_models import WatchModels, WatchParts

_BY_HAND_HOURS = 24
_PERIODS = "Every period has a prefix of its own below its kind's."


class Watching(Construct):
    """`state_machine` is WatchModels; `shared` are judge_experiment and describe_failure, which others call too."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        defaults: JobDefaults,
        data: DataStack,
        bucket: s3.IBucket,
        code: CodeMaker,
        shared: Sequence[InsightFunction],
        jobs_role: iam.IRole,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._data, self._bucket, self._code = defaults.settings, data, bucket, code()
        functions: Mapping[str, InsightFunction] = {
            function.folder: function
            for function in (self._prepare_watch(), self._collect_outcomes(), self._publish_watch(), *shared)
        }
        self.state_machine = WatchModels(
            self, "WatchModels", parts=WatchParts(defaults=defaults, functions=functions, jobs_role=jobs_role)
        ).state_machine

    def _prepare_watch(self) -> InsightFunction:
        stack, settings = cdk.Stack.of(self), self._settings
        parameters = {kind: live_package_parameter(kind) for kind in KINDS}
        return InsightFunction(
            self,
            "prepare_watch",
            settings=settings,
            code=self._code,
            timeout=cdk.Duration.seconds(60),
            failed_calls="WatchModels waits to hear what there is to watch, and fails without.",
            environment={
                "BUCKET_NAME": self._bucket.bucket_name,
                "WATCH_HOURS": str(settings.watch_every_hours or _BY_HAND_HOURS),
                **{f"{kind.upper()}_ENDPOINT_NAME": settings.endpoint_name(kind) for kind in KINDS},
                **{f"{kind.upper()}_LIVE_PACKAGE_PARAMETER": name for kind, name in parameters.items()},
            },
            permissions=[
                allow(
                    ["sagemaker:DescribeEndpoint"],
                    [endpoint_arn(stack, settings.endpoint_name(kind)) for kind in KINDS],
                ),
                allow(
                    ["ssm:GetParameter"],
                    [
                        stack.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
                        for name in parameters.values()
                    ],
                ),
                allow(
                    ["sagemaker:DescribeModelPackage"],
                    [sagemaker_arn(stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS],
                    because="Any version of the two groups may be the live one.",
                ),
                allow(
                    ["s3:ListBucket"],
                    [self._bucket.bucket_arn],
                    {"StringLike": {"s3:prefix": ["monitoring/data-capture/*"]}},
                ),
            ],
        )

    def _collect_outcomes(self) -> InsightFunction:
        predictions, devices = self._data.predictions_table, self._data.devices_table
        return InsightFunction(
            self,
            "collect_outcomes",
            settings=self._settings,
            code=self._code,
            timeout=cdk.Duration.minutes(15),
            failed_calls="WatchModels waits for the outcomes' place; the predictions stay where they were read.",
            memory_mib=512,
            environment={
                "PREDICTIONS_TABLE_NAME": predictions.table_name,
                "DEVICES_TABLE_NAME": devices.table_name,
            },
            permissions=[
                allow(["dynamodb:Scan"], [devices.table_arn]),
                allow(["dynamodb:Query"], [predictions.table_arn]),
                self._objects(
                    ["s3:PutObject", "s3:AbortMultipartUpload"],
                    "outcomes/*",
                    unused={"s3:AbortMultipartUpload": "Takes back an upload that failed half-way; none did."},
                ),
            ],
        )

    def _publish_watch(self) -> InsightFunction:
        latest = [self._bucket.arn_for_objects(f"monitoring/{kind}/latest.json") for kind in KINDS]
        return InsightFunction(
            self,
            "publish_watch",
            settings=self._settings,
            code=self._code,
            timeout=cdk.Duration.seconds(30),
            failed_calls="WatchModels waits until the result is told; the report of the period stands already.",
            permissions=[
                self._objects(["s3:GetObject"], "watch.json"),
                allow(["s3:GetObject", "s3:PutObject"], latest),
                # S3 says "missing" only to those who may list; to others "forbidden".
                allow(
                    ["s3:ListBucket"],
                    [self._bucket.bucket_arn],
                    {"StringLike": {"s3:prefix": [f"monitoring/{kind}/*" for kind in KINDS]}},
                    unused_because="AWS says by it that latest.json is missing; the laptop cloud always says so.",
                ),
            ],
        )

    def _objects(self, actions: list[str], name: str, *, unused: Mapping[str, str] | None = None) -> Permission:
        objects = [self._bucket.arn_for_objects(f"monitoring/{kind}/*/{name}") for kind in KINDS]
        return allow(actions, objects, because=_PERIODS, unused_because=unused)


def watch_schedule(watching: Watching, settings: Settings, dead_letters: sqs.IQueue) -> None:
    """A period ends when its event was due, so that an event that is delivered twice watches the same one."""
    machine = watching.state_machine
    events.Rule(
        watching,
        "Schedule",
        schedule=events.Schedule.rate(cdk.Duration.hours(settings.watch_every_hours or _BY_HAND_HOURS)),
        enabled=settings.watch_every_hours > 0,
        targets=[
            targets.SfnStateMachine(
                machine,
                input=events.RuleTargetInput.from_object({"end": events.EventField.time}),
                dead_letter_queue=dead_letters,
            )
        ],
    )
    unused(machine.node.find_child("EventsRole"), "states:StartExecution", "The schedule's; tests start it by hand.")
