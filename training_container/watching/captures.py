"""What SageMaker captured of an endpoint's requests, as feature rows: the features are computed by the server's own code.

Files lie below <variant>/<year>/<month>/<day>/<hour>/ (SageMaker guide, "Capture data"); a line is one request.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES
from insights.schema import parse_timestamp
from insights.splits import group_of
from training_container.errors import UnusableInput
from training_container.invocations import read_rows

MOST_ROWS: Final = 200_000
SEED: Final = 7
Rows = npt.NDArray[np.float32]


class Period(NamedTuple):
    """start <= time < end, both in UTC."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def period_of(start: str | None, end: str | None) -> Period | None:
    """None where neither is given; UnusableInput where one is no time or is missing."""
    if not start and not end:
        return None
    try:
        period = Period(*(parse_timestamp(text or "").astimezone(UTC) for text in (start, end)))
    except ValueError as refused:
        raise UnusableInput(
            f"the period {start!r} to {end!r}: give both as ISO 8601 with an offset ({refused})"
        ) from refused
    if period.start >= period.end:
        raise UnusableInput(f"the period {start!r} to {end!r} ends before it begins")
    return period


class Request(NamedTuple):
    """One captured request: its rows, and of each the device and the time that it is about, "" where it names none."""

    rows: Rows
    devices: list[str]
    times: list[str]
    moment: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """`X` (n, 25), distinct by device and time, without the golden rows that a promotion asks; `units` (n,) what the rows
    are grouped by; `counts` of what was read and left out; the times of the first and last request."""

    X: Rows
    units: npt.NDArray[np.str_]
    counts: Mapping[str, int]
    first: datetime | None
    last: datetime | None


def read_captured(folder: Path, *, period: Period | None, golden: Rows) -> Captured:
    """Every captured line below the folder; a broken one is counted. Past MOST_ROWS the rest of the files, which are
    read in a random order, is left out."""
    files = sorted(path for path in folder.rglob("*.jsonl") if path.is_file())
    counts: Counter[str] = Counter(files=len(files))
    probes = {row.tobytes() for row in golden + np.float32(0.0)}
    rows: list[Rows] = []
    units: list[str] = []
    moments: list[datetime] = []
    known: set[tuple[str, str]] = set()
    for request in _requests([files[n] for n in np.random.default_rng(SEED).permutation(len(files))], period, counts):
        if len(rows) >= MOST_ROWS:
            counts["rows_left_out"] += len(request.rows)
            continue
        moments.append(request.moment)
        for row, device, time in zip(request.rows, request.devices, request.times, strict=True):
            if (row + np.float32(0.0)).tobytes() in probes:
                counts["golden_rows"] += 1
            elif device and (device, time) in known:
                counts["repeated_rows"] += 1
            else:
                known.add((device, time))
                rows.append(row)
                # Who sends bare feature rows does not say of which device: a request is taken for one.
                units.append(group_of(device) if device else f"request {counts['lines']}")
                counts["rows_without_device"] += not device
    X = np.array(rows, np.float32).reshape(-1, len(FEATURE_NAMES))
    return Captured(X, np.array(units, np.str_), counts, min(moments, default=None), max(moments, default=None))


def _requests(files: list[Path], period: Period | None, counts: Counter[str]) -> Iterator[Request]:
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in filter(str.strip, lines):
                counts["lines"] += 1
                try:
                    request = request_of(line)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnusableInput):
                    counts["broken_lines"] += 1
                    continue
                if period is not None and not period.holds(request.moment):
                    counts["lines_of_other_periods"] += 1
                else:
                    yield request


def request_of(line: str) -> Request:
    """Raises one of many errors where the line is no captured request that the server would answer."""
    record = json.loads(line)
    side = record["captureData"]["endpointInput"]
    body = base64.b64decode(side["data"], validate=True) if side["encoding"] == "BASE64" else side["data"].encode()
    content_type = side["observedContentType"].partition(";")[0].strip().lower()
    rows = _drained(read_rows(content_type, body))
    devices, times = _named(body) if content_type == "application/json" else ([""] * len(rows), [""] * len(rows))
    return Request(rows, devices, times, parse_timestamp(record["eventMetadata"]["inferenceTime"]).astimezone(UTC))


def _named(body: bytes) -> tuple[list[str], list[str]]:
    given = json.loads(body)
    windows = given.get("instances", [given])
    newest = [max(window["insights"], key=lambda row: parse_timestamp(row["timestamp"])) for window in windows]
    return [row["device_id"] for row in newest], [row["timestamp"] for row in newest]


def _drained(reading: Generator[None, None, Any]) -> Rows:
    """The server lets a /ping through between slices; here nobody waits."""
    while True:
        try:
            next(reading)
        except StopIteration as ended:
            rows: Rows = ended.value
            return rows
