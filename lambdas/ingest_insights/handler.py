"""IngestInsights: adapter between Step Functions and `ingest_insights`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.ingest_insights.ingest_insights import IngestEnvironment, ingest_insights

logger = Logger()


@cache
def environment() -> IngestEnvironment:
    return read_environment(IngestEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    ingested = ingest_insights(bucket=event["bucket"], key=event["key"], table=environment().insights_table_name)
    logger.info("object ingested", extra={"ingested": ingested})
    return ingested
