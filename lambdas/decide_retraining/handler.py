"""DecideRetraining: adapter between what asks for a training and `decide_retraining`.

An event is a drift alarm's change of state, {"trigger": "schedule"}, {"trigger": "recheck"} (which asks for every drift
alarm that still rings), or a person's {"models": [...], "reason": "...", "requested_by": "..."}.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.clients import client
from lambdas.decide_retraining.asked import asked_by, by_drift
from lambdas.decide_retraining.decide_retraining import (
    Clients,
    RetrainingEnvironment,
    decide_retraining,
    drifting,
)
from lambdas.environment import read_environment
from lambdas.metric_names import put

logger = Logger()


@cache
def environment() -> RetrainingEnvironment:
    return read_environment(RetrainingEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    alarms, event_id = environment().alarms, str(event.get("id") or context.aws_request_id)
    if event.get("trigger") == "recheck":
        rings = drifting(alarms, client("cloudwatch"))
        wanted = [by_drift(alarms[kind], kind, reason) for kind, reason in rings.items()]
    else:
        wanted = [asked_by(event, alarms=alarms, models=environment().models)]
    records = []
    for asked in wanted:
        record = decide_retraining(
            asked,
            event_id=event_id if len(wanted) == 1 else f"{event_id}-{asked.kinds[0]}"[-60:],
            environment=environment(),
            clients=Clients(s3=client("s3"), ssm=client("ssm"), stepfunctions=client("stepfunctions")),
            now=datetime.now(UTC),
        )
        for kind, decision in record["decisions"].items():
            name = "RetrainingStarted" if decision["is_started"] else "RetrainingRefused"
            put("decide_retraining", {name: 1}, Kind=kind)
        logger.info("retraining decided", extra={"record": record})
        records.append(record)
    return {"decisions": records}
