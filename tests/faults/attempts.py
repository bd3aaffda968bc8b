"""What an execution's history tells of attempts that failed."""

from __future__ import annotations

from typing import Any

from local.execution import history


def failed_states(states: Any, execution_arn: str) -> list[str]:
    """The state of each attempt of a task that failed, in order; after each but perhaps the last it was tried again."""
    failed, entered = [], ""
    for event in history(states, execution_arn):
        entered = event.get("stateEnteredEventDetails", {}).get("name", entered)
        if event["type"] == "TaskFailed":
            failed.append(entered)
    return failed
