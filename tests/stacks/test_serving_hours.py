from __future__ import annotations

import pytest

from stacks.serving_hours import InvalidHours, ServingHours


def hours(text: str) -> ServingHours:
    return ServingHours.parse(text)


def test_working_days_are_five_windows():
    found = hours("Mon-Fri 06:00-20:00")

    assert found.windows == ((360, 1200), (1800, 2640), (3240, 4080), (4680, 5520), (6120, 6960))
    assert found.minutes_per_week == 5 * 14 * 60
    assert found.openings == {"06:00": ["Mon", "Tue", "Wed", "Thu", "Fri"]}
    assert found.closings == {"20:00": ["Mon", "Tue", "Wed", "Thu", "Fri"]}


def test_parts_may_have_hours_of_their_own():
    found = hours("Mon-Tue 06:00-20:00,Sat 08:30-12:00")

    assert found.text == "Mon-Tue 06:00-20:00, Sat 08:30-12:00"
    assert found.openings == {"06:00": ["Mon", "Tue"], "08:30": ["Sat"]}
    assert found.closings == {"20:00": ["Mon", "Tue"], "12:00": ["Sat"]}


def test_windows_that_touch_are_one_and_nothing_is_taken_down_between():
    found = hours("Mon 20:00-24:00, Tue 00:00-06:00, Tue 05:00-07:00")

    assert found.windows == ((1200, 1860),)
    assert (found.openings, found.closings) == ({"20:00": ["Mon"]}, {"07:00": ["Tue"]})


def test_hours_may_pass_the_weeks_end():
    found = hours("Sat-Mon 00:00-24:00")

    assert found.windows == ((5 * 1440, 8 * 1440),)
    assert (found.openings, found.closings) == ({"00:00": ["Sat"]}, {"00:00": ["Tue"]})
    assert found.minutes_per_week == 3 * 1440


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("06:00-20:00", 'such as "Mon-Fri 06:00-20:00"'),
        ("mon-fri 06:00-20:00", 'such as "Mon-Fri 06:00-20:00"'),
        ("Mon-Fry 06:00-20:00", "days named Mon, Tue"),
        ("Mon 20:00-06:00", "two parts"),
        ("Mon 06:00-06:00", "the first before the second"),
        ("Mon 06:60-07:00", "from 00:00 to 24:00"),
        ("Mon 06:00-24:01", "from 00:00 to 24:00"),
        ("Mon-Sun 00:00-24:00", "null to serve always"),
        ("Mon 06:00-20:00,", "such as"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(text: str, remedy: str):
    with pytest.raises(InvalidHours, match=remedy):
        hours(text)
