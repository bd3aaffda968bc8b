"""PrepareWatch: adapter between Step Functions and `prepare_watch`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.prepare_watch.prepare_watch import WatchEnvironment, prepare_watch

logger = Logger()


@cache
def environment() -> WatchEnvironment:
    return read_environment(WatchEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    plan = prepare_watch(
        event["kind"],
        event["input"],
        started_at=event["started_at"],
        execution_arn=event["execution_arn"],
        environment=environment(),
    )
    logger.info("watch prepared", extra={"plan": plan})
    return plan
