from datetime import UTC, datetime

import boto3
import pytest

from local.states import naming


def model(service: str) -> object:
    return boto3.client(service, region_name="us-east-1").meta.service_model


@pytest.mark.parametrize(
    ("service", "code", "error"),
    [
        ("cloudformation", "ValidationError", "CloudFormation.CloudFormationException"),
        ("cloudformation", "AlreadyExistsException", "CloudFormation.AlreadyExistsException"),
        ("cloudformation", "InsufficientCapabilitiesException", "CloudFormation.InsufficientCapabilitiesException"),
        ("sagemaker", "ValidationException", "SageMaker.SageMakerException"),
        ("sagemaker", "ResourceInUse", "SageMaker.ResourceInUseException"),
        ("sagemaker", "ResourceLimitExceeded", "SageMaker.ResourceLimitExceededException"),
        ("sagemaker", "AccessDeniedException", "SageMaker.SageMakerException"),
        ("s3", "NoSuchBucket", "S3.NoSuchBucketException"),
        ("s3", "SlowDown", "S3.S3Exception"),
        ("stepfunctions", "ExecutionAlreadyExists", "Sfn.ExecutionAlreadyExistsException"),
        ("dynamodb", "ResourceNotFoundException", "DynamoDb.ResourceNotFoundException"),
        ("sagemaker-runtime", "ModelError", "SageMakerRuntime.ModelErrorException"),
    ],
)
def test_an_sdk_error_has_the_name_of_the_java_sdks_exception(service: str, code: str, error: str) -> None:
    assert naming.sdk_error(model(service), code) == error


@pytest.mark.parametrize(
    ("integration", "service", "code", "error"),
    [
        ("sagemaker", "sagemaker", "ValidationException", "SageMaker.AmazonSageMakerException"),
        ("sagemaker", "sagemaker", "ResourceLimitExceeded", "SageMaker.ResourceLimitExceededException"),
        ("lambda", "lambda", "TooManyRequestsException", "Lambda.TooManyRequestsException"),
        ("lambda", "lambda", "AccessDeniedException", "Lambda.AWSLambdaException"),
        ("states", "stepfunctions", "ExecutionAlreadyExists", "StepFunctions.ExecutionAlreadyExistsException"),
    ],
)
def test_an_optimised_integrations_error_has_the_older_sdks_name(
    integration: str, service: str, code: str, error: str
) -> None:
    assert naming.optimized_error(integration, model(service), code) == error


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("sagemaker", "sagemaker"),
        ("sfn", "stepfunctions"),
        ("eventbridge", "events"),
        ("applicationautoscaling", "application-autoscaling"),
    ],
)
def test_an_integration_names_a_service_as_the_sdk_does(name: str, service: str) -> None:
    assert naming.botocore_service(name) == service


def test_an_unknown_service_is_none() -> None:
    assert naming.botocore_service("teleportation") is None


def test_a_request_gets_the_types_that_jsonata_lost() -> None:
    shape = model("s3").operation_model("ListObjectsV2").input_shape  # type: ignore[attr-defined]
    assert naming.request_members({"Bucket": "b", "MaxKeys": 5.0}, shape) == {"Bucket": "b", "MaxKeys": 5}


def test_a_result_shows_times_as_text_or_as_milliseconds() -> None:
    shape = model("stepfunctions").operation_model("DescribeExecution").output_shape  # type: ignore[attr-defined]
    answer = {"startDate": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), "status": "RUNNING"}
    assert naming.result_members(answer, shape) == {"StartDate": "2026-01-02T03:04:05.678Z", "Status": "RUNNING"}
    assert naming.result_members(answer, shape, epoch_milliseconds=True)["startDate"] == 1767323045678
