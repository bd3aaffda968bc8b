"""What AWS refuses of a training job's request before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.sagemaker.algorithm_metrics import check_definitions
from local.sagemaker.errors import not_on_the_laptop, validation
from local.sagemaker.images import module_of
from local.sagemaker.service import Service
from local.sagemaker.transfer import S3Location, objects_below


def check_training_request(service: Service, request: Mapping[str, Any]) -> None:
    """What AWS refuses at once: no such image, a role that it cannot assume, channels without objects."""
    if "ServerlessJobConfig" in request or "TrainingImage" not in request.get("AlgorithmSpecification", {}):
        raise not_on_the_laptop("a training job without AlgorithmSpecification.TrainingImage")
    for member in ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition"):
        if member not in request:
            raise validation(f"{member} is required.")
    module_of(request["AlgorithmSpecification"]["TrainingImage"], service.settings)
    check_definitions(request["AlgorithmSpecification"].get("MetricDefinitions", []))
    resources = request["ResourceConfig"]
    if "InstanceType" not in resources or "InstanceCount" not in resources:
        raise not_on_the_laptop("a ResourceConfig without InstanceType and InstanceCount")
    service.role_session(request["RoleArn"])
    check_channels(service, request)


def check_channels(service: Service, request: Mapping[str, Any]) -> None:
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(names) != len(set(names)):
        raise validation("Channel names must be unique.")
    client = service.clients.for_role("s3", request["RoleArn"])
    for channel in request.get("InputDataConfig", []):
        source = s3_source(channel)
        try:
            is_empty = not objects_below(client, source["S3Uri"])
        except Exception as error:
            raise validation(_no_objects(service, request, source) + f" Error message from S3: {error}") from error
        if is_empty:
            raise validation(_no_objects(service, request, source))


def _no_objects(service: Service, request: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    bucket = S3Location.parse(source["S3Uri"]).bucket
    return (
        f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that the '
        f"bucket exists in the selected region ({service.settings.region}), that objects exist under that S3 prefix, "
        f'and that the role "{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def s3_source(channel: Mapping[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] | None = channel["DataSource"].get("S3DataSource")
    mode = channel.get("InputMode", "File")
    if source is None or source["S3DataType"] != "S3Prefix" or mode == "Pipe":
        raise not_on_the_laptop(f"channel {channel['ChannelName']}: a source other than S3Prefix in File mode")
    return source
