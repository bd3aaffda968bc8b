"""Insights as columns: what features, labels and splits compute on. Null is NaN (numbers) or -1 (codes), never zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from insights.schema import CSV_COLUMNS, LABEL_SOURCES, RISK_LEVELS, WORKLOAD_TYPES, Insight

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CODED: Final = (
    ("risk", RISK_LEVELS),
    ("label_source", LABEL_SOURCES),
    ("workload_type", WORKLOAD_TYPES),
    ("is_anomaly", (False, True)),
)

_FIELD_OF: Final = {"risk": "risk_level"}


@dataclass(frozen=True, slots=True, eq=False)
class InsightColumns:
    """Rows sorted by (device, time), one per key: of duplicates the last given wins. All arrays have one length.

    `device` indexes `devices` (sorted ids), `device_class` indexes `device_classes`; `risk`, `label_source`,
    `workload_type` and `is_anomaly` (0 no, 1 yes) are codes with -1 for null; `time_seconds` counts from 1970 UTC.
    """

    devices: tuple[str, ...]
    device_classes: tuple[str, ...]
    device: Int32s
    time_seconds: Floats
    interval_seconds: Floats
    read_iops: Floats
    write_iops: Floats
    avg_latency_ms: Floats
    p95_latency_ms: Floats
    p99_latency_ms: Floats
    bandwidth_mbps: Floats
    error_rate: Floats
    queue_depth: Floats
    io_size_kib: Floats
    sequential_ratio: Floats
    provisioned_iops: Floats
    latency_slo_ms: Floats
    device_class: Int32s
    workload_type: Int8s
    alert: Bools
    is_anomaly: Int8s
    risk: Int8s
    score: Floats
    label_source: Int8s

    def __len__(self) -> int:
        return len(self.device)

    @classmethod
    def from_insights(cls, insights: Iterable[Insight]) -> Self:
        """Columns of insights in any order, of any number of devices, none included."""
        rows = insights if isinstance(insights, Sequence) else list(insights)
        values: dict[str, Sequence[Any]] = {name: list(map(attrgetter(name), rows)) for name in _VALUES}
        seconds = [(moment - _EPOCH).total_seconds() for moment in map(attrgetter("timestamp"), rows)]
        return cls.from_values(values, np.array(seconds, np.float64))

    @classmethod
    def from_values(cls, values: Mapping[str, Sequence[Any]], time_seconds: Floats) -> Self:
        """Columns of the fields of insights by name, a value a row and None for null, beside the rows' times."""
        devices, device = _codes(values["device_id"])
        classes, device_class = _codes(values["device_class"])
        columns: dict[str, Any] = {name: np.array(values[name], np.float64) for name in NUMBER_COLUMNS}
        for name, choices in _CODED:
            code = {choice: index for index, choice in enumerate(choices)}
            codes = [code.get(value, -1) for value in values[_FIELD_OF.get(name, name)]]
            columns[name] = np.array(codes, np.int8)
        columns["score"] = np.array(values["performance_score"], np.float64)
        columns["alert"] = np.array(values["alert"], np.bool_)
        table = cls(
            devices=devices,
            device=device,
            device_classes=classes,
            device_class=device_class,
            time_seconds=time_seconds,
            **columns,
        )
        return table._sorted()

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """One table of several (a shard each); of rows with one key the last part's wins."""
        if not parts:
            return cls.from_insights([])
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAY_COLUMNS
        }
        for names, codes in (("devices", "device"), ("device_classes", "device_class")):
            columns[names] = tuple(sorted({text for part in parts for text in getattr(part, names)}))
            place = {text: index for index, text in enumerate(columns[names])}
            maps = [np.array([*(place[text] for text in getattr(part, names)), -1], np.int32) for part in parts]
            recoded = [table[getattr(part, codes)] for table, part in zip(maps, parts, strict=True)]
            columns[codes] = np.concatenate(recoded)
        return cls(**columns)._sorted()

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """The rows of an index or mask in ascending order; `devices` stays whole, so codes keep their meaning."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in ARRAY_COLUMNS}
        return type(self)(devices=self.devices, device_classes=self.device_classes, **columns)

    def compact(self) -> Self:
        """Without the names of devices that have no row."""
        used, device = np.unique(self.device, return_inverse=True)
        names = tuple(self.devices[code] for code in used.tolist())
        return replace(self, devices=names, device=device.astype(np.int32))

    def insights(self) -> Iterator[Insight]:
        """The rows as insights; the inverse of from_insights."""
        values: dict[str, list[Any]] = {name: _or_none(getattr(self, name)) for name in NUMBER_COLUMNS}
        for name, choices in _CODED:
            values[_FIELD_OF.get(name, name)] = [(*choices, None)[code] for code in getattr(self, name).tolist()]
        values["device_id"] = self.device_ids()
        values["timestamp"] = [_EPOCH + timedelta(milliseconds=round(1000 * s)) for s in self.time_seconds.tolist()]
        values["device_class"] = [(*self.device_classes, None)[code] for code in self.device_class.tolist()]
        values["alert"], values["performance_score"] = self.alert.tolist(), _or_none(self.score)
        for row in zip(*values.values(), strict=True):
            yield Insight(**dict(zip(values, row, strict=True)))

    def device_ids(self) -> list[str]:
        """The device id of every row."""
        return [self.devices[code] for code in self.device.tolist()]

    def timestamps(self) -> list[str]:
        """The timestamp of every row in the wire's form."""
        return timestamp_texts(self.time_seconds)

    def _sorted(self) -> Self:
        order = np.lexsort((self.time_seconds, self.device))  # stable: duplicates stay in the order given
        device, time = self.device[order], self.time_seconds[order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (device[1:] != device[:-1]) | (time[1:] != time[:-1])
        return self.take(order[last])


ARRAY_COLUMNS: Final = tuple(
    field.name for field in fields(InsightColumns) if field.name not in {"devices", "device_classes"}
)
NUMBER_COLUMNS: Final = ARRAY_COLUMNS[2 : ARRAY_COLUMNS.index("device_class")]


_VALUES: Final = tuple(name for name in CSV_COLUMNS if name != "timestamp")


def timestamp_texts(time_seconds: Floats) -> list[str]:
    """Each time in the wire's form, to the millisecond: schema.timestamp_text of many."""
    moments = np.round(1000 * time_seconds).astype("datetime64[ms]")
    texts: list[str] = np.char.add(np.datetime_as_string(moments), "Z").tolist()
    return texts


def _or_none(values: Floats) -> list[float | None]:
    cells = values.astype(object)
    cells[np.isnan(values)] = None
    known: list[float | None] = cells.tolist()
    return known


def _codes(texts: Sequence[str | None]) -> tuple[tuple[str, ...], Int32s]:
    names = tuple(sorted({text for text in texts if text is not None}))
    place: dict[str | None, int] = {text: index for index, text in enumerate(names)}
    return names, np.array([place.get(text, -1) for text in texts], np.int32)
