"""What an endpoint's containers printed since a moment: why one of them never answered /ping stands there alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

logger = Logger(child=True)
# How the container says that it will not serve (training_container/sagemaker_contract.py, serve.py).
REFUSALS = ("refused:", "stays red:")
MOST_PAGES = 5


def container_words(logs: Any, endpoint_name: str, since: str, *, has_not_started: bool) -> str:
    """The newest refusal of any instance. Without one, of a container that has not started the last line: it may have
    been killed, and the instance that came last is it. Empty where nothing was printed or the log cannot be read."""
    try:
        events = _events(logs, f"/aws/sagemaker/Endpoints/{endpoint_name}", _milliseconds(since))
    except (ClientError, BotoCoreError, ValueError):
        logger.warning("the endpoint's log cannot be read", exc_info=True)
        return ""
    refusals = [event for event in events if any(mark in event["message"] for mark in REFUSALS)]
    if refusals:
        return _line(refusals[-1])
    if not events or not has_not_started:
        return ""
    first = {event["logStreamName"]: event["timestamp"] for event in reversed(events)}
    newest = max(first, key=lambda stream: first[stream])
    return _line([event for event in events if event["logStreamName"] == newest][-1])


def _events(logs: Any, group: str, since_ms: int) -> Sequence[dict[str, Any]]:
    """Oldest first, bounded: a container that talks much is not read to its end."""
    found: list[dict[str, Any]] = []
    request: dict[str, Any] = {"logGroupName": group, "startTime": since_ms}
    for _ in range(MOST_PAGES):
        page = logs.filter_log_events(**request)
        found += page.get("events", [])
        if not page.get("nextToken"):
            break
        request["nextToken"] = page["nextToken"]
    return sorted(found, key=lambda event: int(event["timestamp"]))


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _line(event: dict[str, Any]) -> str:
    return " ".join(str(event["message"]).split())
