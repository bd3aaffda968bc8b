"""merge: the features folder from the shards of any number of instances, the same bytes whatever the number.

Rows go by device, then time. What is asked of all rows before one is written (each group's worst level) stands in the
shards' summaries; the rows are read once, by ranges of devices out of all shards, and nothing is computed anew.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from insights.columns import timestamp_texts
from insights.feature_table import FEATURE_NAMES
from insights.preprocessing import Preprocessing, column_statistics
from insights.schema import LABEL_SOURCES, RISK_LEVELS, shown
from insights.splits import SPLITS, TooFewGroups, assign_by_time, assign_splits, group_of, worst_of_groups
from training_container.all_shards import Chunk, Whole, check_complete
from training_container.errors import UnusableInput
from training_container.feature_shard import FeatureShard, shard_folders
from training_container.growing_arrays import GrowingArrays, StoredArray
from training_container.sagemaker_contract import read_json
from training_container.split_parts import FIELDS, part_bounds, part_names, write_split
from training_container.table_files import Append, Table, open_tables

TABLES_LEFT_OUT: Final = "tables-left-out.txt"
Rows = Mapping[str, npt.NDArray[np.bool_]]  # the labelled rows of each split


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the features folder shall be; `train_parts` files of the training split, one for each instance that trains."""

    previous: Path | None = None
    split: str = "device"
    seed: int = 7
    tables: str = "csv"
    train_parts: int = 1


DEFAULT_CHOICES: Final = Choices()


class Times(NamedTuple):
    """What a split by time looks at, of every row."""

    time_seconds: npt.NDArray[np.float64]
    interval_seconds: npt.NDArray[np.float64]


class Assignment(NamedTuple):
    """The split of each device, or with a split by time of each row (a place in SPLITS, -1 for none); and the memory
    for the next run."""

    devices: npt.NDArray[np.int8]
    rows: npt.NDArray[np.int8] | None
    memory: Mapping[str, str]

    def of(self, chunk: Chunk) -> npt.NDArray[np.int8]:
        if self.rows is None:
            return self.devices[chunk.device]
        return self.rows[chunk.first_row : chunk.first_row + len(chunk.records)]


def merge(folder: Path, output: Path, choices: Choices) -> None:
    """The shards below a folder to the features folder; UnusableInput where one is missing or of another export."""
    shards = [FeatureShard.read(path) for path in shard_folders(folder)]
    check_complete(shards, folder)
    merge_shards(shards, output, choices)


def merge_shards(shards: Sequence[FeatureShard], output: Path, choices: Choices) -> None:
    whole = Whole.of(shards)
    if not whole.devices:
        raise UnusableInput("the source holds no insight; load insights into the table, or give a source that has some")
    assignment = assign(whole, choices)
    output.mkdir(parents=True, exist_ok=True)
    _write_json(output / "splits.json", assignment.memory)
    with scratch_beside(output) as scratch:
        grown = GrowingArrays(scratch)
        counted, train_devices = _write_rows(whole, assignment, grown, output, choices.tables)
        write_splits(output / "columnar", grown, whole, part_bounds(train_devices, choices.train_parts))
        _write_json(output / "engineer.json", counted)
        if not train_devices:
            raise UnusableInput("no row of the training split has a label; the source needs longer histories or labels")
        _write_json(output / "feature-statistics.json", column_statistics(train_columns(grown)))
        _write_json(output / "preprocessing.json", Preprocessing.fit_columns(train_columns(grown)).to_json())
    print(json.dumps(counted), flush=True)


@contextmanager
def scratch_beside(output: Path) -> Iterator[Path]:
    """A folder on the volume that was sized for the output; gone at the end."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".engineer-") as scratch:
        yield Path(scratch)


def assign(whole: Whole, choices: Choices) -> Assignment:
    """By each group's worst level over all shards; or by time, which alone holds something of every row (60 bytes)."""
    previous = previous_splits(choices.previous)
    try:
        if choices.split == "time":
            by_time = assign_by_time(_times(whole))
            rows = np.select([by_time == name for name in SPLITS], list(range(len(SPLITS))), -1).astype(np.int8)
            return Assignment(np.empty(0, np.int8), rows, previous)
        groups = assign_splits(worst_of_groups(whole.devices, whole.worst), seed=choices.seed, previous=previous)
    except (TooFewGroups, ValueError) as refused:
        raise UnusableInput(str(refused)) from refused
    devices = np.array([SPLITS.index(groups[group_of(device)]) for device in whole.devices], np.int8)
    return Assignment(devices, None, {**previous, **groups})


def _times(whole: Whole) -> Times:
    parts = [(chunk.records["time"].copy(), chunk.records["interval"].copy()) for chunk in whole.chunks()]
    return Times(np.concatenate([time for time, _ in parts]), np.concatenate([interval for _, interval in parts]))


