"""The laptop's one clock: how fast AWS's minutes pass here.

What only waits passes at this pace: poll and retry intervals of the workflows, baking and canary intervals, the minutes
of metrics, the periods of alarms and of target tracking, cooldowns, rate() schedules (a cron() names real hours). Work
and its limits (time-outs, health checks, grace) take real time, and time stamps are real. A rate "per minute" therefore
counts what happens in one of these minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MINUTE_SECONDS = 60.0


@dataclass(frozen=True)
class Clock:
    """`scale` real seconds pass in one second of AWS's; at 0.1 a minute takes 6 s. Moments are real, since the epoch."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(f"wait_scale is {self.scale}; give a number above 0 and up to 1 (AWS's own pace)")

    def real(self, aws_seconds: float) -> float:
        return aws_seconds * self.scale

    def aws(self, real_seconds: float) -> float:
        return real_seconds / self.scale

    def minute_of(self, moment: float) -> int:
        """The number of the minute that a moment lies in; minutes are counted from the epoch, as CloudWatch's are."""
        return math.floor(moment / self.real(MINUTE_SECONDS))

    def middle_of(self, minute: int) -> float:
        """A moment that is in this minute however often it is rounded on its way."""
        return (minute + 0.5) * self.real(MINUTE_SECONDS)

    def seconds_until_next_minute(self, moment: float) -> float:
        """Real seconds."""
        return (self.minute_of(moment) + 1) * self.real(MINUTE_SECONDS) - moment

    def last_edge(self, moment: float, aws_seconds: float) -> float:
        """The newest moment that ended a division of time into pieces of so many seconds."""
        length = self.real(aws_seconds)
        return math.floor(moment / length) * length
