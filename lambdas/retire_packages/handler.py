"""RetirePackages: adapter between EventBridge's schedule (or an invocation by hand) and `retire_packages`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.clients import client
from lambdas.environment import read_environment
from lambdas.retire_packages.retire_packages import Registry, RetentionEnvironment, retire_packages

logger = Logger()


@cache
def environment() -> RetentionEnvironment:
    return read_environment(RetentionEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    gone = retire_packages(
        environment=environment(),
        registry=Registry(
            sagemaker=client("sagemaker"),
            cloudformation=client("cloudformation"),
            stepfunctions=client("stepfunctions"),
            s3=client("s3"),
        ),
        now=datetime.now(UTC),
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    logger.info("versions retired", extra={"account": gone})
    return gone
