"""Requests against botocore's model of SageMaker, and answers shaped by it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from local.sagemaker.errors import SageMakerError
from local.sagemaker.validation import check_request, shape_response

ROLE = "arn:aws:iam::000000000000:role/any"


def job(**changes: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return {**request, **changes}


def refusal(action: str, request: dict[str, Any]) -> str:
    with pytest.raises(SageMakerError) as caught:
        check_request(action, request)
    return f"{caught.value.code}: {caught.value.message}"


def test_a_correct_request_passes():
    check_request("CreateTrainingJob", job(HyperParameters={"a": "1"}, Tags=[{"Key": "k", "Value": ""}]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"TrainingJobName": "under_score"},
            "1 validation error detected: Value 'under_score' at 'trainingJobName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "1 validation error detected: Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
        (
            {"HyperParameters": {"a": "x" * 2501}},
            f"1 validation error detected: Value '{'x' * 200}' at 'hyperParameters.a.member' failed to satisfy "
            "constraint: Member must have length less than or equal to 2500",
        ),
        (
            {"AlgorithmSpecification": {"TrainingImage": "image"}},
            "1 validation error detected: Value null at 'algorithmSpecification.trainingInputMode' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            {"Tags": [{"Key": "k", "Value": "v"}, {"Key": ""}]},
            "3 validation errors detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must "
            "have length greater than or equal to 1; ",
        ),
    ],
)
def test_a_broken_constraint_is_told_in_sagemakers_words(changes, message):
    told = refusal("CreateTrainingJob", job(**changes))
    assert told.startswith(f"ValidationException: {message}") or (
        "validation errors" in message and told.startswith("ValidationException: 2 validation errors")
    )


def test_an_unknown_member_is_refused_with_those_that_exist():
    told = refusal("CreateTrainingJob", job(ResourceConfig={"InstancesCount": 1}))
    assert told.startswith(
        'ValidationException: Unknown parameter in resourceConfig: "InstancesCount", must be one of:'
    )


@pytest.mark.parametrize("count", ["1", True, 1.5])
def test_a_wrong_type_is_a_serialization_exception(count):
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": count}
    told = refusal("CreateTrainingJob", job(ResourceConfig=resources))
    assert told.startswith("SerializationException: ")
    assert told.endswith("can not be converted to integer at 'resourceConfig.instanceCount'")


def test_an_answer_has_the_models_members_and_times_in_seconds():
    answer = shape_response(
        "DescribeEndpoint",
        {
            "EndpointName": "e",
            "CreationTime": datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC),
            "ProductionVariants": [{"VariantName": "v", "CurrentWeight": Decimal("0.5"), "secret": 1}],
            "FailureReason": None,
            "memory": "nobody's business",
        },
    )
    assert answer == {
        "EndpointName": "e",
        "CreationTime": 1767225601.5,
        "ProductionVariants": [{"VariantName": "v", "CurrentWeight": 0.5}],
    }
