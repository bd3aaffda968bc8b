"""PrepareRun: adapter between Step Functions and `prepare_run`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.prepare_run.prepare_run import PrepareRunEnvironment, prepare_run

logger = Logger()


@cache
def environment() -> PrepareRunEnvironment:
    return read_environment(PrepareRunEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    run = prepare_run(
        event.get("input"),
        execution_arn=event["execution_arn"],
        redrive_count=int(event.get("redrive_count") or 0),
        environment=environment(),
    )
    logger.info("run prepared", extra={"run_id": run["run_id"], "execution": event.get("execution_name")})
    return run
