from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local.execution import run_execution

START = datetime(2026, 1, 1, tzinfo=UTC)


class ScriptedStates:
    """Answers like Step Functions: one RUNNING description, then the end."""

    def __init__(self, events: list[dict[str, Any]], end: dict[str, Any]) -> None:
        self._events, self._ends = events, [{"status": "RUNNING"}, end]
        self.started_with: dict[str, Any] = {}

    def start_execution(self, **request: Any) -> dict[str, Any]:
        self.started_with = request
        return {"executionArn": "arn:execution"}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        return {"executionArn": executionArn, **(self._ends.pop(0) if len(self._ends) > 1 else self._ends[0])}

    def get_paginator(self, _: str) -> ScriptedStates:
        return self

    def paginate(self, *, reverseOrder: bool = False, **_: Any) -> list[dict[str, Any]]:
        events = self._events[::-1] if reverseOrder else self._events
        half = len(events) // 2
        return [{"events": events[:half]}, {"events": events[half:]}]


def entered(number: int, name: str, seconds: float, kind: str = "Task") -> dict[str, Any]:
    details = {"name": name}
    when = START + timedelta(seconds=seconds)
    return {
        "id": number,
        "type": f"{kind}StateEntered",
        "timestamp": when,
        "stateEnteredEventDetails": details,
    }


def exited(number: int, name: str, seconds: float) -> dict[str, Any]:
    when = START + timedelta(seconds=seconds)
    return {
        "id": number,
        "type": "TaskStateExited",
        "timestamp": when,
        "stateExitedEventDetails": {"name": name},
    }


def test_the_output_and_the_seconds_of_each_state_are_returned_and_tasks_announced_once():
    events = [
        entered(1, "Prepare", 0),
        exited(2, "Prepare", 1.5),
        entered(3, "Selected?", 1.5, kind="Choice"),
        exited(4, "Selected?", 1.5),
        entered(5, "Export", 2),
        exited(6, "Export", 3),
        entered(7, "Export", 4),
        exited(8, "Export", 6),
    ]
    states = ScriptedStates(events, {"status": "SUCCEEDED", "output": json.dumps({"run_id": "abc"})})
    said: list[str] = []

    execution = run_execution(states, state_machine_arn="arn:m", execution_input={"models": []}, say=said.append)

    assert json.loads(states.started_with["input"]) == {"models": []}
    assert execution.output == {"run_id": "abc"}
    assert execution.steps == (("Prepare", 1.5), ("Selected?", 0.0), ("Export", 4.0))
    assert said == ["Prepare", "Export", "Export"]


def test_a_failed_execution_brings_its_error_and_cause():
    states = ScriptedStates([], {"status": "FAILED", "error": "EmptyExport", "cause": "the table holds no insight"})

    execution = run_execution(states, state_machine_arn="arn:m", execution_input={})

    assert (execution.status, execution.error, execution.cause) == (
        "FAILED",
        "EmptyExport",
        "the table holds no insight",
    )
