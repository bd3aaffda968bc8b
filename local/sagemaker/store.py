"""What exists: every resource by kind, account, region and name, with one lock and one bell for changes."""

from __future__ import annotations

import base64
import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from local.sagemaker.errors import validation
from local.sagemaker.validation import as_datetime

logger = logging.getLogger("iops.sagemaker")
DEFAULT_PAGE = 10


class Scope(NamedTuple):
    account: str
    region: str

    def arn(self, resource: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{resource}"


@dataclass
class Record:
    """One resource. `body` holds the members of its Describe answer, `memory` what is nobody's business."""

    kind: str
    name: str
    arn: str
    scope: Scope
    body: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A resource's new state, as listeners get it; `status` is empty for kinds that have none."""

    kind: str
    name: str
    status: str
    scope: Scope
    body: Mapping[str, Any]


Listener = Callable[[Change], None]


def now() -> datetime:
    return datetime.now(UTC)


class Store:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._records: dict[tuple[str, Scope, str], Record] = {}
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change (in the thread that made it); returns what ends the subscription."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(self, record: Record, *, already_exists: Exception) -> None:
        with self.lock:
            key = (record.kind, record.scope, record.name)
            if key in self._records:
                raise already_exists
            self._records[key] = record
        self._announce(record)

    def find(self, kind: str, scope: Scope, name: str) -> Record | None:
        with self.lock:
            return self._records.get((kind, scope, name))

    def get(self, kind: str, scope: Scope, name: str, *, missing: Exception) -> Record:
        record = self.find(kind, scope, name)
        if record is None:
            raise missing
        return record

    def remove(self, record: Record) -> None:
        with self.lock:
            self._records.pop((record.kind, record.scope, record.name), None)
            self._changed.notify_all()

    def all(self, kind: str, scope: Scope | None = None) -> list[Record]:
        with self.lock:
            return [
                record
                for (known, where, _), record in self._records.items()
                if known == kind and scope in (None, where)
            ]

    def by_arn(self, arn: str) -> Record | None:
        with self.lock:
            return next((record for record in self._records.values() if record.arn == arn), None)

    @contextmanager
    def changing(self, record: Record) -> Iterator[dict[str, Any]]:
        """Change a record's body in one piece; waiters and listeners learn of it afterwards."""
        with self.lock:
            yield record.body
            record.body["LastModifiedTime"] = now()
            self._changed.notify_all()
        self._announce(record)

    def snapshot(self, record: Record) -> dict[str, Any]:
        with self.lock:
            return copy.deepcopy(record.body)

    def wait(self, condition: Callable[[], bool], *, timeout_seconds: float | None) -> bool:
        """Block until the condition holds; it is looked at after every change. False when the time is over."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while not condition():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def _announce(self, record: Record) -> None:
        if not self._listeners:
            return
        body = self.snapshot(record)
        change = Change(record.kind, record.name, str(body.get(f"{record.kind}Status", "")), record.scope, body)
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:
                logger.exception("a listener failed on %s %s", record.kind, record.name)


def listing(records: list[dict[str, Any]], request: Mapping[str, Any], *, kind: str) -> tuple[list[Any], str | None]:
    """One page of Describe bodies by the filters that SageMaker's List actions share, and the next page's token."""
    chosen = [body for body in records if _is_wanted(body, request, kind)]
    keys = {"Name": f"{kind}Name", "Status": f"{kind}Status", "CreationTime": "CreationTime"}
    member = keys.get(request.get("SortBy", "CreationTime"), "CreationTime")
    default = "Ascending" if request.get("SortBy") == "Name" else "Descending"
    chosen.sort(
        key=lambda body: (body.get(member) is not None, body.get(member), body["CreationTime"]),
        reverse=request.get("SortOrder", default) == "Descending",
    )
    return page_of(chosen, request)


def page_of(chosen: Sequence[Any], request: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """MaxResults of what is in order already, from NextToken on."""
    start = _offset(request.get("NextToken"))
    end = start + int(request.get("MaxResults", DEFAULT_PAGE))
    token = base64.urlsafe_b64encode(f"offset:{end}".encode()).decode() if end < len(chosen) else None
    return list(chosen[start:end]), token


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("offset:"))
    except ValueError:
        raise validation("The NextToken is not valid.") from None


def _is_wanted(body: Mapping[str, Any], request: Mapping[str, Any], kind: str) -> bool:
    if request.get("NameContains", "") not in body.get(f"{kind}Name", ""):
        return False
    if request.get("StatusEquals") not in (None, body.get(f"{kind}Status")):
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        after, before = request.get(f"{member}After"), request.get(f"{member}Before")
        moment = body.get(member)
        if after is not None and not (moment and moment > as_datetime(after)):
            return False
        if before is not None and not (moment and moment < as_datetime(before)):
            return False
    return True
