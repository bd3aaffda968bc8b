"""WriteManifest: adapter between Step Functions and `write_manifest`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.metric_names import put
from lambdas.prepare_run.plan import plan_of_export
from lambdas.write_manifest.write_manifest import measures, write_manifest

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    account = write_manifest(run_id=event["run_id"], bucket=event["bucket"], raw_prefix=event["raw_prefix"])
    account["plan"] = plan_of_export(account, event.get("planning"))
    logger.info("manifest written", extra={"account": account})
    put("write_manifest", measures(account, source=event["source"], now=datetime.now(UTC)))
    return account
