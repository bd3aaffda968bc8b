from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from collectors import delivery
from collectors.delivery import Delivery
from insights.schema import Insight
from lambdas.throttling import Backoff, TableThrottled
from tests.insights.insight_strategies import row

IMPATIENT = Backoff(first_seconds=0.001, longest_seconds=0.001)


class Destination:
    """Refuses the first so many writes; then nothing until `is_open`."""

    place = "table insights"

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.rows: list[Insight] = []
        self.attempts = 0
        self.is_open = threading.Event()
        self.is_open.set()

    def write(self, insights: Iterable[Insight]) -> int:
        self.is_open.wait(30)
        self.attempts += 1
        if self.attempts <= self.refusals:
            raise TableThrottled("insights", "these rows")
        rows = list(insights)
        self.rows += rows
        return len(rows)


def test_rows_wait_for_a_throttled_table_and_keep_their_order():
    destination, said = Destination(refusals=3), list[str]()
    sending = Delivery(destination, say=said.append, backoff=IMPATIENT)
    rows = [row(number) for number in range(20)]

    for one in rows:
        sending.add([one])
    while destination.attempts <= 3:
        threading.Event().wait(0.001)
    sending.end()

    assert destination.rows == rows
    assert (sending.written, sending.given_up) == (20, 0)
    assert any("still throttles" in text for text in said)


def test_at_its_end_it_tries_once_more_and_says_what_was_not_written():
    destination = Destination(refusals=10**9)
    sending = Delivery(
        destination, say=lambda text: None, backoff=Backoff(first_seconds=3600.0, longest_seconds=3600.0)
    )

    sending.add([row(1), row(2)])
    sending.end()

    assert (sending.written, sending.given_up) == (0, 2)


def test_a_backlog_has_an_end_which_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery, "MOST_WAITING", 10)
    destination, said = Destination(), list[str]()
    destination.is_open.clear()
    sending = Delivery(destination, say=said.append, backoff=IMPATIENT)

    for number in range(30):
        sending.add([row(number)])
    destination.is_open.set()
    sending.end()

    assert sending.given_up > 0
    assert destination.rows[-10:] == [row(number) for number in range(20, 30)]
    assert sending.written + sending.given_up >= 30
    assert "given up" in said[-1]
