"""What one instance of the engineer job makes of its objects: every row with its features and labels, in a file that
merge reads by ranges of devices, and beside it what merge must know of the whole before it reads a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from insights.columns import InsightColumns
from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH
from insights.labels import Labels, breaches, persistence
from insights.oracle import Foretold
from insights.splits import worst_of_devices
from training_container.device_rows import DeviceRows, Records
from training_container.errors import UnusableInput
from training_container.sagemaker_contract import read_json

FORMAT: Final = 1
ROWS: Final = "rows.bin"
SUMMARY: Final = "shard.json"
ROW: Final = np.dtype(
    [
        ("time", np.float64),
        ("interval", np.float64),
        ("X", np.float64, (len(FEATURE_NAMES),)),
        ("risk", np.int8),
        ("score", np.float64),
        ("source", np.int8),
        ("persistence_risk", np.int8),
        ("persistence_score", np.float32),
        ("device_class", np.int32),
        ("workload", np.int8),
        ("breach", np.int8),
        ("oracle_risk", np.int8),
        ("oracle_score", np.float64),
    ]
)


class Engineered(NamedTuple):
    """Whole devices with their labels and features."""

    columns: InsightColumns
    labels: Labels
    features: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """shard.json. `worst` is each device's worst level, -1 for none; `manifest` says which export the objects are of."""

    shard: int
    shards: int
    hindsight: bool
    objects: Mapping[str, int]
    manifest: str
    manifest_rows: int
    devices: list[str]
    rows: list[int]
    worst: list[int]
    device_classes: list[str]


@dataclass(frozen=True, slots=True)
class FeatureShard:
    folder: Path
    summary: Summary

    @classmethod
    def write(
        cls,
        folder: Path,
        parts: Iterable[Engineered],
        foretold: Foretold,
        device_classes: Iterable[str],
        **known: Any,
    ) -> Self:
        """`parts` come in the order of their devices; `known` are the members of the summary that are not counted here."""
        folder.mkdir(parents=True, exist_ok=True)
        devices: list[str] = []
        rows: list[int] = []
        worst: list[int] = []
        classes = list(device_classes)
        with (folder / ROWS).open("wb") as file:
            for part in parts:
                file.write(as_records(part, foretold, classes).data)
                devices += part.columns.devices
                rows += np.bincount(part.columns.device, minlength=len(part.columns.devices)).tolist()
                worst += worst_of_devices(part.columns, part.labels.risk).tolist()
        summary = Summary(devices=devices, rows=rows, worst=worst, device_classes=classes, **known)
        made = {"format": FORMAT, "feature_table": FEATURE_TABLE_HASH, **asdict(summary)}
        (folder / SUMMARY).write_text(json.dumps(made))
        return cls(folder, summary)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """UnusableInput where it is none, or one of another version of this code."""
        made = read_json(folder / SUMMARY)
        try:
            known = made.pop("format"), made.pop("feature_table")
            summary = Summary(**made)
        except (AttributeError, KeyError, TypeError) as error:
            raise UnusableInput(f"{folder} is no shard of features: {error}; run engineer again") from error
        if known != (FORMAT, FEATURE_TABLE_HASH):
            raise UnusableInput(f"{folder} is of another version of this code; run engineer again with this image")
        size = (folder / ROWS).stat().st_size if (folder / ROWS).is_file() else 0
        if size != sum(summary.rows) * ROW.itemsize:
            raise UnusableInput(f"{folder / ROWS} has {size} bytes, which its summary does not; run engineer again")
        return cls(folder, summary)

    def device_rows(self) -> DeviceRows:
        starts = np.concatenate([[0], np.cumsum(self.summary.rows)]).astype(np.int64)
        return DeviceRows(self.folder / ROWS, ROW, tuple(self.summary.devices), starts)


def folder_name(shard: int, shards: int) -> str:
    """Distinct for each instance: all of them write below one prefix."""
    return f"shard-{shard:05d}-of-{shards:05d}"


def shard_folders(folder: Path) -> Iterator[Path]:
    yield from sorted(path.parent for path in folder.rglob(SUMMARY))


def as_records(part: Engineered, foretold: Foretold, device_classes: list[str]) -> Records:
    """(rows,) of ROW; class codes are places in `device_classes`."""
    columns, labels = part.columns, part.labels
    class_place = np.array([*map(device_classes.index, columns.device_classes), -1], np.int32)
    rows = np.empty(len(columns), ROW)
    rows["time"], rows["interval"] = columns.time_seconds, columns.interval_seconds
    rows["X"] = part.features
    rows["risk"], rows["score"], rows["source"] = labels
    rows["persistence_risk"], rows["persistence_score"] = persistence(columns)
    rows["device_class"] = class_place[columns.device_class]
    rows["workload"], rows["breach"] = columns.workload_type, breaches(columns)
    rows["oracle_risk"], rows["oracle_score"] = foretold_of(columns, foretold)
    return rows


def foretold_of(columns: InsightColumns, foretold: Foretold) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """The oracle's level and score of each row, looked up among the shard's devices alone."""
    here = np.isin(np.array(foretold.devices, np.str_), np.array(columns.devices, np.str_))
    return foretold.take(here[foretold.device]).of(columns)
