"""What brings insights into the table by itself: a function on a schedule that reads the metrics of EBS volumes."""

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3

from stacks.app_stack import AppStack
from stacks.data_stack import DataStack, named_bucket
from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.permissions import Permission, allow
from stacks.settings import Settings

# EventBridge quotas: a rule has at most five targets.
_RULE_TARGETS = 5
# CloudWatch has a period's points a little after its end.
_MINUTES_AFTER = 2
_SPARE = cdk.Duration.seconds(30)
_LONGEST = cdk.Duration.minutes(14)
_ANY_VOLUME = "It is authorised on no single volume (service authorization reference of EC2); it reads descriptions."
_ANY_METRIC = "CloudWatch's metrics have no ARN, and GetMetricData knows no condition on namespaces."
_EACH_RUN = "A quarantine object's key holds the time of its run."


class CollectorsStack(AppStack):
    """`collect_volumes`, asked for each shard; `schedules` start it."""

    def __init__(
        self, scope: cdk.App, construct_id: str, *, settings: Settings, data: DataStack, code: CodeMaker
    ) -> None:
        super().__init__(
            scope, construct_id, settings=settings, summary="collects insights of EBS volumes from CloudWatch"
        )
        self.add_stack_dependency(data)
        every = cdk.Duration.minutes(settings.ebs_every_minutes)
        self.collect_volumes = InsightFunction(
            self,
            "collect_volumes",
            settings=settings,
            code=code(),
            timeout=time_limit(every),
            memory_mib=512,
            environment={
                "BUCKET_NAME": (bucket := named_bucket(self, settings)).bucket_name,
                "INSIGHTS_TABLE_NAME": data.insights_table.table_name,
                "VOLUME_TAG": settings.ebs_tag or "",
                "PERIOD_SECONDS": str(settings.ebs_period_seconds),
                "EVERY_SECONDS": f"{every.to_seconds():.0f}",
                "CATCH_UP_HOURS": str(settings.ebs_catch_up_hours),
            },
            permissions=permissions(bucket, data.insights_table.table_arn),
            failed_calls="The next call begins where the table ends, and so does what this one left.",
        )
        self.schedules = {
            f"EbsCollection{number}": self._rule(number, shards, settings, every)
            for number, shards in enumerate(shards_of_rules(settings.ebs_shards), start=1)
        }
        cdk.CfnOutput(self, "CollectVolumesName", value=self.collect_volumes.name)

    def _rule(self, number: int, shards: range, settings: Settings, every: cdk.Duration) -> events.Rule:
        """What could not be delivered in time is the next run's, which begins where the table ends: there is nothing
        that a dead-letter queue could keep."""
        rule = events.Rule(
            self,
            f"Schedule{number}",
            description=f"IOPS Insights: collects EBS volumes, shards {shards.start} to {shards.stop - 1}",
            schedule=events.Schedule.expression(schedule_of(settings.ebs_every_minutes)),
            targets=[
                targets.LambdaFunction(
                    self.collect_volumes.function,
                    event=events.RuleTargetInput.from_object({"shard": shard, "shards": settings.ebs_shards}),
                    max_event_age=every,
                    retry_attempts=1,
                )
                for shard in shards
            ],
        )
        acknowledge(
            rule, "Serverless-EventBusDLQ", "A lost call's periods are read by the next, back to the newest row."
        )
        return rule


def time_limit(every: cdk.Duration) -> cdk.Duration:
    """A run has ended when the next one of its shard begins."""
    return cdk.Duration.seconds(min(_LONGEST.to_seconds(), every.to_seconds() - _SPARE.to_seconds()))


def schedule_of(minutes: int) -> str:
    """By the clock, as periods are."""
    return f"cron({min(_MINUTES_AFTER, minutes - 1)}/{minutes} * * * ? *)"


def shards_of_rules(shards: int) -> Iterator[range]:
    for first in range(0, shards, _RULE_TARGETS):
        yield range(first, min(shards, first + _RULE_TARGETS))


def permissions(bucket: s3.IBucket, table_arn: str) -> list[Permission]:
    return [
        allow(["ec2:DescribeVolumes"], ["*"], because=_ANY_VOLUME),
        allow(["cloudwatch:GetMetricData"], ["*"], because=_ANY_METRIC),
        allow(["dynamodb:Query", "dynamodb:BatchWriteItem", "dynamodb:UpdateItem"], [table_arn]),
        allow(
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            [bucket.arn_for_objects("quarantine/ebs/*")],
            because=_EACH_RUN,
            unused_because="Rows of refused periods; the tests' volumes had none.",
        ),
    ]
