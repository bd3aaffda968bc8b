"""Whether an endpoint that failed is asked again, and after how long: a prediction may be asked for any number of times.

What it adds up to. A call may take CONNECT_SECONDS + READ_SECONDS = 0.95 s, and another one starts only where that much of
BUDGET_SECONDS is left after the wait, so the endpoint costs a caller at most 1.8 s, who thus hears of one that is down
within 2 s. A silent endpoint is called twice in that time, one that fails at once up to four times within 0.7 s. Where the
caller has waited before, for a cold start or for a hundred windows, the first call itself is given less time, and 0.6 s in
any case. Only this module asks again: botocore's own retries are off for the endpoint, else the two would multiply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

CONNECT_SECONDS: Final = 0.2
READ_SECONDS: Final = 0.75
CALL_SECONDS: Final = CONNECT_SECONDS + READ_SECONDS
BUDGET_SECONDS: Final = 1.8
# Items are one call of up to a hundred windows.
ITEMS_READ_SECONDS: Final = 1.2
# Each is a client of its own, as botocore's time-outs are a client's; the shorter ones are made when they are needed.
_READS_SECONDS: Final = (ITEMS_READ_SECONDS, READ_SECONDS, 0.4)


def read_seconds(remaining_seconds: float, *, is_many: bool = False) -> float:
    """How long a call that starts now waits for its answer."""
    ours = _READS_SECONDS if is_many else _READS_SECONDS[1:]
    return next((seconds for seconds in ours if CONNECT_SECONDS + seconds <= remaining_seconds), ours[-1])


class Failure(Enum):
    """What became of one call."""

    UNCONNECTED = auto()
    """No connection, or one that broke: the next goes to another address, or to what replaced a dead instance."""
    UNANSWERED = auto()
    """Nothing came within READ_SECONDS."""
    DOWN = auto()
    """SageMaker found no instance to ask (ServiceUnavailable, InternalFailure)."""
    FAILED = auto()
    """The container answered 5xx, or died answering."""
    THROTTLED = auto()
    """SageMaker takes no more requests of this account or endpoint."""
    SHED = auto()
    """The container answered 503: its queue is full, and it asks for time."""
    FINAL = auto()
    """Another call would end the same way: no model is live, or the request is refused."""


@dataclass(frozen=True)
class Rule:
    """The n-th wait is `least_seconds` and a random share of `spread_seconds` x 2^(n-1) (full jitter)."""

    most_retries: int
    spread_seconds: float = 0.0
    least_seconds: float = 0.0


RULES: Final[Mapping[Failure, Rule]] = {
    # Another connection is another chance at once; the jitter parts callers who lost theirs together.
    Failure.UNCONNECTED: Rule(most_retries=2, spread_seconds=0.05),
    Failure.UNANSWERED: Rule(most_retries=1, spread_seconds=0.05),
    Failure.DOWN: Rule(most_retries=3, spread_seconds=0.1),
    Failure.FAILED: Rule(most_retries=2, spread_seconds=0.05),
    # Those two mean "fewer requests, please": asking again soon, or often, is what keeps an overload going.
    Failure.THROTTLED: Rule(most_retries=1, spread_seconds=0.3, least_seconds=0.1),
    Failure.SHED: Rule(most_retries=1, spread_seconds=0.3, least_seconds=0.1),
    Failure.FINAL: Rule(most_retries=0),
}


@dataclass(frozen=True)
class AskAgain:
    wait_seconds: float


@dataclass(frozen=True)
class GiveUp:
    reason: str


def after_failure(failure: Failure, *, failures: int, remaining_seconds: float, fraction: float) -> AskAgain | GiveUp:
    """What to do after the `failures`-th failed call (from 1), the last of which was `failure`.

    `remaining_seconds` is what is left for the endpoint, `fraction` a random number of [0, 1).
    """
    rule = RULES[failure]
    if failures > rule.most_retries:
        return GiveUp(f"{failure.name.lower()} after {failures} calls")
    most = remaining_seconds - CALL_SECONDS
    if most < rule.least_seconds:
        return GiveUp(f"{failure.name.lower()}, and {max(remaining_seconds, 0.0):.2f} s leave no time for another call")
    return AskAgain(min(rule.least_seconds + fraction * rule.spread_seconds * 2 ** (failures - 1), most))
