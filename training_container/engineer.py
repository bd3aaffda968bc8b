"""engineer: insights to features, labels, splits and statistics; everything a training reads, and files for people.

Memory is bounded by a shard of whole devices, not by the input: every insight is read once into columns on disk, a first
pass over the shards finds each group's worst level, a second one writes. Both compute features and labels, which costs
less than keeping them.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from insights.columns import InsightColumns
from insights.feature_table import FEATURE_NAMES
from insights.features import compute_features
from insights.files import UnreadableFile, read_insights
from insights.labels import Labels, breaches, given_labels, label, persistence
from insights.oracle import ORACLE, Foretold
from insights.preprocessing import Preprocessing, feature_statistics
from insights.schema import LABEL_SOURCES, RISK_LEVELS, InvalidInsight
from insights.splits import SPLITS, TooFewGroups, assign_by_time, assign_splits, rows_of, worst_levels
from training_container.errors import UnusableInput
from training_container.growing_arrays import GrowingArrays
from training_container.sagemaker_contract import read_json
from training_container.shards import Shards
from training_container.split_file import Split
from training_container.table_files import open_tables

MANIFEST = "manifest.json"
NOT_INSIGHTS = (MANIFEST, "splits.json", "training-stats.json")
BESIDE_FOLDERS = frozenset({"parts", "generated"})
INSIGHT_ENDINGS = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz")

Rows = Mapping[str, npt.NDArray[np.bool_]]  # the labelled rows of each split
UNROUNDED = "unrounded"  # X before it was rounded to float32, for the statistics


class Times(NamedTuple):
    """What a split by time looks at, of every row."""

    time_seconds: npt.NDArray[np.float64]
    interval_seconds: npt.NDArray[np.float64]


class Engineered(NamedTuple):
    """A shard with its labels and features; its devices are the whole's from place `first_device` on."""

    columns: InsightColumns
    labels: Labels
    features: npt.NDArray[np.float64]
    first_device: int
    first_row: int


class Assignment(NamedTuple):
    """Which group is in which split, or with a split by time which row; and the memory for the next run."""

    groups: Mapping[str, str]
    by_time: npt.NDArray[np.str_] | None
    memory: Mapping[str, str]

    def of(self, shard: Engineered) -> npt.NDArray[np.str_]:
        """The split of each row, "" for none."""
        if self.by_time is None:
            return rows_of(shard.columns, self.groups)
        return self.by_time[shard.first_row : shard.first_row + len(shard.columns)]


def engineer(
    source: Path,
    output: Path,
    *,
    previous: Path | None = None,
    split: str = "device",
    labels: str = "given",
    table_format: str = "csv",
    seed: int = 7,
) -> None:
    """Read every insight of a file or folder and write the features folder; raises UnusableInput with the true reason.

    Of insights with one key (device, time) the last read wins, files in the order of their paths; their order changes
    nothing else. Nothing asks the clock: a future timestamp is a time like any other. Labels are what the source brings;
    by hindsight where it brings none at all, or where `labels` asks for it. What was said of single rows later, by an
    operator or a joined outcome, goes before hindsight and is no label that the source brings.
    """
    with tempfile.TemporaryDirectory() as scratch:
        shards = read_shards(source, Path(scratch))
        hindsight = labels != "given" or not source_brings_labels(source, shards)
        assignment = assign(engineered(shards, hindsight), split, _previous(previous), seed)
        output.mkdir(parents=True, exist_ok=True)
        _write_json(output / "splits.json", assignment.memory)
        grown, foretold = GrowingArrays(Path(scratch)), find_foretold(source)
        counted = empty_counts(len(shards.devices))
        with open_tables(output, table_format) as append_rows:
            for shard in engineered(shards, hindsight):
                row_split = assignment.of(shard)
                rows = {name: (row_split == name) & (shard.labels.source >= 0) for name in SPLITS}
                append_rows(as_table(shard), rows)
                append_splits(grown, shard, rows, shards.device_classes, foretold)
                count(counted, shard, rows)
        write_splits(output / "columnar", grown, shards)
        _write_json(output / "engineer.json", counted)
        train_rows = grown.read(f"train-{UNROUNDED}")
        if len(train_rows) == 0:
            raise UnusableInput("no row of the training split has a label; the source needs longer histories or labels")
        _write_json(output / "feature-statistics.json", feature_statistics(train_rows))
        _write_json(output / "preprocessing.json", Preprocessing.fit(train_rows).to_json())
    print(json.dumps(counted), flush=True)


