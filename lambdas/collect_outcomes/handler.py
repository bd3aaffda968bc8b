"""CollectOutcomes: adapter between Step Functions and `collect_outcomes`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.collect_outcomes.collect_outcomes import CollectEnvironment, Part, collect_outcomes
from lambdas.environment import read_environment

logger = Logger()


@cache
def environment() -> CollectEnvironment:
    return read_environment(CollectEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    progress = collect_outcomes(
        Part.from_event(event),
        environment=environment(),
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    logger.info("outcomes collected" if progress["done"] else "outcomes handed on", extra={"progress": progress})
    return progress
