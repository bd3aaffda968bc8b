"""The child execution that a Distributed Map failed by: the map's own error says only that a threshold was exceeded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.describe_failure.causes import Failure, read_failure

logger = Logger(child=True)
THRESHOLD_EXCEEDED: Final = "States.ExceedToleratedFailureThreshold"


def failed_child(states: Any, execution_arn: str) -> Failure | None:
    """What the first failed child of the newest Map Run says, with the part that it worked on; None where nothing is
    known."""
    try:
        runs = states.list_map_runs(executionArn=execution_arn)["mapRuns"]
        newest = max(runs, key=lambda run: run["startDate"], default=None)
        if newest is None:
            return None
        failed = states.list_executions(mapRunArn=newest["mapRunArn"], statusFilter="FAILED", maxResults=100)
        if not failed["executions"]:
            return None
        first = failed["executions"][-1]  # the list begins with the latest
        child = states.describe_execution(executionArn=first["executionArn"])
    except (ClientError, BotoCoreError):
        logger.warning("the failed child of the Distributed Map cannot be read", exc_info=True)
        return None
    failure = read_failure(child.get("error"), child.get("cause"))
    reason = ": ".join(filter(None, (_part(child.get("input")), failure.reason)))
    return replace(failure, reason=reason, execution=failure.execution or child["executionArn"])


def _part(text: object) -> str:
    """ "segment 3", or the data file; empty where the input does not say."""
    try:
        given = json.loads(str(text))
    except ValueError:
        return ""
    if not isinstance(given, Mapping):
        return ""
    file = given.get("data_file")
    if isinstance(file, Mapping):
        return f"file {file.get('dataFileS3Key')}"
    return f"segment {given['segment']}" if "segment" in given else ""