def read_shards(source: Path, scratch: Path) -> Shards:
    """The insights of a file, or of every insight file below a folder, as shards; a bad record is refused by name."""
    files = [source] if source.is_file() else sorted(insight_files(source))
    if not files:
        raise UnusableInput(f"{source} holds no insight file; accepted are {', '.join(INSIGHT_ENDINGS)}")
    try:
        shards = Shards.spool(itertools.chain.from_iterable(map(read_insights, files)), scratch)
    except (InvalidInsight, UnreadableFile) as refused:
        raise UnusableInput(str(refused)) from refused
    if not shards.devices:
        raise UnusableInput(f"{source} holds no insight; load insights into the table, or give a source that has some")
    return shards


def source_brings_labels(source: Path, shards: Shards) -> bool:
    """As the export's manifest has it, which knows labels that came later from those that came with their rows."""
    manifest = source / MANIFEST
    labelled = read_json(manifest).get("labelled_by_source") if manifest.is_file() else None
    return shards.brings_labels if labelled is None else bool(labelled)


def insight_files(folder: Path) -> Iterator[Path]:
    """What the export writes, or any folder of insights; not the summaries, sources and copies that stand beside it."""
    for path in folder.rglob("*"):
        beside = path.name in NOT_INSIGHTS or path.name.startswith("full-export-")
        below = path.relative_to(folder).parts[:-1]
        if path.is_file() and path.name.endswith(INSIGHT_ENDINGS) and not beside and not set(below) & BESIDE_FOLDERS:
            yield path


def find_foretold(source: Path) -> Foretold:
    """What the generator's oracle foretold of these insights: beside the file, or anywhere below the folder; else nothing."""
    found = sorted(source.rglob(ORACLE)) if source.is_dir() else [source.with_name(ORACLE)]
    return Foretold.read(found[0]) if found and found[0].is_file() else Foretold.nothing()


def engineered(shards: Shards, hindsight: bool) -> Iterator[Engineered]:
    """Shard after shard; a row whose features are beyond any device is refused."""
    first_device = first_row = 0
    for columns in shards:
        features = compute_features(columns)
        labels = label(columns) if hindsight else given_labels(columns)
        yield Engineered(columns, labels, features, first_device, first_row)
        first_device, first_row = first_device + len(columns.devices), first_row + len(columns)


def assign(shards: Iterable[Engineered], split: str, previous: Mapping[str, str], seed: int) -> Assignment:
    """By each group's worst level over all shards; or by time, which alone holds something of every row (60 bytes)."""
    worst: dict[str, int] = {}
    seconds, intervals = [], []
    for shard in shards:
        for group, level in worst_levels(shard.columns, shard.labels.risk).items():
            worst[group] = max(worst.get(group, -1), level)
        if split == "time":
            seconds.append(shard.columns.time_seconds)
            intervals.append(shard.columns.interval_seconds)
    try:
        if split == "time":
            return Assignment({}, assign_by_time(Times(np.concatenate(seconds), np.concatenate(intervals))), previous)
        groups = assign_splits(worst, seed=seed, previous=previous)
    except (TooFewGroups, ValueError) as refused:
        raise UnusableInput(str(refused)) from refused
    return Assignment(groups, None, {**previous, **groups})


