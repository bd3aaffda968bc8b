"""What an AWS service's refusal means, by its error code: the one place that knows how the services spell it."""

from __future__ import annotations

from botocore.exceptions import ClientError

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "LimitExceededException",
        "InternalServerError",
        # Every service's own fault (API references, "Common Errors").
        "InternalFailure",
        "ServiceUnavailable",
    }
)
_MISSING_OBJECT = frozenset({"NoSuchKey", "404"})
# SageMaker's API reference names ResourceNotFound; what it answers to an unknown name is a validation error.
_MISSING_IN_SAGEMAKER = frozenset({"ValidationException", "ValidationError", "ResourceNotFound"})


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_throttled(error: ClientError) -> bool:
    """Whether the same request may be answered later: too many of them, or a fault of the service's own."""
    return error_code(error) in _THROTTLED


def is_unmet_condition(error: ClientError) -> bool:
    """Whether DynamoDB refused a write for its ConditionExpression."""
    return error_code(error) == "ConditionalCheckFailedException"


def is_missing_object(error: ClientError) -> bool:
    """Whether S3 has no object of the key."""
    return error_code(error) in _MISSING_OBJECT


def is_missing_in_sagemaker(error: ClientError) -> bool:
    """Whether a describing or listing call named an endpoint, a package or a group that does not exist."""
    return error_code(error) in _MISSING_IN_SAGEMAKER


def is_started_already(error: ClientError) -> bool:
    """Whether Step Functions has had an execution of this name: the repeat of a start is none."""
    return error_code(error) == "ExecutionAlreadyExists"
