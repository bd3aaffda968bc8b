"""Collects what the laptop's services count and puts it into CloudWatch's store, minute by minute of the laptop's clock.

A request only adds to a counter in memory. Whoever is about to read the store flushes first, so that a minute that has
ended is always complete, and the store holds one point for a value however often it occurred.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from local.clock import Clock


class Series(NamedTuple):
    """One metric of one set of dimensions; these are sorted pairs of name and value."""

    namespace: str
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]


class Recorder:
    def __init__(self, clock: Clock, *, now: Callable[[], float] = time.time) -> None:
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._minutes: dict[int, dict[Series, Counter[float]]] = defaultdict(lambda: defaultdict(Counter))

    def count(
        self,
        namespace: str,
        dimensions: Mapping[str, str],
        /,
        *metrics: tuple[str, float, str],
        moment: float | None = None,
    ) -> None:
        """Add one value to each metric, given as name, value and unit; the moment is real and defaults to now."""
        key = tuple(sorted(dimensions.items()))
        with self._lock:
            minute = self._minutes[self._clock.minute_of(self._now() if moment is None else moment)]
            for name, value, unit in metrics:
                minute[Series(namespace, name, unit, key)][float(value)] += 1

    def flush(self) -> None:
        """Write every minute that has ended, stamped with itself; a straggler of an earlier one joins it there."""
        from ministack.services import cloudwatch

        with self._lock:
            current = self._clock.minute_of(self._now())
            ended = {minute: self._minutes.pop(minute) for minute in sorted(self._minutes) if minute < current}
        for minute, counted in ended.items():
            stamp = self._clock.middle_of(minute)
            for (namespace, name, unit, dimensions), values in counted.items():
                cloudwatch._store_datum(
                    namespace, name, dict(dimensions), stamp, unit, None, list(values), list(values.values()), None
                )
