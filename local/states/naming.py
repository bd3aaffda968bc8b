"""Names as Step Functions uses them: SDK integrations, their members and their errors.

Step Functions calls services with the AWS SDK for Java 2, so a member is spelled as that SDK spells it, and an error
is the SDK's exception class: `<Service>.<Shape>Exception` where the service's model declares the error, else
`<Service>.<Service>Exception`. So an UpdateStack without changes, which answers the undeclared code ValidationError,
is CloudFormation.CloudFormationException, and a missing endpoint (undeclared ValidationException) is
SageMaker.SageMakerException; a declared ResourceInUse is SageMaker.ResourceInUseException.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

SDK_NAMES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
}
"""SDK integration names whose botocore name is another word."""

OPTIMIZED_BASE_ERRORS = {
    "sagemaker": ("SageMaker", "AmazonSageMakerException"),
    "lambda": ("Lambda", "AWSLambdaException"),
    "sns": ("SNS", "AmazonSNSException"),
    "states": ("StepFunctions", "AWSStepFunctionsException"),
    "events": ("EventBridge", "AmazonEventBridgeException"),
}
"""Optimised integrations call with the first Java SDK: prefix and name of an error that the model does not declare."""


@functools.cache
def _services() -> dict[str, str]:
    import boto3

    names = boto3.session.Session(region_name="us-east-1").get_available_services()
    return {name.replace("-", ""): name for name in names}


def botocore_service(sdk_name: str) -> str | None:
    lowered = sdk_name.lower()
    return SDK_NAMES.get(lowered) or _services().get(lowered)


def java_name(service_id: str) -> str:
    """Service id to Java class prefix: "DynamoDB" -> "DynamoDb", "SFN" -> "Sfn", "SageMaker Runtime" ->
    "SageMakerRuntime"."""
    words = (word.capitalize() if word.isupper() else word for word in service_id.split())
    return "".join(words).replace("DB", "Db")


def exception_name(shape_name: str) -> str:
    if shape_name.endswith("Exception"):
        return shape_name
    return f"{shape_name.removesuffix('Fault')}Exception"


def declared_error(service_model: Any, code: str) -> str | None:
    """The exception class of an error code that the model declares."""
    for shape in service_model.error_shapes:
        if code in (shape.error_code, shape.name):
            return exception_name(shape.name)
    return None


def sdk_error(service_model: Any, code: str) -> str:
    prefix = java_name(service_model.service_id)
    return f"{prefix}.{declared_error(service_model, code) or f'{prefix}Exception'}"


def optimized_error(integration: str, service_model: Any, code: str) -> str:
    prefix, base = OPTIMIZED_BASE_ERRORS[integration]
    return f"{prefix}.{declared_error(service_model, code) or base}"


def error_cause(response: Mapping[str, Any], service_id: str) -> str:
    """The SDK's message of a service error."""
    metadata = response.get("ResponseMetadata", {})
    error = response.get("Error", {})
    status, request_id = metadata.get("HTTPStatusCode"), metadata.get("RequestId")
    return f"{error.get('Message', '')} (Service: {service_id}, Status Code: {status}, Request ID: {request_id})"


def request_members(value: Any, shape: Any) -> Any:
    """Step Functions' spelling and JSON's types to what botocore takes: whole numbers, bytes."""
    from ministack.services.stepfunctions import _sdk_json_param_value

    return _typed(_sdk_json_param_value(value or {}, shape), shape)


def _typed(value: Any, shape: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return {
            name: _typed(member, shape.members[name]) if name in shape.members else member
            for name, member in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [_typed(member, shape.member) for member in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: _typed(member, shape.value) for key, member in value.items()}
    if kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "blob" and not isinstance(value, bytes):
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    return value


def result_members(value: Any, shape: Any, *, epoch_milliseconds: bool = False) -> Any:
    """A botocore answer as a task's result. SDK integrations show times as ISO text, optimised ones as milliseconds."""
    from ministack.services.stepfunctions import _api_name_to_sfn_key

    def convert(value: Any, shape: Any) -> Any:
        kind = shape.type_name if shape is not None else ""
        if kind == "structure" and isinstance(value, Mapping):
            return {
                (name if epoch_milliseconds else _api_name_to_sfn_key(name)): convert(member, shape.members[name])
                for name, member in value.items()
                if name in shape.members
            }
        if kind == "list":
            return [convert(member, shape.member) for member in value]
        if kind == "map":
            return {key: convert(member, shape.value) for key, member in value.items()}
        if isinstance(value, datetime):
            return _time(value, epoch_milliseconds=epoch_milliseconds)
        if hasattr(value, "read"):
            value = value.read()
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return convert(value, shape)


def _time(moment: datetime, *, epoch_milliseconds: bool) -> Any:
    if epoch_milliseconds:
        return int(moment.timestamp() * 1000)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
