"""Starts a Step Functions execution, follows it to its end and says what happens meanwhile."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

POLL_SECONDS = 1.0
SILENT_STATE_TYPES = ("Choice", "Pass", "Wait", "Succeed", "Fail")


class ExecutionFailed(RuntimeError):
    """The execution ended otherwise than SUCCEEDED; the message is its cause."""


@dataclass(frozen=True)
class Execution:
    arn: str
    status: str
    output: dict[str, Any]
    error: str
    cause: str
    steps: tuple[tuple[str, float], ...]
    """Each state's name and the seconds from its first entry to its last exit."""


def run_execution(
    states: Any,
    *,
    state_machine_arn: str,
    execution_input: dict[str, Any],
    name: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    meanwhile: Callable[[], None] = lambda: None,
    timeout_seconds: float = 7200,
) -> Execution:
    """Start and follow one execution; `meanwhile` is called at each poll. Raises TimeoutError past the timeout."""
    named = {"name": name} if name else {}
    arn = states.start_execution(stateMachineArn=state_machine_arn, input=json.dumps(execution_input), **named)[
        "executionArn"
    ]
    return follow_execution(states, arn, say=say, meanwhile=meanwhile, timeout_seconds=timeout_seconds)


def follow_execution(
    states: Any,
    arn: str,
    *,
    say: Callable[[str], None] = lambda _: None,
    meanwhile: Callable[[], None] = lambda: None,
    timeout_seconds: float = 7200,
) -> Execution:
    """To its end, one that somebody else started."""
    deadline = time.monotonic() + timeout_seconds
    announced = 0
    while True:
        described = states.describe_execution(executionArn=arn)
        announced = _announce(states, arn, announced, say)
        if described["status"] != "RUNNING":
            return _finished(states, described)
        if time.monotonic() > deadline:
            raise TimeoutError(f"execution {arn} still runs after {timeout_seconds:.0f} s")
        meanwhile()
        time.sleep(POLL_SECONDS)


def _announce(states: Any, arn: str, announced: int, say: Callable[[str], None]) -> int:
    """Say the tasks that were entered since the event `announced`; the newest event."""
    newest_first = history(states, arn, reverseOrder=True, maxResults=100, includeExecutionData=False)
    new = list(itertools.takewhile(lambda event: event["id"] > announced, newest_first))
    for event in reversed(new):
        details = event.get("stateEnteredEventDetails")
        kind = event["type"].removesuffix("StateEntered")
        if details and kind not in SILENT_STATE_TYPES:
            say(details["name"])
    return new[0]["id"] if new else announced


def history(states: Any, arn: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Every event of an execution, oldest first unless the options of GetExecutionHistory say otherwise."""
    pages = states.get_paginator("get_execution_history").paginate(
        **{"executionArn": arn, "maxResults": 1000, **options}
    )
    for page in pages:
        yield from page["events"]


def _finished(states: Any, described: dict[str, Any]) -> Execution:
    return Execution(
        arn=described["executionArn"],
        status=described["status"],
        output=json.loads(described.get("output") or "{}"),
        error=described.get("error", ""),
        cause=described.get("cause", ""),
        steps=tuple(_durations(history(states, described["executionArn"], includeExecutionData=False))),
    )


def _durations(events: Iterator[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    entered: dict[str, Any] = {}
    exited: dict[str, Any] = {}
    for event in events:
        if details := event.get("stateEnteredEventDetails"):
            entered.setdefault(details["name"], event["timestamp"])
        if details := event.get("stateExitedEventDetails"):
            exited[details["name"]] = event["timestamp"]
    for name, start in entered.items():
        if name in exited:
            yield name, (exited[name] - start).total_seconds()
