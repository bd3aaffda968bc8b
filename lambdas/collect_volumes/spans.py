"""Which periods of a volume a run reads: the last few again, as points come late, and all since the newest row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lambdas.collect_volumes.metrics import CALL_PERIODS, CALL_VOLUMES, period_start
from lambdas.collect_volumes.stored import Past
from lambdas.collect_volumes.volumes import Volume

# A volume that was just detached may have points that no run has read yet; one that has been for longer has none.
_LAST_POINTS: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far back a run looks. `late` and `every`: a period is read until points are `late` no more, by each run."""

    period_seconds: int
    late: timedelta
    every: timedelta
    catch_up: timedelta

    @property
    def again(self) -> timedelta:
        """Before the newest row. A period whose time for late points has just passed is in the reach of one more run."""
        return self.late + self.every


@dataclass(frozen=True, kw_only=True)
class Span:
    """Periods of a volume that begin from `start` on and before `end`."""

    volume: Volume
    past: Past
    start: datetime
    end: datetime


def span_of(volume: Volume, past: Past, *, now: datetime, reach: Reach) -> Span | None:
    """None where there can be no points. A volume without rows is caught up with from the limit on."""
    if not volume.is_attached and (past.newest is None or past.newest < now - _LAST_POINTS):
        return None
    earliest = now - reach.catch_up
    start = earliest if past.newest is None else max(earliest, past.newest - reach.again)
    span = Span(
        volume=volume,
        past=past,
        start=period_start(start, reach.period_seconds),
        end=period_start(now, reach.period_seconds),
    )
    return span if span.start < span.end else None


def calls(spans: Iterable[Span]) -> Iterator[Sequence[Span]]:
    """Spans of much the same length together; what is up to date comes first, so that a volume that has to catch up
    for days keeps no other waiting."""
    ordered = sorted(spans, key=lambda span: (span.end - span.start, span.volume.volume_id))
    for first in range(0, len(ordered), CALL_VOLUMES):
        yield ordered[first : first + CALL_VOLUMES]


def slices(spans: Sequence[Span], period_seconds: int) -> Iterator[tuple[datetime, datetime]]:
    """Oldest first, as the newest row tells the next run where to begin."""
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    while start < end:
        until = min(end, start + timedelta(seconds=CALL_PERIODS * period_seconds))
        yield start, until
        start = until
