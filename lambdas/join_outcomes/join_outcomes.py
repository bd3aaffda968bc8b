"""What really happened, joined to the predictions whose horizon has passed, and to the insights as their label.

Safe to repeat, at any time and side by side: a prediction leaves the index with its outcome, and a label only fills what
is empty. So an outage is caught up by the next run, and a run that ends for its time is continued by the next one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from insights.hindsight import Outcome, hindsight, horizon, is_complete
from insights.label_rule import LEAST_HORIZON_ROWS
from insights.schema import KINDS, Insight, timestamp_text
from lambdas.join_outcomes.due import Due, DuePredictions
from lambdas.join_outcomes.followed import Followed
from lambdas.labels import label_by_outcome

logger = Logger(child=True)
# Insights may come late: an incomplete horizon is judged by what is there only after an hour, and given up after a day.
LATENESS: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=1)
_SIDE_BY_SIDE: Final = 8


@dataclass(frozen=True)
class JoinEnvironment:
    insights_table_name: str
    predictions_table_name: str
    margin_seconds: int = 60


class OutcomesNotJoined(RuntimeError):
    """Some devices' tables did not answer. Everything else is joined, and these are tried again by the next run."""


@dataclass
class Account:
    """Of one run, by kind: predictions joined, given up, and the age of the oldest that is still waiting."""

    joined: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    oldest_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    failed_devices: int = 0
    is_done: bool = True

    def wait(self, due: Due, now: datetime) -> None:
        age = (now - due.due_at).total_seconds()
        self.oldest_seconds[due.kind] = max(self.oldest_seconds[due.kind], age)

    def add(self, part: Account) -> None:
        self.joined.update(part.joined)
        self.unknown.update(part.unknown)
        self.oldest_seconds = {kind: max(age, part.oldest_seconds[kind]) for kind, age in self.oldest_seconds.items()}
        self.failed_devices += part.failed_devices
        self.is_done = self.is_done and part.is_done

    def metrics(self, kind: str) -> dict[str, float]:
        return {
            "OutcomesJoined": self.joined[kind],
            "OutcomesUnknown": self.unknown[kind],
            "OldestUnjoinedSeconds": self.oldest_seconds[kind],
        }


def join_outcomes(
    *,
    environment: JoinEnvironment,
    dynamodb: Any,
    now: datetime,
    remaining_seconds: Callable[[], float],
    page_rows: int = 500,
) -> Account:
    """Joins all that is due and known, until nothing is left or the time is."""
    predictions = DuePredictions(environment.predictions_table_name, dynamodb, page_rows)
    followed = Followed(environment.insights_table_name, dynamodb)
    account = Account()
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="device") as pool:
        for pages in predictions.shards(now=now):
            for dues in pages:
                if remaining_seconds() < environment.margin_seconds:
                    account.add(left(dues, now))
                    break
                devices = [_Device(predictions, followed, now, group) for group in by_device(dues).values()]
                for part in pool.map(_Device.join, devices):
                    account.add(part)
    return account


def left(dues: Sequence[Due], now: datetime) -> Account:
    """What the next run begins with."""
    account = Account(is_done=not dues)
    for due in dues:
        account.wait(due, now)
    return account


def by_device(dues: Iterable[Due]) -> Mapping[str, list[Due]]:
    groups: dict[str, list[Due]] = defaultdict(list)
    for due in dues:
        groups[due.device_id].append(due)
    return groups


@dataclass
class _Device:
    """One device's due predictions; `account` is what came of them."""

    predictions: DuePredictions
    followed: Followed
    now: datetime
    dues: Sequence[Due]
    account: Account = field(default_factory=Account)

    def join(self) -> Account:
        device_id = self.dues[0].device_id
        try:
            rows = self.followed.rows(device_id, self.dues)
            labelled: set[datetime] = set()
            for due in self.dues:
                row = next((row for row in rows if row.timestamp == due.as_of), None)
                self._join(due, row, rows, labelled)
        except (ClientError, BotoCoreError):
            logger.exception("a device's outcomes were not joined", extra={"device_id": device_id})
            self.account.failed_devices += 1
        return self.account

    def _join(self, due: Due, row: Insight | None, rows: Sequence[Insight], labelled: set[datetime]) -> None:
        """The label first: if the prediction's own write fails, the next run does both again."""
        outcome = Outcome(None, None)
        if row is not None and (is_complete(row, rows) or self.now >= due.due_at + LATENESS):
            outcome = hindsight(row, rows)
        known = (outcome.risk_level if due.kind == "risk" else outcome.performance_score) is not None
        if not known and self.now < due.due_at + GIVEN_UP_AFTER:
            self.account.wait(due, self.now)
            return
        if due.as_of not in labelled:
            labelled.add(due.as_of)
            label_by_outcome(
                outcome._asdict(),
                device_id=due.device_id,
                timestamp=timestamp_text(due.as_of),
                table=self.followed.table,
                dynamodb=self.followed.dynamodb,
            )
        stored: dict[str, Any] = {**outcome._asdict(), "joined_at": timestamp_text(self.now)}
        stored |= {"source": "insights"} if known else {"source": "unknown", "reason": why_unknown(due, row, rows)}
        if self.predictions.join(due, stored):
            (self.account.joined if known else self.account.unknown)[due.kind] += 1


def why_unknown(due: Due, row: Insight | None, rows: Sequence[Insight]) -> str:
    if row is None:
        return f"no insight of the device is stored at {timestamp_text(due.as_of)}"
    followed = len(horizon(row, rows))
    if followed < LEAST_HORIZON_ROWS:
        return f"{followed} insights followed within the horizon, {LEAST_HORIZON_ROWS} are needed"
    return f"{followed} insights followed, but too few with a latency, or no objective to hold it against"