def _write_rows(
    whole: Whole, assignment: Assignment, grown: GrowingArrays, output: Path, tables: str
) -> tuple[dict[str, Any], list[int]]:
    """Every row to where it belongs; the counts, and the rows of each device that has some in the training split."""
    counted, train_devices = empty_counts(len(whole.devices)), []
    with _tables(output, tables) as append_rows:
        for chunk in whole.chunks():
            split = assignment.of(chunk)
            labelled = chunk.records["source"] >= 0
            rows = {name: (split == place) & labelled for place, name in enumerate(SPLITS)}
            if append_rows:
                append_rows(as_table(chunk, whole.devices), rows)
            append_splits(grown, chunk, rows)
            count(counted, chunk.records["risk"], rows)
            train_devices += np.unique(chunk.device[rows["train"]], return_counts=True)[1].tolist()
    return counted, train_devices


def _tables(output: Path, tables: str) -> Any:
    if tables != "none":
        return open_tables(output, tables)
    (output / TABLES_LEFT_OUT).write_text(
        "features.csv and the splits' tables were not asked for (--tables none), as the workflow does of a large run.\n"
        "columnar/*.npz holds every labelled row; `engineer --tables csv` on the same insights writes the tables.\n"
    )
    no_tables: Append | None = None
    return nullcontext(no_tables)


def as_table(chunk: Chunk, devices: Sequence[str]) -> Table:
    """Rows of features.csv: device_id, timestamp, the 25 columns unscaled (NaN empty), then the labels."""
    records = chunk.records
    return Table(
        [devices[code] for code in chunk.device.tolist()],
        timestamp_texts(records["time"]),
        records["X"],
        [(*RISK_LEVELS, None)[level] for level in records["risk"].tolist()],
        records["score"],
        [(*LABEL_SOURCES, None)[source] for source in records["source"].tolist()],
    )


def append_splits(grown: GrowingArrays, chunk: Chunk, rows: Rows) -> None:
    """Each split's labelled rows to the arrays that will be its columnar file; those that train also feature by feature,
    unrounded, for the statistics."""
    for name, mask in rows.items():
        records = chunk.records[mask]
        arrays = {field: records[field] for field in FIELDS if field != "device"}
        arrays |= {"X": records["X"].astype(np.float32), "score": records["score"].astype(np.float32)}
        for field, values in {**arrays, "device": chunk.device[mask]}.items():
            grown.append(f"{name}-{field}", values)
        if name == "train":
            for column, values in enumerate(records["X"].T):
                grown.append(f"feature-{column}", values)


def train_columns(grown: GrowingArrays) -> Iterator[npt.NDArray[np.float64]]:
    """One feature after the other of the rows that train."""
    return (grown.read(f"feature-{column}") for column in range(len(FEATURE_NAMES)))


def write_splits(folder: Path, grown: GrowingArrays, whole: Whole, train_bounds: Sequence[int]) -> None:
    """Each split's columnar file; the training split's in as many parts as it has bounds, of whole devices each."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("train*.npz"):  # of an earlier run, in another number of parts
        old.unlink()
    names = {
        "devices": np.array(whole.devices, np.str_),
        "device_classes": np.array(whole.device_classes, np.str_),
    }
    for split in SPLITS:
        arrays: dict[str, StoredArray] = {field: grown.stored(f"{split}-{field}") for field in FIELDS}
        bounds = train_bounds if split == "train" else [0, len(arrays["risk"])]
        for part, name in enumerate(part_names(split, len(bounds) - 1)):
            write_split(folder / name, arrays, names, bounds[part], bounds[part + 1])


def empty_counts(devices: int) -> dict[str, Any]:
    return {
        "rows": 0,
        "devices": devices,
        "labelled": 0,
        "levels": dict.fromkeys(RISK_LEVELS, 0),
        "splits": dict.fromkeys(SPLITS, 0),
    }


def count(counted: dict[str, Any], risk: npt.NDArray[np.int8], rows: Rows) -> None:
    """Adds a chunk's rows, and its labelled rows by level and by split (those with a risk level)."""
    labelled = risk >= 0
    counted["rows"] += len(labelled)
    counted["labelled"] += int(labelled.sum())
    for level, name in enumerate(RISK_LEVELS):
        counted["levels"][name] += int((risk == level).sum())
    for name, mask in rows.items():
        counted["splits"][name] += int((labelled & mask).sum())


def previous_splits(folder: Path | None) -> dict[str, str]:
    """Which group was in which split before; nothing where there was no run before."""
    path = folder / "splits.json" if folder else None
    if path is None or not path.is_file():
        return {}
    memory: object = read_json(path)
    if isinstance(memory, dict) and not isinstance(memory.get("format", ""), str):
        raise UnusableInput(
            f"{path} is of format {shown(memory['format'])}, and this version reads one that names none (group: split); "
            "run engineer with the version that wrote it, or give no earlier run"
        )
    if not isinstance(memory, dict) or not all(isinstance(split, str) for split in memory.values()):
        raise UnusableInput(
            f"{path} is no memory of splits (an object of group: split); give an earlier run's, or none"
        )
    return memory


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
