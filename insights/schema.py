"""The insight: one storage device, one interval, as it crosses every boundary (JSON, CSV, DynamoDB item).

An `Insight` that exists is valid: the constructor refuses everything else, naming record, field, value and rule.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn, Self, TypeGuard

KINDS: Final = ("risk", "performance")
"""Of models: what each of them predicts."""
RISK_LEVELS: Final = ("low", "medium", "high", "critical")
WORKLOAD_TYPES: Final = ("sequential", "random", "mixed", "burst")
LABEL_SOURCES: Final = ("auto", "operator")
MAX_ID_CHARACTERS: Final = 128
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
# Nothing measured is anywhere near this, and no ratio of two valid numbers leaves the range of the model's 32-bit floats.
SMALLEST_NUMBER: Final = 1e-12
WHOLE_RECORD: Final = "(record)"
ITEM_FORMAT: Final = "_format"
"""The attribute of a table's item that names its format (docs/formats.md)."""


class InvalidInsight(ValueError):
    """A record that is not an insight: which record, which field, its value, the rule that it breaks."""

    def __init__(self, *, record: str, field: str, value: object, rule: str) -> None:
        super().__init__(record, field, value, rule)
        self.record = record
        self.field = field
        self.value = value
        self.rule = rule

    def __str__(self) -> str:
        return (
            f"{self.record or 'a record'}: field {self.field} has the value {shown(self.value)}, but {self.rule}. "
            "Correct the value at its source or leave the record out."
        )

    def at(self, record: str) -> InvalidInsight:
        """The same refusal, naming where the record stands."""
        return InvalidInsight(record=record or self.record, field=self.field, value=self.value, rule=self.rule)


class NumberRule(NamedTuple):
    """Range of a numeric field; the upper ends are beyond any device, so that a wrong unit is refused."""

    name: str
    unit: str
    high: float
    nullable: bool = True
    zero: bool = True

    def sentence(self) -> str:
        low = f"0 or from {SMALLEST_NUMBER:g}" if self.zero else f"from {SMALLEST_NUMBER:g}"
        null = ", or null when unknown" if self.nullable else ""
        return f"it must be a finite number, {low} to {self.high:g} ({self.unit}){null}"


