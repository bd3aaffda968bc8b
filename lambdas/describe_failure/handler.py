"""DescribeFailure: adapter between Step Functions and `describe_failure`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.describe_failure.describe_failure import describe_failure

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    failure = describe_failure(event)
    logger.error("a step failed", extra={"failure": failure})
    return failure
