"""From the table to batches of whole devices: a Distributed Map over the segments of a scan, or over the files of a
point-in-time export, then the manifest. A child per segment or file: it has a history of its own, fails and is retried
alone, and hands on to itself near its function's time limit (docs/export.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.data_stack import INSIGHTS_TABLE
from stacks.functions import InsightFunction
from stacks.nag import acknowledge
from stacks.permissions import Permission, allow, flattened, unused
from stacks.workflows.steps import LAMBDA_RETRY, choice, expression, invoke, task, when

Json = Any

# 5, 15, 45 s, after what LAMBDA_RETRY waits for: a function that was killed, ran out of memory or time, or has failed.
PART_RETRY: Json = {
    "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
    "IntervalSeconds": 5,
    "BackoffRate": 3,
    "MaxAttempts": 3,
}
# An on-demand table gives 40,000 read units a second (Service quotas), which about as many scanning functions use up.
MOST_PARTS_AT_ONCE = 100
_OF_RUN = {
    "run_id": expression("$run.run_id"),
    "bucket": expression("$run.bucket"),
    "raw_prefix": expression("$run.raw_prefix"),
    "source": expression("$run.source"),
}
_TABLE_EXPORT_PREFIX = "'exports/' & $run.run_id & '/table'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParts:
    """What exporting reads, writes and calls."""

    bucket: s3.IBucket
    insights_table: dynamodb.ITable
    functions: Mapping[str, InsightFunction]


class Exporting:
    """The states; `scan` and `choice` are entries, and every path ends in `manifest`."""

    def __init__(self, scope: Construct, parts: ExportParts) -> None:
        self._scope, self._parts = scope, parts
        self.manifest = self._write_manifest()
        self.scan = self._map("ExportInsights", "Segment", _SEGMENT, items="$run.segments")
        self.files = self._map("ExportTableFiles", "File", _FILE, reader=self._reader())
        self.start, self.describe = self._start_table_export(), self._describe_table_export()
        self.scan.next(self.manifest)
        self.files.next(self.manifest)
        self.start.next(self._until_exported())
        self.choice = choice(scope, "WhichExport")
        self.choice.when(when("$exists($run.export.method) and $run.export.method = 'point_in_time'"), self.start)
        self.choice.otherwise(self.scan)

    @property
    def catchable(self) -> tuple[sfn.CustomState | sfn.Map | sfn.Parallel | sfn.DistributedMap, ...]:
        return (self.scan, self.start, self.describe, self.files, self.manifest)

    def _map(
        self, name: str, part: str, selected: Json, *, items: str = "", reader: sfn.IItemReader | None = None
    ) -> sfn.DistributedMap:
        """The child's answer is its number of rows alone: ten thousand of them are below the 256 KiB of a state."""
        export = invoke(
            self._scope,
            f"Export{part}",
            self._parts.functions["export_insights"],
            expression("$states.input"),
            timeout=cdk.Duration.minutes(15),
            output=expression(
                """$merge([$states.input, $states.result.Payload, {'rows': $states.result.Payload.rows
                + ($exists($states.input.rows) ? $states.input.rows : 0)}])"""
            ),
            retries=(LAMBDA_RETRY, PART_RETRY),
        )
        exported = sfn.Succeed.jsonata(self._scope, f"{part}Exported", outputs=expression("$states.input.rows"))
        export.next(choice(self._scope, f"Is{part}Done").when(when("$states.input.done"), exported).otherwise(export))
        made = sfn.DistributedMap.jsonata(
            self._scope,
            name,
            items=sfn.ProvideItems.jsonata(expression(items)) if items else None,
            item_reader=reader,
            item_selector={**_OF_RUN, **selected},
            label=name,
            map_execution_type=sfn.StateMachineType.STANDARD,
            max_concurrency=MOST_PARTS_AT_ONCE,
            outputs=expression("{'parts': $count($states.result), 'rows': $sum($states.result)}"),
        )
        made.item_processor(export)
        return made

    def _reader(self) -> sfn.IItemReader:
        return _FilesOfTableExport(self._parts.bucket, cdk.Stack.of(self._scope).partition)

    def _start_table_export(self) -> sfn.CustomState:
        """Of the table as it is now; the token lets a repeated request find the export that the first one started."""
        return task(
            self._scope,
            "StartTableExport",
            "aws-sdk:dynamodb:exportTableToPointInTime",
            {
                "TableArn": self._parts.insights_table.table_arn,
                "S3Bucket": expression("$run.bucket"),
                "S3Prefix": expression(_TABLE_EXPORT_PREFIX),
                "ExportFormat": "DYNAMODB_JSON",
                "ClientToken": expression("$run.run_id"),
            },
            timeout=cdk.Duration.minutes(1),
            output=expression("{'export_arn': $states.result.ExportDescription.ExportArn}"),
        )

    def _describe_table_export(self) -> sfn.CustomState:
        return task(
            self._scope,
            "DescribeTableExport",
            "aws-sdk:dynamodb:describeExport",
            {"ExportArn": expression("$states.input.export_arn")},
            timeout=cdk.Duration.minutes(1),
            output=expression(
                """($export := $states.result.ExportDescription; {'export_arn': $export.ExportArn,
                'status': $export.ExportStatus, 'export_time': $export.ExportTime,
                'failure': $exists($export.FailureMessage) ? $export.FailureMessage : ''})"""
            ),
        )

    def _until_exported(self) -> sfn.Chain:
        """A minute: nine events of the history, so that it has room for a day and a half."""
        wait = sfn.Wait(self._scope, "WaitForTableExport", time=sfn.WaitTime.duration(cdk.Duration.seconds(60)))
        ended = choice(self._scope, "IsTableExported")
        ended.when(when("$states.input.status = 'COMPLETED'"), self.files)
        ended.when(
            when("$states.input.status = 'FAILED'"),
            sfn.Fail.jsonata(
                self._scope,
                "TableExportFailed",
                error="TableExportFailed",
                cause=expression(
                    "'DescribeTableExport: ' & $states.input.export_arn & ' failed: ' & $states.input.failure"
                ),
            ),
        )
        ended.otherwise(wait)
        self.describe.next(ended)
        return wait.next(self.describe)

    def _write_manifest(self) -> sfn.CustomState:
        return invoke(
            self._scope,
            "WriteManifest",
            self._parts.functions["write_manifest"],
            expression(
                """{'run_id': $run.run_id, 'bucket': $run.bucket, 'raw_prefix': $run.raw_prefix,
                'source': $run.source.kind, 'planning': $run.planning}"""
            ),
            timeout=cdk.Duration.minutes(15),
            assign={
                "manifest": expression("$states.result.Payload"),
                "plan": expression("$states.result.Payload.plan"),
            },
        )


