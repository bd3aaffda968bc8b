"""A mapping file: which foreign column is which field, in which unit, and what is said once for every row.

It is TOML or JSON (docs/collectors.md has the reference and an example). What it does not name must be a field's own name
or stand in `ignore`: an unknown column makes its row refused, not guessed at.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors.units import AS_IT_IS, UNITS, Unit
from insights.schema import CSV_COLUMNS, NUMBER_FIELDS, WHOLE_RECORD, InvalidInsight, value_of_cell

EPOCHS: Final = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
STAMPS: Final = ("end", "start")
SECTIONS: Final = ("fields", "constants", "ignore", "null")
KEYS: Final = ("column", "columns", "unit", "values", "separator")
TIMESTAMP_KEYS: Final = ("column", "format", "zone", "stamps")
_OWN: Final = frozenset(CSV_COLUMNS)


class InvalidMapping(ValueError):
    """A mapping that cannot be meant; the message names the file, the place and the remedy."""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Columns whose numbers are added up and whose texts are joined; `values` renames what a cell says."""

    columns: tuple[str, ...]
    unit: Unit = AS_IT_IS
    values: Mapping[str, Any] = field(default_factory=dict)
    separator: str = "/"


@dataclass(frozen=True, slots=True)
class TimeSource:
    """`format`: iso, one of EPOCHS, or a strptime pattern; `zone` is that of times which name none (else they are refused)."""

    column: str = "timestamp"
    format: str = "iso"
    zone: tzinfo | None = None
    stamps: str = "end"


