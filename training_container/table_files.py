"""engineer's tables for people, appended shard by shard: features with every row, and one per split with some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from training_container.errors import UnusableInput

TABLE_NAMES: Final = {"train": "train", "validation": "val", "calibration": "calibration", "test": "test"}
ROWS_FORMATTED: Final = 10_000  # rows that stand in memory as text

Append = Callable[[pd.DataFrame, Mapping[str, npt.NDArray[np.bool_]]], None]
"""Takes a table, whose rows all go to `features`, and for each split the mask of those that go to its file as well."""


@contextmanager
def open_tables(folder: Path, table_format: str) -> Iterator[Append]:
    """The five files, csv or parquet; UnusableInput where the library for it is missing."""
    with ExitStack() as files:
        yield (_csv if table_format == "csv" else _parquet)(folder, files)


def _csv(folder: Path, files: ExitStack) -> Append:
    def opened(name: str) -> Any:
        return files.enter_context((folder / f"{name}.csv").open("w", encoding="utf-8", newline=""))

    whole, parts = opened("features"), {split: opened(name) for split, name in TABLE_NAMES.items()}
    has_header = False

    def append(table: pd.DataFrame, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        nonlocal has_header
        for file in () if has_header else (whole, *parts.values()):
            file.write(",".join(table.columns) + "\n")
        has_header = True
        for begin in range(0, len(table), ROWS_FORMATTED):
            # Formatting is what costs, so that a row is formatted once for both files. No cell holds a line end.
            block = table[begin : begin + ROWS_FORMATTED].to_csv(index=False, header=False, lineterminator="\n")
            whole.write(block)
            lines = block.split("\n")
            for split, file in parts.items():
                chosen = np.flatnonzero(masks[split][begin : begin + ROWS_FORMATTED])
                file.writelines(f"{lines[row]}\n" for row in chosen.tolist())

    return append


def _parquet(folder: Path, files: ExitStack) -> Append:
    try:
        import pyarrow  # type: ignore[import-not-found]
        from pyarrow import parquet  # type: ignore[import-not-found]
    except ImportError as missing:
        raise UnusableInput(
            f"--format parquet needs pyarrow: pip install pyarrow, or take --format csv ({missing})"
        ) from None
    writers: dict[str, Any] = {}

    def write(name: str, table: pd.DataFrame) -> None:
        rows = pyarrow.Table.from_pandas(table, preserve_index=False)
        if name not in writers:
            writers[name] = files.enter_context(parquet.ParquetWriter(folder / f"{name}.parquet", rows.schema))
        writers[name].write_table(rows)

    def append(table: pd.DataFrame, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        write("features", table)
        for split, name in TABLE_NAMES.items():
            write(name, table[masks[split]])

    return append