_SEGMENT: Json = {
    "segment": expression("$states.context.Map.Item.Value.segment"),
    "total_segments": expression("$states.context.Map.Item.Value.total_segments"),
}
_FILE: Json = {
    "segment": expression("$states.context.Map.Item.Index"),
    "data_file": expression("$states.context.Map.Item.Value"),
}


@jsii.implements(sfn.IItemReader)
class _FilesOfTableExport:
    """The lines of manifest-files.json. CDK's own reader may read every object of the bucket."""

    def __init__(self, bucket: s3.IBucket, partition: str) -> None:
        self._bucket, self._partition = bucket, partition

    @property
    def bucket(self) -> s3.IBucket:
        return self._bucket

    @property
    def resource(self) -> str:
        return f"arn:{self._partition}:states:::s3:getObject"

    @property
    def bucket_name_path(self) -> str | None:
        return None

    @property
    def max_items(self) -> int | None:
        return None

    @jsii.member(jsii_name="render")
    def render(self, query_language: sfn.QueryLanguage | None = None) -> Json:
        key = f"{_TABLE_EXPORT_PREFIX} & '/AWSDynamoDB/' & $split($states.input.export_arn, '/')[-1] & '/manifest-files.json'"
        return {
            "Resource": self.resource,
            "ReaderConfig": {"InputType": "JSONL"},
            "Arguments": {"Bucket": expression("$run.bucket"), "Key": expression(key)},
        }

    @jsii.member(jsii_name="providePolicyStatements")
    def provide_policy_statements(self) -> list[Any]:
        return []

    @jsii.member(jsii_name="validateItemReader")
    def validate_item_reader(self) -> list[str]:
        return []


def acknowledge_children(machine: sfn.StateMachine) -> None:
    """CDK lets a machine with a Distributed Map start itself, and describe, stop and redrive what it has started."""
    policy: Any = machine.node.find_child("DistributedMapPolicy")
    document = cdk.Stack.of(machine).resolve(policy.document.to_json())
    for statement in document["Statement"]:
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            finding = flattened(resource)
            if "*" in finding:
                reason = "A child execution's name is made when it starts."
                acknowledge(policy, f"AwsSolutions-IAM5[Resource::{finding}]", reason)
    unused(machine.role, "states:RedriveExecution", "The laptop cloud has no redrive.")


def export_permissions(parts: ExportParts) -> list[Permission]:
    """Of the state machine, beside what CDK gives a machine with a Distributed Map (acknowledge_children)."""
    stack = cdk.Stack.of(parts.insights_table)
    exports = stack.format_arn(
        service="dynamodb", resource="table", resource_name=f"{stack.stack_name}-{INSIGHTS_TABLE}*/export/*"
    )
    own_prefix = "Every run has a prefix of its own below this one."
    return [
        allow(["dynamodb:ExportTableToPointInTime"], [parts.insights_table.table_arn]),
        allow(["dynamodb:DescribeExport"], [exports], because="The table's name and an export's id are generated."),
        # DynamoDB writes as the caller (Requesting a table export in DynamoDB).
        allow(
            ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
            [parts.bucket.arn_for_objects("exports/*")],
            because=own_prefix,
        ),
        allow(
            ["s3:GetObject"],
            [parts.bucket.arn_for_objects("exports/*/manifest-files.json")],
            because=own_prefix,
        ),
    ]