NUMBER_RULES: Final = (
    NumberRule("interval_seconds", "s", 604_800.0, nullable=False, zero=False),
    NumberRule("read_iops", "operations/s", 1e9, nullable=False),
    NumberRule("write_iops", "operations/s", 1e9, nullable=False),
    NumberRule("avg_latency_ms", "ms", 1e8),
    NumberRule("p95_latency_ms", "ms", 1e8),
    NumberRule("p99_latency_ms", "ms", 1e8),
    NumberRule("bandwidth_mbps", "MB/s", 1e8, nullable=False),
    NumberRule("error_rate", "errors per operation", 1.0),
    NumberRule("queue_depth", "mean I/Os in flight", 1e8),
    NumberRule("io_size_kib", "KiB per operation", 1e8),
    NumberRule("sequential_ratio", "share", 1.0),
    NumberRule("provisioned_iops", "operations/s", 1e9, zero=False),
    NumberRule("latency_slo_ms", "ms", 1e8, zero=False),
    NumberRule("performance_score", "points", 100.0),
)
NUMBER_FIELDS: Final = frozenset(rule.name for rule in NUMBER_RULES)
CHOICES: Final = (("workload_type", WORKLOAD_TYPES), ("risk_level", RISK_LEVELS), ("label_source", LABEL_SOURCES))
_CSV_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TIME_RULE: Final = "it must be an ISO 8601 time such as 2026-01-31T09:05:00.000Z"
_CSV_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One device and interval. Times are UTC to the millisecond (finer digits are cut); null means unknown."""

    device_id: str
    timestamp: datetime
    interval_seconds: float
    read_iops: float
    write_iops: float
    avg_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    bandwidth_mbps: float
    error_rate: float | None = None
    queue_depth: float | None = None
    io_size_kib: float | None = None
    sequential_ratio: float | None = None
    provisioned_iops: float | None = None
    latency_slo_ms: float | None = None
    device_class: str | None = None
    workload_type: str | None = None
    alert: bool = False
    is_anomaly: bool | None = None
    risk_level: str | None = None
    performance_score: float | None = None
    label_source: str | None = None

    def __post_init__(self) -> None:
        try:
            self._check()
        except InvalidInsight as refusal:
            raise refusal.at(refusal.record or record_name(self.device_id, self.timestamp)) from None

    def _check(self) -> None:
        _check_text("device_id", self.device_id)
        if self.device_class is not None:
            _check_text("device_class", self.device_class)
        object.__setattr__(self, "timestamp", _checked_time(self.timestamp))
        for rule in NUMBER_RULES:
            value = getattr(self, rule.name)
            if type(value) is not float or not SMALLEST_NUMBER <= value <= rule.high:
                object.__setattr__(self, rule.name, _checked_number(rule, value))
        for name, choices in CHOICES:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or value not in choices):
                _refuse(name, value, f"it must be one of {', '.join(choices)}, or null when unknown")
        if not isinstance(self.alert, bool):
            _refuse("alert", self.alert, "it must be true or false (leave it out for false)")
        if self.is_anomaly is not None and not isinstance(self.is_anomaly, bool):
            _refuse("is_anomaly", self.is_anomaly, "it must be true, false or null")

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any], *, record: str = "") -> Self:
        """An insight from a parsed JSON object; absent fields that may be null are null, an absent alert is false."""
        if not isinstance(mapping, Mapping):
            raise InvalidInsight(
                record=record, field=WHOLE_RECORD, value=mapping, rule="it must be a JSON object of named fields"
            )
        try:
            _check_names(mapping)
            values = dict(mapping)
            values["timestamp"] = _parsed_time(values["timestamp"])
            return cls(**values)
        except InvalidInsight as refusal:
            raise refusal.at(record or record_name(mapping.get("device_id"), mapping.get("timestamp"))) from None

    def to_json(self) -> dict[str, Any]:
        """Every field in the table's order, null as None, the timestamp as fixed text."""
        values: dict[str, Any] = {name: getattr(self, name) for name in CSV_COLUMNS}
        values["timestamp"] = timestamp_text(self.timestamp)
        return values

    @classmethod
    def from_csv(cls, row: Mapping[str, str], *, record: str = "") -> Self:
        """An insight from one CSV row by column name; an empty cell is null (for `alert`: false)."""
        try:
            values = values_of_cells(row)
        except InvalidInsight as refusal:
            raise refusal.at(record) from None
        return cls.from_json(values, record=record)

    def to_csv(self) -> dict[str, str]:
        """One text per column of CSV_COLUMNS; numbers in the shortest form that reads back equal."""
        return {name: _to_cell(value) for name, value in self.to_json().items()}

    @classmethod
    def from_item(cls, item: Mapping[str, Any], *, record: str = "") -> Self:
        """An insight from a DynamoDB item as boto3's resource level gives it; `_` attributes are the store's own, and one
        of them its format, which an item of the first does not name."""
        if item.get(ITEM_FORMAT, 1) != 1:
            rule = "this version reads format 1 of a row; deploy the version that wrote it, or a newer one"
            raise InvalidInsight(record=record, field=ITEM_FORMAT, value=item[ITEM_FORMAT], rule=rule)
        values = {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in item.items()
            if name in _KNOWN_FIELDS or not (name.startswith("_") or name == "alert_at")
        }
        return cls.from_json(values, record=record)

    def to_item(self) -> dict[str, Any]:
        """A DynamoDB item without nulls, floats as exact Decimals, `alert_at` (sparse index key) only with an alert."""
        item = {
            name: Decimal(repr(value)) if type(value) is float else value
            for name, value in self.to_json().items()
            if value is not None
        }
        if self.alert:
            item["alert_at"] = item["timestamp"]
        return item


CSV_COLUMNS: Final[tuple[str, ...]] = tuple(field.name for field in fields(Insight))
REQUIRED_FIELDS: Final = ("device_id", "timestamp", "interval_seconds", "read_iops", "write_iops", "bandwidth_mbps")
_KNOWN_FIELDS: Final = frozenset(CSV_COLUMNS)


