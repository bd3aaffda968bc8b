"""Before /ping turns green: the golden rows under load, so that a model which is wrong, slow or falls over among many
callers never gets one. Every instance rehearses, also those that scaling adds or that replace a dead one."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training_container.errors import UnusableInput
from training_container.model_folder import GOLDEN, read_golden
from training_container.predictor import GOLDEN_TOLERANCE

Answers = Callable[[npt.NDArray[np.float32]], Sequence[Mapping[str, Any]]]

CALLERS = 8
SECONDS = 1.0
# The roll-back alarm's limit for the p99 (stacks/rollback_alarms.py): whose median is above it would be rolled back.
# A healthy answer takes milliseconds, so a busy machine alone does not get there.
SLOWEST_MEDIAN_MS = 500.0


def rehearse(answers: Answers, folder: Path, *, most_at_once: int, golden_sha256: str = "") -> None:
    """Raises UnusableInput with what is wrong; a container that dies meanwhile has said what it was doing.

    Timed with a few callers, then crowded once with as many as the server lets in. golden_sha256 is the digest of the
    golden file that is stored with the model's evaluation; empty: not checked.
    """
    found = hashlib.sha256((folder / GOLDEN).read_bytes()).hexdigest()
    if golden_sha256 and found != golden_sha256:
        raise UnusableInput(
            f"{folder}: {GOLDEN} (sha256 {found[:12]}) is not the one stored with the model's evaluation "
            f"({golden_sha256[:12]}): the archive holds another model than was evaluated; register it again"
        )
    rows, expected = read_golden(folder)
    print(f"rehearsal: {CALLERS} callers at once ask for {len(rows)} golden rows", flush=True)
    milliseconds = _asked(answers, rows, expected, callers=CALLERS, seconds=SECONDS)
    median = statistics.median(milliseconds)
    if median > SLOWEST_MEDIAN_MS:
        raise UnusableInput(
            f"{folder}: the model takes {median:.0f} ms an answer (median of {len(milliseconds)}, {CALLERS} callers at "
            f"once); {SLOWEST_MEDIAN_MS:.0f} ms is the limit"
        )
    print(
        f"rehearsal: median {median:.1f} ms; {most_at_once} callers at once, as many as the server lets in", flush=True
    )
    _asked(answers, rows, expected, callers=most_at_once, seconds=0.0)


def _asked(
    answers: Answers,
    rows: npt.NDArray[np.float32],
    expected: Sequence[Mapping[str, Any]],
    *,
    callers: int,
    seconds: float,
) -> list[float]:
    """The milliseconds of every answer; each caller asks at least once."""
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(callers, thread_name_prefix="rehearsal") as pool:
        asking = [pool.submit(_ask, answers, rows, expected, first, until) for first in range(callers)]
    return [value for caller in asking for value in caller.result()]


def _ask(
    answers: Answers, rows: npt.NDArray[np.float32], expected: Sequence[Mapping[str, Any]], first: int, until: float
) -> list[float]:
    """One caller's times: row after row from `first` until the time is over, at least one."""
    milliseconds: list[float] = []
    number = first
    while not milliseconds or time.monotonic() < until:
        index = number % len(rows)
        begun = time.perf_counter()
        [answer] = answers(rows[index : index + 1])
        milliseconds.append((time.perf_counter() - begun) * 1000)
        difference = _difference(expected[index], answer)
        if not difference <= GOLDEN_TOLERANCE:
            raise UnusableInput(
                f"golden row {index + 1} is off by {difference:g} among several callers; its answer must not depend on "
                "who else asks"
            )
        number += 1
    return milliseconds


def _difference(wanted: object, found: object) -> float:
    """The largest of any number in `wanted`; infinite where one is missing."""
    if isinstance(wanted, Mapping):
        given = found if isinstance(found, Mapping) else {}
        return max((_difference(value, given.get(name)) for name, value in wanted.items()), default=0.0)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return 0.0
    return abs(wanted - found) if isinstance(found, int | float) else float("inf")
