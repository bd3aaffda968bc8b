"""SummarizeRun: adapter between Step Functions and `summarize_run`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.summarize_run.summarize_run import summarize_run

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    summary = summarize_run(
        run=event["run"],
        plan=event.get("plan"),
        manifest=event.get("manifest"),
        outcomes=event.get("models") or [],
    )
    logger.info("run summarised", extra={"summary": summary})
    return summary
