"""Tasks of a workflow: each call says which state makes it, a state may be out of time, and what a state begins with is
kept, so that an execution can begin there."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from local.faults.book import Book

TASK_HEADER: Final = "X-Laptop-Task"
ENTRIES_FILE: Final = "entries.jsonl"
SHORT_SECONDS: Final = 1

_state: contextvars.ContextVar[str] = contextvars.ContextVar("state_of_a_workflow", default="")


def register(book: Book, state_dir: Path) -> None:
    from ministack.services import stepfunctions as sfn

    from local.states.clients import RoleClients

    entries = state_dir / ENTRIES_FILE
    sfn._execute_task = with_faults(book, entries, sfn._execute_task)
    sfn._execute_map = kept_entry(entries, sfn._execute_map)
    sfn._execute_parallel = kept_entry(entries, sfn._execute_parallel)
    setattr(RoleClients, "get", saying_the_state(RoleClients.get))  # noqa: B010 - a method is replaced


def with_faults(book: Book, entries: Path, execute: Callable[..., Any]) -> Callable[..., Any]:
    def executed(state: dict[str, Any], raw_input: Any, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        name = context["State"]["Name"]
        _keep(entries, execution, name, raw_input, context)
        if book.take("task", name):
            state = {**state, "TimeoutSeconds": SHORT_SECONDS}
        token = _state.set(name)
        try:
            return execute(state, raw_input, execution, context)
        finally:
            _state.reset(token)

    return executed


def kept_entry(entries: Path, execute: Callable[..., Any]) -> Callable[..., Any]:
    """Maps and parallel branches meet no fault themselves."""

    def executed(state: dict[str, Any], raw_input: Any, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        _keep(entries, execution, context["State"]["Name"], raw_input, context)
        return execute(state, raw_input, execution, context)

    return executed


def _keep(entries: Path, execution: dict[str, Any], name: str, given: Any, context: dict[str, Any]) -> None:
    entry = {
        "execution": execution["executionArn"],
        "state": name,
        "input": given,
        "variables": context.get("variables", {}),
    }
    with entries.open("a") as file:
        file.write(json.dumps(entry, default=str) + "\n")


def saying_the_state(get: Callable[..., Any]) -> Callable[..., Any]:
    def got(clients: Any, service: str, role_arn: str) -> Any:
        client = get(clients, service, role_arn)
        client.meta.events.register("before-send", _say, unique_id="state-of-a-workflow")
        return client

    return got


def _say(request: Any, **_: Any) -> None:
    request.headers[TASK_HEADER] = _state.get()