def as_table(shard: Engineered) -> pd.DataFrame:
    """Rows of features.csv: device_id, timestamp, the 25 columns unscaled (NaN empty), then the labels."""
    columns, labels = shard.columns, shard.labels
    table = pd.DataFrame(shard.features, columns=list(FEATURE_NAMES))
    table.insert(0, "device_id", columns.device_ids())
    table.insert(1, "timestamp", columns.timestamps())
    table["risk_level"] = pd.array([(*RISK_LEVELS, None)[level] for level in labels.risk.tolist()], dtype="str")
    table["performance_score"] = labels.score
    table["label_source"] = pd.array([(*LABEL_SOURCES, None)[source] for source in labels.source.tolist()], dtype="str")
    return table


def append_splits(
    grown: GrowingArrays, shard: Engineered, rows: Rows, device_classes: Sequence[str], foretold: Foretold
) -> None:
    """Each split's labelled rows to the arrays that will be its columnar file, and their features unrounded."""
    columns, labels = shard.columns, shard.labels
    class_place = np.array([*map(device_classes.index, columns.device_classes), -1], np.int32)
    persistence_risk, persistence_score = persistence(columns)
    oracle_risk, oracle_score = foretold_of(columns, foretold)
    arrays: dict[str, npt.NDArray[Any]] = {
        "X": shard.features.astype(np.float32),
        "risk": labels.risk,
        "score": labels.score.astype(np.float32),
        "device": columns.device + np.int32(shard.first_device),
        "time": columns.time_seconds,
        "persistence_risk": persistence_risk.astype(np.int8),
        "persistence_score": persistence_score.astype(np.float32),
        "device_class": class_place[columns.device_class],
        "workload": columns.workload_type,
        "breach": breaches(columns),
        "oracle_risk": oracle_risk,
        "oracle_score": oracle_score,
        UNROUNDED: shard.features,
    }
    for name, mask in rows.items():
        for field, values in arrays.items():
            grown.append(f"{name}-{field}", values[mask])


def write_splits(folder: Path, grown: GrowingArrays, shards: Shards) -> None:
    """Each split's columnar file, array by array from the grown ones."""
    folder.mkdir(exist_ok=True)
    names: dict[str, Any] = {
        "devices": np.array(shards.devices, np.str_),
        "device_classes": np.array(shards.device_classes, np.str_),
    }
    for name in SPLITS:
        fields = [field.name for field in dataclasses.fields(Split) if field.name not in names]
        Split(**names, **{field: grown.read(f"{name}-{field}") for field in fields}).write(folder / f"{name}.npz")


def foretold_of(columns: InsightColumns, foretold: Foretold) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """The oracle's level and score of each row, looked up among the shard's devices alone."""
    here = np.isin(np.array(foretold.devices, np.str_), np.array(columns.devices, np.str_))
    return foretold.take(here[foretold.device]).of(columns)


def empty_counts(devices: int) -> dict[str, Any]:
    return {
        "rows": 0,
        "devices": devices,
        "labelled": 0,
        "levels": dict.fromkeys(RISK_LEVELS, 0),
        "splits": dict.fromkeys(SPLITS, 0),
    }


def count(counted: dict[str, Any], shard: Engineered, rows: Rows) -> None:
    """Adds a shard's rows, and its labelled rows by level and by split (those with a risk level)."""
    labelled = shard.labels.risk >= 0
    counted["rows"] += len(labelled)
    counted["labelled"] += int(labelled.sum())
    for level, name in enumerate(RISK_LEVELS):
        counted["levels"][name] += int((shard.labels.risk == level).sum())
    for name, mask in rows.items():
        counted["splits"][name] += int((labelled & mask).sum())


def _previous(folder: Path | None) -> dict[str, str]:
    """Which group was in which split before; nothing where there was no run before."""
    path = folder / "splits.json" if folder else None
    if path is None or not path.is_file():
        return {}
    memory: object = read_json(path)
    if not isinstance(memory, dict) or not all(isinstance(split, str) for split in memory.values()):
        raise UnusableInput(
            f"{path} is no memory of splits (an object of group: split); give an earlier run's, or none"
        )
    return memory


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
