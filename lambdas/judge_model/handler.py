"""JudgeModel: adapter between Step Functions and `judge_model`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.judge_model.judge_model import judge_model

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    judgement = judge_model(
        kind=event["kind"],
        bucket=event["bucket"],
        evaluation_prefix=event["evaluation_prefix"],
        gate=event.get("gate") or {},
        run=event["run"],
    )
    logger.info("model judged", extra={"kind": event["kind"], "judgement": judgement})
    return judgement
