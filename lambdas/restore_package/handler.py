"""RestorePackage: adapter between an invocation by hand (docs/versions.md) and `restore_package`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.clients import client
from lambdas.environment import read_environment
from lambdas.restore_package.restore_package import RestoreEnvironment, restore_package

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    bucket = read_environment(RestoreEnvironment).bucket_name
    restored = restore_package(event, bucket=bucket, s3=client("s3"), sagemaker=client("sagemaker"))
    logger.info("version restored", extra={"asked": event, "restored": restored})
    return restored
