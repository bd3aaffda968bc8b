"""JoinOutcomes: adapter between EventBridge's schedule (or an invocation by hand, with any event) and `join_outcomes`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from insights.schema import KINDS
from lambdas.clients import client
from lambdas.environment import read_environment
from lambdas.join_outcomes.join_outcomes import JoinEnvironment, OutcomesNotJoined, join_outcomes
from lambdas.metric_names import put

logger = Logger()


@cache
def environment() -> JoinEnvironment:
    return read_environment(JoinEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    account = join_outcomes(
        environment=environment(),
        dynamodb=client("dynamodb"),
        now=datetime.now(UTC),
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    for kind in KINDS:
        put("join_outcomes", account.metrics(kind), Kind=kind)
    told = {"is_done": account.is_done, **{kind: account.metrics(kind) for kind in KINDS}}
    logger.info("outcomes joined", extra={"account": told})
    if account.failed_devices:
        raise OutcomesNotJoined(f"the outcomes of {account.failed_devices} devices are not joined; the log has each")
    return told
