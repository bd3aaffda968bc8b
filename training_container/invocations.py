"""What callers send to /invocations, as feature rows: JSON windows (features are computed here) and CSV rows."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_kernels import LARGEST_FLOAT32
from insights.feature_table import FEATURE_NAMES, FEATURES, Feature
from insights.features import compute_window
from insights.schema import Insight, InvalidInsight, parse_timestamp, shown
from training_container.errors import UnusableInput
from training_container.serving.row_reader import plain_rows
from training_container.serving.window_reader import Uncertain, fill_features, windows_of

Matrix = npt.NDArray[np.float32]
INSTANCE_FIELDS = {"insights", "last_alert_at"}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAXIMUM_ROWS = 1_000  # of one request, whose answer SageMaker waits 60 s for
SLICE_ROWS = 8  # worked on at a time: some milliseconds, which a /ping may have to wait for


class InvalidRequest(UnusableInput):
    """The caller's request cannot be answered; the message names field, value and rule."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def read_rows(content_type: str, body: bytes) -> Generator[None, None, Matrix]:
    """(n, 25) rows in the table's order, n >= 1; yields between slices of SLICE_ROWS."""
    if content_type == "application/json":
        return (yield from _rows_of_windows(body))
    if content_type == "text/csv":
        rows = plain_rows(body, most=MAXIMUM_ROWS)
        return rows if rows is not None else (yield from rows_from_csv(_text(body)))
    raise InvalidRequest(f"content type {shown(content_type)}; give application/json or text/csv", status=415)


def _rows_of_windows(body: bytes) -> Generator[None, None, Matrix]:
    """The fast way if it is certain of every window, else the thorough one."""
    try:
        windows = windows_of(body)
        _check_count(len(windows))
        rows = np.empty((len(windows), len(FEATURE_NAMES)), np.float32)
        for number, window in enumerate(windows):
            if number % SLICE_ROWS == SLICE_ROWS - 1:
                yield
            fill_features(window, rows, number)
    except Uncertain:
        return (yield from rows_from_json(_text(body)))
    return rows


def rows_from_json(text: str) -> Generator[None, None, Matrix]:
    """Windows: {"instances": [{"insights": [...], "last_alert_at": ...}]}, or one such object by itself."""
    try:
        given = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from error
    instances = given.get("instances") if isinstance(given, Mapping) and "instances" in given else [given]
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest("instances must be a list of at least one window")
    _check_count(len(instances))
    return (yield from _sliced(_window(instance, f"instances[{i}]") for i, instance in enumerate(instances)))


def rows_from_csv(text: str) -> Generator[None, None, Matrix]:
    """Rows of 25 numbers in the table's order, an empty cell for an unknown; a first line of names is checked."""
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise InvalidRequest(f"the body is no CSV: {error}") from error
    if lines and _is_header(lines[0]):
        _check_header([name.strip() for name in lines.pop(0)])
    if not lines:
        raise InvalidRequest("the body holds no row")
    _check_count(len(lines))
    return (yield from _sliced(_numbers(line, number) for number, line in enumerate(lines, start=1)))


def _sliced(rows: Iterable[Any]) -> Generator[None, None, Matrix]:
    read = []
    for row in rows:
        read.append(row)
        if len(read) % SLICE_ROWS == 0:
            yield
    return np.array(read, np.float32)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is no UTF-8 text: {error.reason} at byte {error.start}") from error


def _window(instance: Any, place: str) -> npt.NDArray[np.float64]:
    if not isinstance(instance, Mapping):
        raise InvalidRequest(f"{place} is {type(instance).__name__}; it must be an object with insights")
    unknown = sorted(set(instance) - INSTANCE_FIELDS)
    if unknown:
        raise InvalidRequest(f"{place}.{unknown[0][:80]} is unknown; known are insights and last_alert_at")
    rows = instance.get("insights")
    if not isinstance(rows, list) or not rows:
        raise InvalidRequest(f"{place}.insights must be a list of at least one insight")
    try:
        insights = [_insight(row, f"{place}.insights[{i}]") for i, row in enumerate(rows)]
        return compute_window(insights, last_alert_at=_moment(instance.get("last_alert_at"), place))
    except InvalidInsight as refused:
        raise InvalidRequest(str(refused)) from refused
    except ValueError as refused:
        raise InvalidRequest(f"{place}.insights: {refused}") from refused


def _insight(row: Any, place: str) -> Insight:
    if not isinstance(row, Mapping):
        raise InvalidRequest(f"{place} is {type(row).__name__}; it must be an insight object")
    return Insight.from_json(row, record=place)


def _moment(value: Any, place: str) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_timestamp(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(
            f"{place}.last_alert_at is {shown(value)}; give an ISO 8601 time in UTC, or null"
        ) from error


def _is_header(line: Sequence[str]) -> bool:
    return any(cell.strip() in FEATURE_NAMES for cell in line)


def _check_header(names: Sequence[str]) -> None:
    missing = [name for name in FEATURE_NAMES if name not in names]
    extra = [name for name in names if name not in FEATURE_NAMES]
    if missing or extra:
        unknown = ", ".join(shown(name) for name in extra[:5])
        faults = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {unknown}"] * bool(extra)
        raise InvalidRequest(f"columns: {'; '.join(faults)}; give those of the feature table, each once, in its order")
    for position, (found, wanted) in enumerate(zip(names, FEATURE_NAMES, strict=False), start=1):
        if found != wanted:
            raise InvalidRequest(f"column {position} is {found}; it must be {wanted} (the table's order)")
    if len(names) != len(FEATURE_NAMES):
        raise InvalidRequest(f"{len(names)} columns; give each of the {len(FEATURE_NAMES)} once")


def _numbers(cells: Sequence[str], number: int) -> list[float]:
    if len(cells) != len(FEATURE_NAMES):
        raise InvalidRequest(f"row {number} has {len(cells)} columns; give {len(FEATURE_NAMES)} in the table's order")
    return [_number(cell, number, feature) for cell, feature in zip(cells, FEATURES, strict=True)]


def _number(cell: str, number: int, feature: Feature) -> float:
    """The ranges also catch columns that were turned or swapped, which XGBoost would score without a word."""
    text = cell.strip()
    if not text:
        return math.nan
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    if not abs(value) <= LARGEST_FLOAT32:
        raise InvalidRequest(
            f"row {number}: {feature.name} is {cell[:80]!r}; give a finite number, or nothing where it is unknown"
        )
    if not feature.minimum <= value <= feature.maximum:
        raise InvalidRequest(
            f"row {number}: {feature.name} is {cell[:80]!r}; it must be {feature.minimum:g} to {feature.maximum:g} "
            f"({feature.unit}); are the columns in the table's order?"
        )
    return value


def _check_count(count: int) -> None:
    if count > MAXIMUM_ROWS:
        raise InvalidRequest(f"{count} rows; give at most {MAXIMUM_ROWS} a request", status=413)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number; give null where a value is unknown")
