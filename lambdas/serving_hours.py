"""When the endpoints serve, as the stack says it: an endpoint that is missing by plan is at rest and no fault."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from lambdas.environment import InvalidEnvironment

# An endpoint takes SageMaker some minutes to start; one that is not there by then has another reason.
START_MINUTES: Final = 15
_START_RETRY_SECONDS: Final = 30
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class ServingHours:
    """`text` as people wrote it; `windows` are (opens, closes) in minutes since Monday 00:00 UTC, and the last may close
    after the week's end. No window: they serve always."""

    text: str
    windows: tuple[tuple[int, int], ...]

    @classmethod
    def from_environment(cls, text: str, windows: str) -> ServingHours:
        """`windows` is the stack's JSON list of pairs; both are empty where the endpoints serve always."""
        try:
            pairs = json.loads(windows or "[]")
            return cls(text, tuple((_minute(opens), _minute(closes)) for opens, closes in pairs))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidEnvironment("SERVING_WINDOWS", f"is no list of pairs of minutes: {windows[:80]!r}") from error


def _minute(value: object) -> int:
    """Of a week, or of the next one's first."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2 * _WEEK // timedelta(minutes=1):
        raise ValueError(value)
    return value


class Rest(NamedTuple):
    """Why an endpoint is missing by plan, and when to ask again."""

    sentence: str
    retry_after_seconds: int


def next_return(hours: ServingHours, now: datetime) -> datetime | None:
    """When the endpoints serve again; None while they do."""
    monday = _monday(now)
    if not hours.windows or _opened_at(hours, now) is not None:
        return None
    ahead = (monday + timedelta(minutes=opens) for opens, _ in hours.windows)
    return min(moment if moment > now else moment + _WEEK for moment in ahead)


def rest(hours: ServingHours, now: datetime) -> Rest | None:
    """What to tell of a missing endpoint; None where the plan is no reason for it."""
    returns_at = next_return(hours, now)
    if returns_at is not None:
        moment = returns_at.strftime("%Y-%m-%dT%H:%MZ")
        return Rest(
            f"the endpoints rest outside {hours.text} UTC and return at {moment}",
            math.ceil((returns_at - now).total_seconds()),
        )
    opened_at = _opened_at(hours, now)
    if opened_at is not None and now - opened_at < timedelta(minutes=START_MINUTES):
        return Rest(
            f"the endpoints return at this time ({hours.text} UTC) and are starting; ask again in "
            f"{_START_RETRY_SECONDS} s",
            _START_RETRY_SECONDS,
        )
    return None


def _opened_at(hours: ServingHours, now: datetime) -> datetime | None:
    """The beginning of the window that `now` is in; last week's too, as one may pass the week's end."""
    for monday in (_monday(now), _monday(now) - _WEEK):
        for opens, closes in hours.windows:
            if monday + timedelta(minutes=opens) <= now < monday + timedelta(minutes=closes):
                return monday + timedelta(minutes=opens)
    return None


def _monday(now: datetime) -> datetime:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())
