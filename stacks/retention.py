"""How long model versions are kept, and the way back for one that is gone (docs/versions.md)."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.names import KINDS, endpoint_stack_name, package_group_name, sagemaker_arn, stack_arn
from stacks.permissions import Permission, allow
from stacks.settings import Settings

_ANY_RUN = "A model's files lie below its run's own prefix."
_ANY_VERSION = "A version's number is known when it is made."


class Retention(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        code: CodeMaker,
        bucket: s3.IBucket,
        promote_model: sfn.IStateMachine,
    ) -> None:
        super().__init__(scope, construct_id)
        self._bucket, self._stack = bucket, cdk.Stack.of(self)
        self._groups = [sagemaker_arn(self._stack, "model-package-group", package_group_name(kind)) for kind in KINDS]
        self._packages = [
            sagemaker_arn(self._stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS
        ]
        self.retire = InsightFunction(
            self,
            "retire_packages",
            settings=settings,
            code=code(),
            timeout=cdk.Duration.minutes(10),
            failed_calls="Next week's call retires what this one left; nothing waits for the day.",
            environment={
                "BUCKET_NAME": bucket.bucket_name,
                "PROMOTE_MODEL_ARN": promote_model.state_machine_arn,
                **{f"{kind.upper()}_PACKAGE_GROUP": package_group_name(kind) for kind in KINDS},
                **{f"{kind.upper()}_STACK_NAME": endpoint_stack_name(kind) for kind in KINDS},
                "KEPT_VERSIONS": str(settings.kept_versions),
            },
            permissions=self._retire_permissions(promote_model),
        )
        self.restore = InsightFunction(
            self,
            "restore_package",
            settings=settings,
            code=code(),
            timeout=cdk.Duration.minutes(10),
            failed_calls="Somebody who wants a version back calls it by hand and reads its answer.",
            environment={"BUCKET_NAME": bucket.bucket_name},
            permissions=self._restore_permissions(),
        )
        weekly = events.Rule(
            self,
            "Weekly",
            description="IOPS Insights: old model versions are retired, Sundays 04:00 UTC",
            schedule=events.Schedule.cron(minute="0", hour="4", week_day="SUN"),
            targets=[targets.LambdaFunction(self.retire.function)],
        )
        acknowledge(weekly, "Serverless-EventBusDLQ", "A lost Sunday is made up for on the next; versions only wait.")

    def _retire_permissions(self, promote_model: sfn.IStateMachine) -> list[Permission]:
        return [
            allow(["states:ListExecutions"], [promote_model.state_machine_arn]),
            allow(
                ["cloudformation:DescribeStacks"],
                [stack_arn(self._stack, endpoint_stack_name(kind)) for kind in KINDS],
                because="A stack's ARN ends in an id that it gets when it is made.",
            ),
            allow(["sagemaker:ListModelPackages"], self._groups),
            allow(
                ["sagemaker:DescribeModelPackage", "sagemaker:DeleteModelPackage"],
                self._packages,
                because=_ANY_VERSION,
            ),
            allow(
                ["s3:ListBucket"],
                [self._bucket.bucket_arn],
                {"StringLike": {"s3:prefix": ["models/*", "promotions/*", "retired/*"]}},
            ),
            allow(
                ["s3:GetObject"], [self._bucket.arn_for_objects("promotions/*")], because="One record per promotion."
            ),
            allow(["s3:PutObject"], [self._bucket.arn_for_objects("retired/*")], because="One record per version."),
            # A delete marker, which restore_package undoes; what it hides stays for 30 days.
            allow(["s3:DeleteObject"], [self._bucket.arn_for_objects("models/*")], because=_ANY_RUN),
        ]

    def _restore_permissions(self) -> list[Permission]:
        return [
            allow(["s3:GetObject"], [self._bucket.arn_for_objects("retired/*")], because="One record per version."),
            allow(["s3:ListBucketVersions"], [self._bucket.bucket_arn], {"StringLike": {"s3:prefix": ["models/*"]}}),
            # SageMaker reads a package's model and metrics as the caller.
            allow(
                ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
                [self._bucket.arn_for_objects("models/*")],
                because=_ANY_RUN,
            ),
            allow(["sagemaker:CreateModelPackage"], [*self._groups, *self._packages], because=_ANY_VERSION),
        ]