@dataclass(frozen=True)
class ColumnMapping:
    """Without arguments: every column is a field's own."""

    fields: Mapping[str, FieldSource] = field(default_factory=dict)
    time: TimeSource = TimeSource()
    constants: Mapping[str, Any] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    nulls: frozenset[str] = frozenset({""})

    @property
    def columns(self) -> list[str]:
        """The foreign columns that the mapping reads, which a file must have."""
        named = [column for source in self.fields.values() for column in source.columns]
        return [*named, *([self.time.column] if self.time.column != "timestamp" else [])]

    def known(self) -> set[str]:
        return {*self.columns, *self.ignored, *_OWN}

    def values(self, record: Mapping[str, Any], *, name: str) -> dict[str, Any]:
        """The values of an insight's JSON form; InvalidInsight where a column is unknown or a cell is not its unit's."""
        cells = {column: self._cell(cell) for column, cell in record.items()}
        self._check_columns(cells, name)
        try:
            values = {**self._own(cells), **self.constants}
            seconds = self._interval(cells, values)
            for own, source in self.fields.items():
                if own != "interval_seconds":
                    values[own] = _value(own, source, cells, seconds)
            values["timestamp"] = self._timestamp(cells, seconds)
        except InvalidInsight as refusal:
            raise refusal.at(name) from None
        return {own: value for own, value in values.items() if value is not None}

    def _cell(self, cell: Any) -> Any:
        if isinstance(cell, str):
            return None if cell.strip() in self.nulls else cell.strip()
        return float(cell) if isinstance(cell, Decimal) else cell

    def _check_columns(self, cells: Mapping[str, Any], name: str) -> None:
        mapped = set(self.columns) | self.ignored
        for column, cell in cells.items():
            if column in mapped:
                continue
            if column not in _OWN:
                remedy = "no field has its name; map it to one, or name it in the mapping's `ignore`"
                raise InvalidInsight(record=name, field=column, value=cell, rule=remedy)
            if column in self.fields or column in self.constants or column == "timestamp" != self.time.column:
                remedy = "the mapping fills this field otherwise; name the column in its `ignore`"
                raise InvalidInsight(record=name, field=column, value=cell, rule=remedy)

    def _own(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Columns that are fields themselves and not read for another one; a text is a CSV cell's."""
        mapped = {*self.columns, *self.ignored, self.time.column}
        own = {column: cell for column, cell in cells.items() if column not in mapped and cell is not None}
        return {name: value_of_cell(name, cell) if isinstance(cell, str) else cell for name, cell in own.items()}

    def _interval(self, cells: Mapping[str, Any], values: dict[str, Any]) -> float | None:
        source = self.fields.get("interval_seconds")
        if source is not None:
            values["interval_seconds"] = _value("interval_seconds", source, cells, None)
        seconds = values.get("interval_seconds")
        return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None

    def _timestamp(self, cells: Mapping[str, Any], seconds: float | None) -> str | None:
        cell = cells.get(self.time.column)
        if cell is None:
            return None
        moment = _moment(cell, self.time)
        if self.time.stamps == "start":
            if seconds is None:
                _refuse("interval_seconds", None, "the stamps are of starts, so that the interval must be known")
            moment += timedelta(seconds=seconds)
        return moment.isoformat()


def _refuse(own: str, value: object, rule: str) -> NoReturn:
    raise InvalidInsight(record="", field=own, value=value, rule=rule)


def _value(own: str, source: FieldSource, cells: Mapping[str, Any], seconds: float | None) -> Any:
    """None where any of its columns is null or absent."""
    found = [cells.get(column) for column in source.columns]
    if any(cell is None for cell in found):
        return None
    if source.values:
        known = {str(key).lower(): value for key, value in source.values.items()}
        if str(found[0]).lower() not in known:
            _refuse(own, found[0], f"column {source.columns[0]!r} may say {', '.join(source.values)} (`values`)")
        return known[str(found[0]).lower()]
    if own not in NUMBER_FIELDS:
        if own in {"alert", "is_anomaly"} and isinstance(found[0], str):
            return value_of_cell(own, found[0])
        return source.separator.join(str(cell) for cell in found) if not isinstance(found[0], bool) else found[0]
    total = sum(_number(own, column, cell) for column, cell in zip(source.columns, found, strict=True))
    if not source.unit.is_per_interval:
        return total * source.unit.factor
    if seconds is None:
        _refuse("interval_seconds", None, f"{own} is given per interval, so that the interval must be known")
    return total * source.unit.factor / seconds


def _number(own: str, column: str, cell: Any) -> float:
    try:
        if isinstance(cell, bool) or not isinstance(cell, int | float | str):
            raise ValueError(cell)
        return float(cell)
    except ValueError:
        _refuse(own, cell, f"column {column!r} must hold a number with a decimal point")


def _moment(cell: Any, source: TimeSource) -> datetime:
    if source.format in EPOCHS:
        try:
            return datetime.fromtimestamp(_number("timestamp", source.column, cell) / EPOCHS[source.format], UTC)
        except (ValueError, OverflowError, OSError) as error:
            if isinstance(error, InvalidInsight):
                raise
            _refuse("timestamp", cell, f"it lies outside of what {source.format} may mean ({error})")
    try:
        moment = _parsed_moment(cell, source)
    except ValueError:
        _refuse("timestamp", cell, f"column {source.column!r} must hold a time in the format {source.format!r}")
    if moment.tzinfo is None:
        if source.zone is None:
            _refuse("timestamp", cell, "it names no offset from UTC; say the mapping's timestamp `zone`")
        moment = moment.replace(tzinfo=source.zone)
    return moment


def _parsed_moment(cell: Any, source: TimeSource) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date) or not isinstance(cell, str):
        raise ValueError(cell)
    return datetime.fromisoformat(cell) if source.format == "iso" else datetime.strptime(cell, source.format)


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping of a .toml or .json file; InvalidMapping names what cannot be meant."""
    try:
        text = path.read_text(encoding="utf-8")
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidMapping(f"{path}: it cannot be read as {path.suffix.lstrip('.') or 'TOML'} ({error})") from error
    try:
        return mapping_of(given)
    except InvalidMapping as refused:
        raise InvalidMapping(f"{path}: {refused}") from None


def mapping_of(given: Mapping[str, Any]) -> ColumnMapping:
    _known_names(given, SECTIONS, "the mapping")
    fields = dict(given.get("fields", {}))
    constants = dict(given.get("constants", {}))
    _known_names(fields, CSV_COLUMNS, "fields")
    _known_names(constants, CSV_COLUMNS, "constants")
    for name in constants:
        if name in fields or name == "timestamp":
            raise InvalidMapping(f"constants.{name} is filled by a column too; leave one of them out")
    time = _time_source(fields.pop("timestamp", {"column": "timestamp"}))
    return ColumnMapping(
        fields={name: _field_source(name, source) for name, source in fields.items()},
        time=time,
        constants=constants,
        ignored=frozenset(_texts(given.get("ignore", []), "ignore")),
        nulls=frozenset({"", *_texts(given.get("null", []), "null")}),
    )


def _known_names(given: Any, known: tuple[str, ...], place: str) -> None:
    if not isinstance(given, Mapping):
        raise InvalidMapping(f"{place} must be a table of names, not {given!r}")
    for name in given:
        if name not in known:
            raise InvalidMapping(f"{place} may not hold {name!r}; known are {', '.join(known)}")


def _texts(given: Any, place: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InvalidMapping(f"{place} must be a list of texts")
    return given


def _field_source(name: str, given: Any) -> FieldSource:
    """A text is a column in the insight's own unit."""
    source = {"column": given} if isinstance(given, str) else given
    _known_names(source, KEYS, f"fields.{name}")
    columns = _texts(source["columns"] if "columns" in source else [source.get("column")], f"fields.{name}.column")
    if not columns or ("column" in source and "columns" in source):
        raise InvalidMapping(f"fields.{name} must name one `column`, or several `columns`")
    values = source.get("values", {})
    if not isinstance(values, Mapping) or (values and len(columns) > 1):
        raise InvalidMapping(f"fields.{name}.values must be a table, of one column's cells")
    if len(columns) > 1 and name not in NUMBER_FIELDS and name not in {"device_id", "device_class"}:
        raise InvalidMapping(f"fields.{name} is neither a number nor a name; it can come from one column only")
    return FieldSource(tuple(columns), _unit(name, source.get("unit")), values, str(source.get("separator", "/")))


