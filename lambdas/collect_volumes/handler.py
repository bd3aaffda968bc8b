"""CollectVolumes: adapter between the schedule's targets and `collect_volumes`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.collect_volumes.collect_volumes import CollectEnvironment, collect_volumes
from lambdas.environment import read_environment

logger = Logger()


@cache
def environment() -> CollectEnvironment:
    return read_environment(CollectEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    collected = collect_volumes(
        shard=event["shard"],
        shards=event["shards"],
        now=datetime.now(UTC),
        environment=environment(),
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    logger.info("volumes collected", extra={"collected": {"shard": event["shard"], **collected}})
    return collected
