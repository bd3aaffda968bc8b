"""What the services' error codes mean to the functions."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from lambdas.client_errors import (
    is_missing_in_sagemaker,
    is_missing_object,
    is_started_already,
    is_throttled,
    is_unmet_condition,
)

MEANINGS = {
    "throttled": is_throttled,
    "unmet condition": is_unmet_condition,
    "missing object": is_missing_object,
    "missing in SageMaker": is_missing_in_sagemaker,
    "started already": is_started_already,
}


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("ProvisionedThroughputExceededException", "throttled"),
        ("ThrottlingException", "throttled"),
        ("InternalServerError", "throttled"),
        ("InternalFailure", "throttled"),
        ("ServiceUnavailable", "throttled"),
        ("ConditionalCheckFailedException", "unmet condition"),
        ("NoSuchKey", "missing object"),
        ("404", "missing object"),
        ("ValidationException", "missing in SageMaker"),
        ("ValidationError", "missing in SageMaker"),
        ("ResourceNotFound", "missing in SageMaker"),
        ("ExecutionAlreadyExists", "started already"),
        ("AccessDeniedException", ""),
        ("", ""),
    ],
)
def test_a_code_has_one_meaning_at_most(code: str, meaning: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "AnyOperation")
    assert [name for name, holds in MEANINGS.items() if holds(error)] == [meaning] * bool(meaning)


def test_an_answer_without_an_error_means_nothing() -> None:
    assert not any(holds(ClientError({}, "AnyOperation")) for holds in MEANINGS.values())