def _unit(name: str, given: Any) -> Unit:
    units = UNITS.get(name, {})
    if given is None:
        return AS_IT_IS
    if given not in units:
        allowed = f"give one of {', '.join(units)}" if units else "it has none"
        raise InvalidMapping(f"fields.{name}.unit may not be {given!r}; {allowed}")
    return units[given]


def _time_source(given: Any) -> TimeSource:
    source = {"column": given} if isinstance(given, str) else given
    _known_names(source, TIMESTAMP_KEYS, "fields.timestamp")
    (column,) = _texts([source.get("column", "timestamp")], "fields.timestamp.column")
    form, stamps, zone = source.get("format", "iso"), source.get("stamps", "end"), source.get("zone")
    if form != "iso" and form not in EPOCHS and "%" not in str(form):
        known = ", ".join(("iso", *EPOCHS))
        raise InvalidMapping(
            f"fields.timestamp.format may not be {form!r}; give {known}, or a pattern such as %d/%m/%Y %H:%M"
        )
    if stamps not in STAMPS:
        raise InvalidMapping(f"fields.timestamp.stamps may not be {stamps!r}; give one of {', '.join(STAMPS)}")
    return TimeSource(column, form, _zone(zone), stamps)


def _zone(name: Any) -> tzinfo | None:
    if name is None:
        return None
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidMapping(
            f"fields.timestamp.zone may not be {name!r}; give UTC or a zone such as Europe/Vienna"
        ) from error


def not_an_object(value: object, name: str) -> InvalidInsight:
    return InvalidInsight(record=name, field=WHOLE_RECORD, value=value, rule="it must be an object of named columns")
