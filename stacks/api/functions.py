"""The Lambdas behind the API, each with the permissions of its own routes and no others."""

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.data_stack import LAST_ALERT_INDEX, DataStack
from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.names import (
    KINDS,
    endpoint_arn,
    experiment_parameter,
    live_package_parameter,
    package_group_name,
    sagemaker_arn,
)
from stacks.permissions import Permission, allow
from stacks.settings import Settings

_STREAM_ACTIONS = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
_POLLER = "Lambda's poller reads the streams with it; the laptop cloud's reads them by itself."
# API Gateway waits for each of these and tells the caller.
_FAILED_CALLS = {
    "predict": "Its caller hears of the failure at once and asks again; a prediction of then is worth nothing later.",
    "read_fleet": "Its caller hears of the failure at once; it only reads.",
    "give_feedback": "Its caller hears that the feedback was not taken, and gives it again.",
    "describe_models": "Its caller hears of the failure at once; what is live is read anew each time.",
}
# By stream: what a batch that was passed over after an hour would be kept for.
_PASSED_OVER = {
    "Insights": "The device's next insight, one interval later, mends its row; the alarm stream-age rings long before.",
    "Predictions": "The devices table repeats the newest prediction for the fleet's page; the next one stands for it.",
}


class ApiFunctions(Construct):
    """`by_name` holds those that answer routes; `track_devices` follows what they and others write."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, data: DataStack, code: CodeMaker
    ) -> None:
        super().__init__(scope, construct_id)
        self.requests_table = requests_table(self)
        self._settings, self._data, self._code = settings, data, code
        self.by_name = {
            function.folder: function
            for function in (self._predict(), self._read_fleet(), self._give_feedback(), self._describe_models())
        }
        self.track_devices = self._track_devices()

    def _answering(
        self,
        name: str,
        *,
        seconds: int,
        memory_mib: int,
        environment: dict[str, str],
        permissions: list[Permission],
    ) -> InsightFunction:
        """A function that answers callers: it counts them, and it is done before the API's own 29 s."""
        return InsightFunction(
            self,
            name,
            settings=self._settings,
            code=self._code(),
            timeout=cdk.Duration.seconds(seconds),
            failed_calls=_FAILED_CALLS[name],
            memory_mib=memory_mib,
            environment={
                **environment,
                "ALLOWED_ORIGINS": ",".join(self._settings.allowed_origins),
                "REQUESTS_TABLE_NAME": self.requests_table.table_name,
                "CLIENT_REQUESTS_PER_MINUTE": str(self._settings.client_requests_per_minute),
            },
            permissions=[*permissions, allow(["dynamodb:UpdateItem"], [self.requests_table.table_arn])],
        )

    def _predict(self) -> InsightFunction:
        """Reads windows, asks the endpoint, keeps the answers."""
        table, predictions = self._data.insights_table, self._data.predictions_table
        stack, settings = cdk.Stack.of(self), self._settings
        experiments = {f"{kind.upper()}_EXPERIMENT_PARAMETER": experiment_parameter(kind) for kind in KINDS}
        return self._answering(
            "predict",
            seconds=25,
            memory_mib=1024,
            environment={
                "INSIGHTS_TABLE_NAME": table.table_name,
                "LAST_ALERT_INDEX_NAME": LAST_ALERT_INDEX,
                "PREDICTIONS_TABLE_NAME": predictions.table_name,
                "PREDICTION_DAYS": str(settings.prediction_days),
                **_endpoint_names(settings),
                **experiments,
                **_serving_hours(settings),
            },
            permissions=[
                allow(["ssm:GetParameter"], _parameter_arns(stack, experiments)),
                allow(["dynamodb:Query"], [table.table_arn, f"{table.table_arn}/index/{LAST_ALERT_INDEX}"]),
                allow(["dynamodb:PutItem", "dynamodb:BatchWriteItem"], [predictions.table_arn]),
                allow(["sagemaker:InvokeEndpoint"], _endpoint_arns(stack, settings)),
            ],
        )

    def _read_fleet(self) -> InsightFunction:
        data = self._data
        return self._answering(
            "read_fleet",
            seconds=15,
            memory_mib=512,
            environment={
                "INSIGHTS_TABLE_NAME": data.insights_table.table_name,
                "PREDICTIONS_TABLE_NAME": data.predictions_table.table_name,
                "DEVICES_TABLE_NAME": data.devices_table.table_name,
            },
            permissions=[
                allow(["dynamodb:Query"], [data.insights_table.table_arn, data.predictions_table.table_arn]),
                allow(["dynamodb:Scan"], [data.devices_table.table_arn]),
            ],
        )

    def _give_feedback(self) -> InsightFunction:
        """Feedback stands with the prediction, and as the operator's label with the row that it was made from."""
        predictions, insights = self._data.predictions_table, self._data.insights_table
        return self._answering(
            "give_feedback",
            seconds=20,
            memory_mib=512,
            environment={
                "INSIGHTS_TABLE_NAME": insights.table_name,
                "PREDICTIONS_TABLE_NAME": predictions.table_name,
            },
            permissions=[allow(["dynamodb:UpdateItem"], [predictions.table_arn, insights.table_arn])],
        )

    def _describe_models(self) -> InsightFunction:
        stack, settings = cdk.Stack.of(self), self._settings
        parameters = {f"{kind.upper()}_LIVE_PACKAGE_PARAMETER": live_package_parameter(kind) for kind in KINDS}
        return self._answering(
            "describe_models",
            seconds=25,
            memory_mib=512,
            environment={
                **_endpoint_names(settings),
                **_serving_hours(settings),
                **parameters,
                "BUCKET_NAME": self._data.bucket.bucket_name,
            },
            permissions=[
                allow(
                    ["s3:GetObject"],
                    [self._data.bucket.arn_for_objects(f"monitoring/{kind}/latest.json") for kind in KINDS],
                ),
                allow(["sagemaker:DescribeEndpoint"], _endpoint_arns(stack, settings)),
                allow(
                    ["sagemaker:DescribeModelPackage"],
                    [sagemaker_arn(stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS],
                    because="Any version of the group may be the live one.",
                ),
                allow(["ssm:GetParameter"], _parameter_arns(stack, parameters)),
            ],
        )

    def _track_devices(self) -> InsightFunction:
        """The devices table follows the streams of the two tables that devices and predictions are written to."""
        data = self._data
        streams = [stream_arn(data.insights_table), stream_arn(data.predictions_table)]
        function = InsightFunction(
            self,
            "track_devices",
            settings=self._settings,
            code=self._code(),
            timeout=cdk.Duration.seconds(60),
            failed_calls="Lambda's poller waits for its answer and brings the batch again for an hour.",
            memory_mib=512,
            environment={"DEVICES_TABLE_NAME": data.devices_table.table_name},
            permissions=[
                allow(["dynamodb:UpdateItem"], [data.devices_table.table_arn]),
                allow(_STREAM_ACTIONS, streams, unused_because=_POLLER),
                allow(
                    ["dynamodb:ListStreams"],
                    ["*"],
                    because="ListStreams knows no resource (service reference).",
                    unused_because=_POLLER,
                ),
            ],
        )
        for name, stream in zip(("Insights", "Predictions"), streams, strict=True):
            mapping = lambda_.EventSourceMapping(
                self,
                f"{name}Stream",
                target=function.function,
                event_source_arn=stream,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                # A fleet's interval arrives in a burst: one update per device of the batch, not one per row.
                batch_size=500,
                max_batching_window=cdk.Duration.seconds(1),
                report_batch_item_failures=True,
                bisect_batch_on_error=True,
                # A state that could not be kept for an hour is no longer the newest: the device's next row mends it.
                retry_attempts=100,
                max_record_age=cdk.Duration.hours(1),
            )
            mapping.node.add_dependency(function.role)
            acknowledge(mapping, "Serverless-LambdaEventSourceMappingDestination", _PASSED_OVER[name])
        return function


def requests_table(scope: Construct) -> dynamodb.Table:
    """How much each client has asked in this minute; nothing in it is worth keeping for longer than that."""
    return dynamodb.Table(
        scope,
        "RequestsTable",
        partition_key=dynamodb.Attribute(name="client_minute", type=dynamodb.AttributeType.STRING),
        time_to_live_attribute="expires_at",
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def stream_arn(table: dynamodb.Table) -> str:
    if table.table_stream_arn is None:
        raise ValueError(f"{table.node.path} has no stream; give it one")
    return table.table_stream_arn


def _endpoint_names(settings: Settings) -> dict[str, str]:
    return {f"{kind.upper()}_ENDPOINT_NAME": settings.endpoint_name(kind) for kind in KINDS}


def _serving_hours(settings: Settings) -> dict[str, str]:
    """Nothing where the endpoints serve always."""
    hours = settings.hours
    return {} if hours is None else {"SERVING_HOURS": hours.text, "SERVING_WINDOWS": json.dumps(hours.windows)}


def _endpoint_arns(stack: cdk.Stack, settings: Settings) -> list[str]:
    return [endpoint_arn(stack, settings.endpoint_name(kind)) for kind in KINDS]


def _parameter_arns(stack: cdk.Stack, names: Mapping[str, str]) -> list[str]:
    return [
        stack.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
        for name in names.values()
    ]
