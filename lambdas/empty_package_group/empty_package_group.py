"""Deletes a group's versions: SageMaker refuses to delete a group that has any, and with it the stack's deletion."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lambdas.client_errors import error_code
from lambdas.clients import client


def empty_package_group(group: str, *, sagemaker: Any = None) -> int:
    """The number of versions that were deleted; a group that does not exist is empty."""
    sagemaker = sagemaker or client("sagemaker")
    deleted = 0
    try:
        for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            for package in page["ModelPackageSummaryList"]:
                sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
                deleted += 1
    except ClientError as error:
        # SageMaker's only answer to an unknown group; the message tells it from a wrong request.
        if error_code(error) != "ValidationException" or "does not exist" not in str(error):
            raise
    return deleted
