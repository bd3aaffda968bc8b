"""engineer's tables for people, appended shard by shard: features with every row, and one per split with some."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from insights.columns import Floats
from insights.feature_table import FEATURE_NAMES
from training_container.errors import UnusableInput

TABLE_NAMES: Final = {"train": "train", "validation": "val", "calibration": "calibration", "test": "test"}
HEADER: Final = ("device_id", "timestamp", *FEATURE_NAMES, "risk_level", "performance_score", "label_source")
ROWS_FORMATTED: Final = 10_000  # rows that stand in memory as text


class Table(NamedTuple):
    """Rows of the tables, in the header's order: features and score are NaN where unknown, texts None."""

    device_ids: Sequence[str]
    timestamps: Sequence[str]
    features: Floats
    risk_levels: Sequence[str | None]
    scores: Floats
    label_sources: Sequence[str | None]


Append = Callable[[Table, Mapping[str, npt.NDArray[np.bool_]]], None]
"""Takes a table, whose rows all go to `features`, and for each split the mask of those that go to its file as well."""


@contextmanager
def open_tables(folder: Path, table_format: str) -> Iterator[Append]:
    """The five files, csv or parquet; UnusableInput where the library for it is missing."""
    with ExitStack() as files:
        yield (_csv if table_format == "csv" else _parquet)(folder, files)


def _csv(folder: Path, files: ExitStack) -> Append:
    def opened(name: str) -> Any:
        file = files.enter_context((folder / f"{name}.csv").open("w", encoding="utf-8", newline=""))
        file.write(",".join(HEADER) + "\n")
        return file

    whole, parts = opened("features"), {split: opened(name) for split, name in TABLE_NAMES.items()}

    def append(table: Table, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        for begin in range(0, len(table.device_ids), ROWS_FORMATTED):
            # Formatting is what costs, so that a row is formatted once for both files.
            lines = _csv_lines(table, slice(begin, begin + ROWS_FORMATTED))
            whole.writelines(lines)
            for split, file in parts.items():
                file.writelines(lines[row] for row in np.flatnonzero(masks[split][begin : begin + len(lines)]).tolist())

    return append


def _csv_lines(table: Table, rows: slice) -> list[str]:
    """Numbers in the shortest form that reads back equal, as Python and pandas write them; NaN and None are empty."""
    columns = (
        table.device_ids[rows],
        table.timestamps[rows],
        *_cells(table.features[rows]).T.tolist(),
        table.risk_levels[rows],
        _cells(table.scores[rows]).tolist(),
        table.label_sources[rows],
    )
    lines = _Lines()
    csv.writer(lines, lineterminator="\n").writerows(zip(*columns, strict=True))
    return lines


class _Lines(list[str]):
    """What csv takes for a file."""

    def write(self, line: str) -> None:
        self.append(line)


def _cells(values: Floats) -> npt.NDArray[Any]:
    cells = values.astype(object)
    cells[np.isnan(values)] = None
    return cells


def _parquet(folder: Path, files: ExitStack) -> Append:
    try:
        import pyarrow  # type: ignore[import-not-found]
        from pyarrow import parquet  # type: ignore[import-not-found]
    except ImportError as missing:
        raise UnusableInput(
            f"--tables parquet needs pyarrow: pip install pyarrow, or take --tables csv ({missing})"
        ) from None
    writers: dict[str, Any] = {}

    def write(name: str, table: Any) -> None:
        rows = pyarrow.Table.from_pandas(table, preserve_index=False)
        if name not in writers:
            writers[name] = files.enter_context(parquet.ParquetWriter(folder / f"{name}.parquet", rows.schema))
        writers[name].write_table(rows)

    def append(table: Table, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        frame = _as_frame(table)
        write("features", frame)
        for split, name in TABLE_NAMES.items():
            write(name, frame[masks[split]])

    return append


def _as_frame(table: Table) -> Any:
    import pandas as pd

    frame = pd.DataFrame(table.features, columns=list(FEATURE_NAMES))
    frame.insert(0, "device_id", table.device_ids)
    frame.insert(1, "timestamp", table.timestamps)
    frame["risk_level"] = pd.array(table.risk_levels, dtype="str")
    frame["performance_score"] = table.scores
    frame["label_source"] = pd.array(table.label_sources, dtype="str")
    return frame
