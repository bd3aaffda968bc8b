"""What must outlive everything else: telemetry, predictions, devices, and the bucket that holds every run's files."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.app_stack import AppStack
from stacks.nag import acknowledge, acknowledge_lint_of_emptier
from stacks.settings import Settings, StageRules

LAST_ALERT_INDEX = "last-alert"
DUE_INDEX = "due"
INSIGHTS_TABLE = "InsightsTable"


class DataStack(AppStack):
    """The bucket and the tables."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope, construct_id, settings=settings, summary="telemetry, predictions and the bucket of every run's files"
        )
        self.bucket = bucket(self, settings)
        self.insights_table = insights_table(self, settings.rules)
        self.predictions_table = predictions_table(self, settings.rules)
        self.devices_table = devices_table(self, settings.rules)
        cdk.CfnOutput(self, "BucketName", value=self.bucket.bucket_name)
        cdk.CfnOutput(self, "InsightsTableName", value=self.insights_table.table_name)
        cdk.CfnOutput(self, "PredictionsTableName", value=self.predictions_table.table_name)
        cdk.CfnOutput(self, "DevicesTableName", value=self.devices_table.table_name)


def bucket(scope: Construct, settings: Settings) -> s3.IBucket:
    """The configured bucket as it is, or one of the app's own."""
    if settings.bucket is not None:
        return named_bucket(scope, settings)
    own = s3.Bucket(
        scope,
        "Bucket",
        bucket_name=bucket_name(scope, settings),
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        versioned=True,
        lifecycle_rules=_lifecycle_rules(),
        removal_policy=settings.rules.removal_policy,
        auto_delete_objects=settings.rules.empties_on_destroy,
    )
    acknowledge(
        own,
        "AwsSolutions-S1",
        "Access logs of this bucket would need a second bucket that outlives it; object access is recorded by "
        "CloudTrail data events where an account wants it.",
    )
    if settings.rules.empties_on_destroy:
        acknowledge_lint_of_emptier(own, "CDK's function waits for the role that empties the bucket before it goes.")
    return own


def named_bucket(scope: Construct, settings: Settings) -> s3.IBucket:
    """The bucket as the other stacks know it: by its name, so that they can be updated without reading this stack."""
    return s3.Bucket.from_bucket_name(scope, "Bucket", bucket_name(scope, settings))


def bucket_name(scope: Construct, settings: Settings) -> str:
    stack = cdk.Stack.of(scope)
    return settings.bucket or f"iops-insights-{stack.account}-{stack.region}"


def _lifecycle_rules() -> list[s3.LifecycleRule]:
    """Raw exports can be made again from the table; features and models are what a run's results rest on."""
    days = cdk.Duration.days
    infrequent = s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=days(30))
    return [
        s3.LifecycleRule(id="raw", prefix="raw/", transitions=[infrequent], expiration=days(180)),
        # What a run's own export needs on its way: files of the table's export, pieces of the CSV.
        s3.LifecycleRule(id="exports", prefix="exports/", expiration=days(7)),
        s3.LifecycleRule(id="incoming", prefix="incoming/", expiration=days(30)),
        s3.LifecycleRule(id="quarantine", prefix="quarantine/", expiration=days(180)),
        # features/splits.json is rewritten by every run, so it never reaches this age while the app is in use.
        s3.LifecycleRule(id="features", prefix="features/", transitions=[infrequent], expiration=days(730)),
        # What several instances leave for MergeFeatures; an execution can be redriven for 14 days (Redriving executions).
        s3.LifecycleRule(id="shards", prefix="features/shards/", expiration=days(15)),
        # A model may be live for years: it is never expired, only what it replaced under the same key.
        s3.LifecycleRule(id="models", prefix="models/", transitions=[infrequent]),
        s3.LifecycleRule(id="monitoring", prefix="monitoring/", expiration=days(90)),
        s3.LifecycleRule(
            id="leftovers",
            noncurrent_version_expiration=days(30),
            abort_incomplete_multipart_upload_after=days(7),
        ),
    ]


def insights_table(scope: Construct, rules: StageRules) -> dynamodb.Table:
    """One row per device and interval; the sparse index finds a device's last alert, however long ago."""
    table = dynamodb.Table(
        scope,
        INSIGHTS_TABLE,
        partition_key=_text("device_id"),
        sort_key=_text("timestamp"),
        stream=dynamodb.StreamViewType.NEW_IMAGE,
        **_table_options(rules),
    )
    table.add_global_secondary_index(
        index_name=LAST_ALERT_INDEX,
        partition_key=_text("device_id"),
        sort_key=_text("alert_at"),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table


def predictions_table(scope: Construct, rules: StageRules) -> dynamodb.Table:
    """What was predicted, per device and newest last; rows expire by themselves. The sparse index holds the predictions
    whose outcome is not joined yet (lambdas/due_predictions.py)."""
    table = dynamodb.Table(
        scope,
        "PredictionsTable",
        partition_key=_text("device_id"),
        sort_key=_text("predicted_at_id"),
        time_to_live_attribute="expires_at",
        stream=dynamodb.StreamViewType.NEW_IMAGE,
        **_table_options(rules),
    )
    table.add_global_secondary_index(
        index_name=DUE_INDEX,
        partition_key=_text("due_shard"),
        sort_key=_text("due_at"),
        projection_type=dynamodb.ProjectionType.INCLUDE,
        non_key_attributes=["as_of", "kind"],
    )
    return table


def devices_table(scope: Construct, rules: StageRules) -> dynamodb.Table:
    """The newest state of each device; it follows the streams of the other two and can be made again from them."""
    return dynamodb.Table(scope, "DevicesTable", partition_key=_text("device_id"), **_table_options(rules))


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _table_options(rules: StageRules) -> dict[str, Any]:
    return {
        "billing_mode": dynamodb.BillingMode.PAY_PER_REQUEST,
        "encryption": dynamodb.TableEncryption.AWS_MANAGED,
        "point_in_time_recovery_specification": dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        "deletion_protection": rules.termination_protection,
        "removal_policy": rules.removal_policy,
    }
