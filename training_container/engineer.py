"""engineer: insights to features, labels, splits and statistics; everything a training reads, and files for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
from training_container.sagemaker_contract import read_json
from training_container.split_file import Split

NOT_INSIGHTS = ("manifest.json", "splits.json", "training-stats.json")
BESIDE_FOLDERS = frozenset({"parts", "generated"})
INSIGHT_ENDINGS = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz")
CSV_NAMES = {"train": "train", "validation": "val", "calibration": "calibration", "test": "test"}


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
    """Read every insight of a file or folder and write the features folder; raises UnusableInput with the true reason."""
    columns = read_columns(source)
    labelled = choose_labels(columns, labels)
    features = compute_features(columns)
    check_size(columns, features)
    row_split, memory = assign_rows(columns, labelled, split, _previous(previous), seed)
    output.mkdir(parents=True, exist_ok=True)
    table = as_table(columns, features, labelled)
    write_table(table, output / "features", table_format)
    write_splits(output, columns, features, labelled, row_split, table, table_format, find_foretold(source))
    _write_json(output / "splits.json", memory)
    _write_json(output / "engineer.json", counts(columns, labelled, row_split))
    train_rows = features[(row_split == "train") & (labelled.source >= 0)]
    if len(train_rows) == 0:
        raise UnusableInput("no row of the training split has a label; the source needs longer histories or labels")
    _write_json(output / "feature-statistics.json", feature_statistics(train_rows))
    _write_json(output / "preprocessing.json", Preprocessing.fit(train_rows).to_json())
    print(json.dumps(counts(columns, labelled, row_split)), flush=True)


def read_columns(source: Path) -> InsightColumns:
    """The insights of a file, or of every insight file below a folder, as columns; a bad record is refused by name."""
    files = [source] if source.is_file() else sorted(insight_files(source))
    if not files:
        raise UnusableInput(f"{source} holds no insight file; accepted are {', '.join(INSIGHT_ENDINGS)}")
    try:
        columns = InsightColumns.concatenate(
            [InsightColumns.from_insights(list(read_insights(file))) for file in files]
        )
    except (InvalidInsight, UnreadableFile) as refused:
        raise UnusableInput(str(refused)) from refused
    if len(columns) == 0:
        raise UnusableInput(f"{source} holds no insight; load insights into the table, or give a source that has some")
    return columns


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


def choose_labels(columns: InsightColumns, labels: str) -> Labels:
    """What the source brings; hindsight where it brings none at all, or where it was asked for."""
    given = given_labels(columns)
    brings_some = bool((given.source >= 0).any())
    return given if labels == "given" and brings_some else label(columns)


def assign_rows(
    columns: InsightColumns, labels: Labels, split: str, previous: Mapping[str, str], seed: int
) -> tuple[npt.NDArray[np.str_], dict[str, str]]:
    """The split of each row ("" none) and the memory of which group is in which split."""
    try:
        if split == "time":
            return assign_by_time(columns), dict(previous)
        chosen = assign_splits(worst_levels(columns, labels.risk), seed=seed, previous=previous)
    except (TooFewGroups, ValueError) as refused:
        raise UnusableInput(str(refused)) from refused
    return rows_of(columns, chosen), {**previous, **chosen}


def as_table(columns: InsightColumns, features: npt.NDArray[np.float64], labels: Labels) -> pd.DataFrame:
    """features.csv: device_id, timestamp, the 25 columns unscaled (NaN empty), then the labels."""
    table = pd.DataFrame(features, columns=list(FEATURE_NAMES))
    table.insert(0, "device_id", columns.device_ids())
    table.insert(1, "timestamp", columns.timestamps())
    table["risk_level"] = [RISK_LEVELS[level] if level >= 0 else None for level in labels.risk.tolist()]
    table["performance_score"] = labels.score
    table["label_source"] = [LABEL_SOURCES[source] if source >= 0 else None for source in labels.source.tolist()]
    return table


def check_size(columns: InsightColumns, features: npt.NDArray[np.float64]) -> None:
    """Refuses a row whose features pass what the trees compare in (float32): a rate over a latency near nothing."""
    rows, names = np.nonzero(np.abs(features) > np.finfo(np.float32).max)
    if len(rows):
        row, name = int(rows[0]), FEATURE_NAMES[int(names[0])]
        raise UnusableInput(
            f"insight of device {columns.devices[columns.device[row]]!r} at {columns.take(rows[:1]).timestamps()[0]}: "
            f"it gives {name} = {features[row, names[0]]:g}, beyond any device; correct it at its source or leave it out"
        )


def write_splits(
    output: Path,
    columns: InsightColumns,
    features: npt.NDArray[np.float64],
    labels: Labels,
    row_split: npt.NDArray[np.str_],
    table: pd.DataFrame,
    table_format: str,
    foretold: Foretold,
) -> None:
    """Each split's labelled rows as a file for people and as columns for training."""
    (output / "columnar").mkdir(exist_ok=True)
    naive_risk, naive_score = persistence(columns)
    above_slo = breaches(columns)
    oracle_risk, oracle_score = foretold.of(columns)
    for name in SPLITS:
        rows = (row_split == name) & (labels.source >= 0)
        Split(
            X=features[rows].astype(np.float32),
            risk=labels.risk[rows],
            score=labels.score[rows].astype(np.float32),
            device=columns.device[rows],
            devices=np.array(columns.devices, np.str_),
            time=columns.time_seconds[rows],
            persistence_risk=naive_risk[rows].astype(np.int8),
            persistence_score=naive_score[rows].astype(np.float32),
            device_class=columns.device_class[rows],
            device_classes=np.array(columns.device_classes, np.str_),
            workload=columns.workload_type[rows],
            breach=above_slo[rows],
            oracle_risk=oracle_risk[rows],
            oracle_score=oracle_score[rows],
        ).write(output / "columnar" / f"{name}.npz")
        write_table(table[rows], output / CSV_NAMES[name], table_format)


def write_table(table: pd.DataFrame, path: Path, table_format: str) -> None:
    if table_format == "csv":
        table.to_csv(path.with_name(f"{path.name}.csv"), index=False)
        return
    try:
        table.to_parquet(path.with_name(f"{path.name}.parquet"), index=False)
    except ImportError as missing:
        raise UnusableInput(
            f"--format parquet needs pyarrow: pip install pyarrow, or take --format csv ({missing})"
        ) from None


def counts(columns: InsightColumns, labels: Labels, row_split: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Rows, devices, and labelled rows by level and by split."""
    levels = Counter(labels.risk.tolist())
    labelled = labels.risk >= 0
    return {
        "rows": len(columns),
        "devices": len(columns.devices),
        "labelled": int(labelled.sum()),
        "levels": {name: levels.get(index, 0) for index, name in enumerate(RISK_LEVELS)},
        "splits": {name: int((labelled & (row_split == name)).sum()) for name in SPLITS},
    }


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