def values_of_cells(row: Mapping[str, str]) -> dict[str, object]:
    """The values by field of one CSV row's texts, without the empty ones; InvalidInsight for what is no value of its field."""
    _check_names(row)
    return {name: value_of_cell(name, cell) for name, cell in row.items() if cell != ""}


def value_of_cell(name: str, cell: str) -> object:
    """What a text that is not empty says of a field; InvalidInsight where it says nothing of its kind."""
    if name in NUMBER_FIELDS:
        if not _CSV_NUMBER.fullmatch(cell.strip()):
            _refuse(name, cell, "it must be a number with a decimal point, or empty for null")
        return float(cell)
    if name in {"alert", "is_anomaly"}:
        if cell.strip().lower() not in _CSV_BOOLEANS:
            _refuse(name, cell, "it must be true, false or empty")
        return _CSV_BOOLEANS[cell.strip().lower()]
    return cell


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z: fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> datetime:
    """The moment of an ISO 8601 text that names its offset; InvalidInsight otherwise."""
    return _checked_time(_parsed_time(text))


def check_device_id(value: object) -> None:
    """InvalidInsight unless `value` can be an insight's device_id."""
    _check_text("device_id", value)


def _refuse(field: str, value: object, rule: str) -> NoReturn:
    raise InvalidInsight(record="", field=field, value=value, rule=rule)


def shown(value: object, most: int = 80) -> str:
    """A value as a refusal quotes it: of any size, any depth, and never a reason to fail."""
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits has no repr
        text = f"a {type(value).__name__} too long to show"
    except RecursionError:  # what the JSON reader's depth just allows, repr's does not
        text = f"a {type(value).__name__} too deep to show"
    return text if len(text) <= most else text[: most - 3] + "..."


def is_finite_number(value: object) -> TypeGuard[float]:
    """Of JSON's values: no text, no boolean, and neither NaN nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def record_name(device_id: object, timestamp: object) -> str:
    """What a refusal calls a record that has no place in a file; a time as a row writes it, if it is in UTC."""
    if isinstance(timestamp, datetime):
        when = timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    else:
        when = shown(timestamp)
    return f"insight of device {shown(device_id)} at {when}"


def _check_names(mapping: Mapping[str, Any]) -> None:
    for name in mapping:
        if name not in _KNOWN_FIELDS:
            _refuse(str(name)[:80], mapping[name], "no field of an insight has this name (spelling, case)")
    for name in REQUIRED_FIELDS:
        if name not in mapping:
            _refuse(name, None, "it is missing and may not be")


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str):
        _refuse(field, value, "it must be text")
    if not 1 <= len(value) <= MAX_ID_CHARACTERS or not value.strip():
        _refuse(field, value, f"it must have 1 to {MAX_ID_CHARACTERS} characters that are not all blank")
    if not value.isascii() or not value.isprintable():
        _check_characters(field, value)


def _check_characters(field: str, value: str) -> None:
    for character in value:
        if "\ud800" <= character <= "\udfff" or character < " " or "\x7f" <= character <= "\x9f":
            _refuse(field, value, f"it must not hold the character {character!r}, which is no printable text")


def _parsed_time(value: object) -> object:
    if isinstance(value, datetime):
        _refuse("timestamp", value, "it must be ISO 8601 text here, not a datetime object")
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        _refuse("timestamp", value, _TIME_RULE)


def _checked_time(value: object) -> datetime:
    if not isinstance(value, datetime):
        _refuse("timestamp", value, _TIME_RULE)
    if value.tzinfo is None or value.utcoffset() is None:
        _refuse("timestamp", value.isoformat(), "it must name its offset from UTC (end it with Z)")
    if not EARLIEST <= value < LATEST:
        _refuse("timestamp", value.isoformat(), f"it must lie from {EARLIEST.year} to {LATEST.year - 1}")
    moment = value.astimezone(UTC)
    finer = moment.microsecond % 1000
    return moment - timedelta(microseconds=finer) if finer else moment


def _checked_number(rule: NumberRule, value: object) -> float | None:
    if value is None and rule.nullable:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(rule.name, value, rule.sentence())
    if value == 0 and rule.zero:
        return 0.0
    if not SMALLEST_NUMBER <= value <= rule.high:  # also NaN
        _refuse(rule.name, value, rule.sentence())
    return float(value)


def _to_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
