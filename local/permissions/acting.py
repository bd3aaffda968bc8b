"""The role in whose name CloudFormation is working at the moment: a stack's service role, or none (the caller's own
rights)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_acting: contextvars.ContextVar[str | None] = contextvars.ContextVar("acting_role", default=None)
"""A context variable, because the task that MiniStack schedules for a stack operation copies the request's context."""


def acting_role() -> str | None:
    return _acting.get()


@contextlib.contextmanager
def act_as(role_arn: str | None) -> Iterator[None]:
    token = _acting.set(role_arn)
    try:
        yield
    finally:
        _acting.reset(token)
