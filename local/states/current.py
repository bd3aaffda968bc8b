"""Which execution and task the current thread works for: MiniStack hands an integration only its resource and its
input."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CurrentTask:
    """deadline is a time.monotonic() value, or None for a task without a time limit."""

    execution: dict[str, Any]
    role_arn: str
    deadline: float | None = None

    @property
    def is_aborted(self) -> bool:
        return bool(self.execution.get("status") != "RUNNING")


_current: contextvars.ContextVar[CurrentTask | None] = contextvars.ContextVar("current_task", default=None)


def current_task() -> CurrentTask:
    task = _current.get()
    if task is None:
        raise RuntimeError("no Step Functions task is running in this thread")
    return task


@contextlib.contextmanager
def working_for(task: CurrentTask) -> Iterator[None]:
    token = _current.set(task)
    try:
        yield
    finally:
        _current.reset(token)


def role_of(execution: dict[str, Any]) -> str:
    """The role of the execution's state machine; a Distributed Map's child names its parent's before the slash."""
    from ministack.services import stepfunctions

    arn = execution["stateMachineArn"].partition("/")[0]
    machine = stepfunctions._state_machines.get(arn) or {}
    return str(machine.get("roleArn", ""))
