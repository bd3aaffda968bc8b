"""Files of any columns: JSON lines, a JSON array, CSV or Parquet, each row's values by a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from collectors.mapping import ColumnMapping, not_an_object
from insights.files import RawRecord, UnreadableFile, open_text, parse_records
from insights.schema import InvalidInsight

PARQUET_MAGIC: Final = b"PAR1"
ROWS_AT_ONCE: Final = 10_000


class PyarrowMissing(RuntimeError):
    """Parquet is read by pyarrow, which nothing else here needs (171 MB installed)."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is Parquet, which pyarrow reads; install it beside the collectors: pip install pyarrow"
        )


def table_records(path: Path, mapping: ColumnMapping) -> Iterator[RawRecord | InvalidInsight]:
    """The values of each row, or its refusal. A column of the mapping that no row has is the whole file's refusal, at its
    end: such a mapping would leave the field null without a word."""
    seen: set[str] = set()
    rows = 0
    for record in _parquet(path) if _is_parquet(path) else _text(path, mapping):
        rows += 1
        if isinstance(record, InvalidInsight):
            yield record
        elif not isinstance(record.value, Mapping):
            yield not_an_object(record.value, record.name)
        else:
            seen |= record.value.keys()
            yield _mapped(record, mapping)
    absent = [column for column in mapping.columns if column not in seen]
    if rows and absent:
        raise UnreadableFile(
            str(path), f"none of its {rows} rows has the column {absent[0]!r}", "correct the mapping that names it"
        )


def _mapped(record: RawRecord, mapping: ColumnMapping) -> RawRecord | InvalidInsight:
    try:
        return RawRecord(record.name, mapping.values(record.value, name=record.name))
    except InvalidInsight as refusal:
        return refusal


def _text(path: Path, mapping: ColumnMapping) -> Iterator[RawRecord | InvalidInsight]:
    with open_text(path) as stream:
        yield from parse_records(stream, source=str(path), columns=sorted(mapping.known()))


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError as error:
        raise UnreadableFile(str(path), str(error)) from error


def _parquet(path: Path) -> Iterator[RawRecord]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise PyarrowMissing(path) from error
    try:
        file = parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            for value in batch.to_pylist():
                number += 1
                yield RawRecord(f"row {number} of {path}", _plain(value))
    except (ArrowInvalid, OSError) as error:
        raise UnreadableFile(str(path), f"its Parquet is broken ({error})", "give the whole file again") from error


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: cell.decode(errors="replace") if isinstance(cell, bytes) else cell for column, cell in row.items()}
