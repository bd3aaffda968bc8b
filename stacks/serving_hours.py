"""The hours in which the endpoints serve, from the words of the setting: "Mon-Fri 06:00-20:00, Sat 08:00-12:00", in UTC."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES

_PART = re.compile(r"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? (\d\d):(\d\d)-(\d\d):(\d\d)")
_EXAMPLE = 'such as "Mon-Fri 06:00-20:00" or "Mon-Fri 06:00-20:00, Sat 08:00-12:00" (UTC)'
Window = tuple[int, int]


class InvalidHours(ValueError):
    """The message says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingHours:
    """`windows` are (opens, closes) in minutes since Monday 00:00 UTC; the last may close after the week's end."""

    text: str
    windows: tuple[Window, ...]

    @classmethod
    def parse(cls, text: str) -> "ServingHours":
        """Windows that touch are one, so that nothing is taken down and put back in the same minute."""
        parts = [part.strip() for part in text.split(",")]
        windows = _joined(sorted(window for part in parts for window in _windows(part)))
        if windows == [(0, WEEK_MINUTES)]:
            raise InvalidHours("hours that end some time, or null to serve always")
        return cls(text=", ".join(parts), windows=tuple(windows))

    @property
    def minutes_per_week(self) -> int:
        return sum(closes - opens for opens, closes in self.windows)

    @property
    def openings(self) -> dict[str, list[str]]:
        """The days on which serving begins, by the time of day "HH:MM"."""
        return _by_time(opens for opens, _ in self.windows)

    @property
    def closings(self) -> dict[str, list[str]]:
        return _by_time(closes for _, closes in self.windows)


def _windows(part: str) -> Iterator[Window]:
    found = _PART.fullmatch(part)
    if found is None:
        raise InvalidHours(f"days and times, {_EXAMPLE}; not {part!r}")
    first, last, *times = found.groups()
    opens, closes = (int(hour) * 60 + int(minute) for hour, minute in (times[:2], times[2:]))
    if max(int(times[1]), int(times[3])) > 59 or closes > DAY_MINUTES or opens >= closes:
        raise InvalidHours(
            f"times from 00:00 to 24:00, the first before the second; not {part!r}. Hours that pass midnight are two "
            'parts: "Mon-Fri 20:00-24:00, Tue-Sat 00:00-06:00"'
        )
    for day in _days(first, last or first, part):
        yield day * DAY_MINUTES + opens, day * DAY_MINUTES + closes


def _days(first: str, last: str, part: str) -> list[int]:
    """Also over the week's end: Sat-Mon."""
    if unknown := [name for name in (first, last) if name not in DAYS]:
        raise InvalidHours(f"days named {', '.join(DAYS)}, {_EXAMPLE}; not {unknown[0]!r} in {part!r}")
    begin, end = DAYS.index(first), DAYS.index(last)
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _joined(windows: Sequence[Window]) -> list[Window]:
    joined: list[Window] = []
    for opens, closes in windows:
        if joined and opens <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(closes, joined[-1][1])
        else:
            joined.append((opens, closes))
    if len(joined) > 1 and joined[0][0] == 0 and joined[-1][1] == WEEK_MINUTES:  # Sunday goes on into Monday
        (_, closes), *joined = joined
        joined[-1] = joined[-1][0], WEEK_MINUTES + closes
    return joined


def _by_time(minutes: Iterator[int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for minute in minutes:
        day, time = divmod(minute % WEEK_MINUTES, DAY_MINUTES)
        found.setdefault(f"{time // 60:02d}:{time % 60:02d}", []).append(DAYS[day])
    return found
