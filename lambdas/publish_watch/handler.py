"""PublishWatch: adapter between Step Functions and `publish_watch`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.publish_watch.publish_watch import publish_watch

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    plan = event["plan"]
    published = publish_watch(kind=plan["kind"], bucket=plan["bucket"], prefix=plan["prefix"])
    logger.info("watch published", extra={"published": published})
    return published
