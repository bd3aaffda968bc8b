from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from lambdas.serving_hours import ServingHours, next_return, rest

# Monday to Friday 06:00-20:00, as the stack writes it into the environment.
WORKDAYS = ServingHours.from_environment(
    "Mon-Fri 06:00-20:00", "[[360, 1200], [1800, 2640], [3240, 4080], [4680, 5520], [6120, 6960]]"
)
WEEKEND = ServingHours.from_environment("Sat-Mon 00:00-24:00", "[[7200, 11520]]")
ALWAYS = ServingHours.from_environment("", "")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "returns"),
    [
        ("2026-11-24T05:59", "2026-11-24T06:00"),  # a Tuesday
        ("2026-11-24T06:00", None),
        ("2026-11-24T19:59", None),
        ("2026-11-24T20:00", "2026-11-25T06:00"),
        ("2026-11-27T20:00", "2026-11-30T06:00"),  # Friday evening, over the weekend
        ("2026-11-29T23:59", "2026-11-30T06:00"),
        ("2026-12-31T21:00", "2027-01-01T06:00"),
    ],
)
def test_the_endpoints_return_at_the_next_opening(now: str, returns: str | None) -> None:
    assert next_return(WORKDAYS, at(now)) == (returns and at(returns))


@pytest.mark.parametrize(
    ("now", "returns"),
    [
        ("2026-11-30T12:00", None),  # a Monday, in the window that began on Saturday
        ("2026-12-01T00:00", "2026-12-05T00:00"),
        ("2026-12-05T00:00", None),
    ],
)
def test_a_window_may_pass_the_weeks_end(now: str, returns: str | None) -> None:
    assert next_return(WEEKEND, at(now)) == (returns and at(returns))


def test_the_hours_are_of_utc_wherever_the_moment_is_from() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert next_return(WORKDAYS, datetime(2026, 11, 25, 5, 30, tzinfo=tokyo)) == at("2026-11-25T06:00")


def test_a_caller_learns_the_hour_of_return_and_how_long_that_is() -> None:
    told = rest(WORKDAYS, datetime(2026, 11, 24, 20, 0, 0, 500_000, tzinfo=UTC))
    assert told is not None
    assert told.sentence == "the endpoints rest outside Mon-Fri 06:00-20:00 UTC and return at 2026-11-25T06:00Z"
    assert told.retry_after_seconds == 10 * 3600


def test_just_after_the_opening_they_start_and_later_the_plan_is_no_reason() -> None:
    told = rest(WORKDAYS, at("2026-11-24T06:14"))
    assert told is not None
    assert "are starting" in told.sentence
    assert told.retry_after_seconds == 30
    assert rest(WORKDAYS, at("2026-11-24T06:15")) is None
    assert rest(ALWAYS, at("2026-11-24T03:00")) is None
