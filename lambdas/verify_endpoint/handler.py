"""VerifyEndpoint: adapter between Step Functions and `verify_endpoint`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.verify_endpoint.verify_endpoint import verify_endpoint

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    verification = verify_endpoint(
        endpoint_name=event["endpoint_name"],
        golden_uri=event["golden_uri"],
        expected_package=event["expected_package"],
        variant=event.get("variant") or "live",
    )
    logger.info("endpoint verified", extra={"endpoint": event["endpoint_name"], "verification": verification})
    return verification
