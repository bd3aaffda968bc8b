"""ExportInsights: adapter between Step Functions and `export_insights`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights

logger = Logger()


@cache
def environment() -> ExportEnvironment:
    return read_environment(ExportEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    progress = export_insights(
        Segment.from_event(event),
        environment=environment(),
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    logger.info("segment exported" if progress["done"] else "segment handed on", extra={"progress": progress})
    return progress
