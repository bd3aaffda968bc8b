"""Files of insights: JSON lines, a JSON array or CSV, plain or gzip, told apart by content, never by name."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TextIO, cast

from insights.schema import CSV_COLUMNS, REQUIRED_FIELDS, WHOLE_RECORD, Insight, InvalidInsight, values_of_cells

OnInvalid = Callable[[InvalidInsight], None]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of a file before anything is made of it: where it stands, and its parsed value (a CSV row: texts)."""

    name: str
    value: Any


_GZIP_MAGIC: Final = b"\x1f\x8b"
_FOREIGN: Final = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_ACCEPTED: Final = "give JSON lines, a JSON array or CSV with a header, as UTF-8, plain or gzip"
_DELIMITERS: Final = (",", ";", "\t", "|")
_CHUNK: Final = 1 << 16
_LONGEST_RECORD: Final = 1 << 20
_DECODER: Final = json.JSONDecoder()


class UnreadableFile(ValueError):
    """A file that cannot be read as insights at all; the message names the file, the reason and the remedy."""

    def __init__(self, source: str, reason: str, remedy: str = _ACCEPTED) -> None:
        reason = reason if len(reason) <= 300 else reason[:297] + "..."
        super().__init__(f"{source}: {reason}; {remedy}")
        self.source = source
        self.reason = reason
        self.remedy = remedy


def read_insights(path: str | Path, *, on_invalid: OnInvalid | None = None) -> Iterator[Insight]:
    """The insights of a file in its order; a bad record goes to `on_invalid`, or raises InvalidInsight without one."""
    with open_text(path) as text:
        yield from parse_insights(text, source=str(path), on_invalid=on_invalid)


def parse_insights(stream: TextIO, *, source: str, on_invalid: OnInvalid | None = None) -> Iterator[Insight]:
    """The same from an open text stream (read once, never rewound); `source` names it in refusals."""
    for record in parse_records(stream, source=source):
        try:
            if isinstance(record, InvalidInsight):
                raise record
            insight = Insight.from_json(record.value, record=record.name)
        except InvalidInsight as refusal:
            if on_invalid is None:
                raise
            on_invalid(refusal)
        else:
            yield insight


def parse_records(
    stream: TextIO, *, source: str, columns: Collection[str] | None = None
) -> Iterator[RawRecord | InvalidInsight]:
    """The records of a text stream as they stand; what is no record at all is a refusal in its place.

    Without `columns` a CSV file must have an insight's own, and its cells become the values of their fields; with the names
    of foreign ones (at least one of which tells the delimiter) any header is read, and a row's value is its cells' texts.
    """
    try:
        line, skipped = _first_line(stream)
        if line.startswith("["):
            yield from _from_array(itertools.chain([line], _chunks(stream)), source)
        elif line.startswith("{"):
            yield from _from_json_lines(_rest_of_lines(line, stream), source, skipped)
        elif line:
            yield from _from_csv(_rest_of_lines(line, stream), source, skipped, columns)
        else:
            raise UnreadableFile(source, "it is empty")
    except UnicodeDecodeError as error:
        raise UnreadableFile(source, f"it is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except (EOFError, zlib.error) as error:
        raise UnreadableFile(source, f"its gzip stream is broken ({error})", "give the whole file again") from error


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """A file's text, plain or gzip by its first bytes; UnreadableFile where it cannot be opened or is another kind."""
    source = str(path)
    try:
        with Path(path).open("rb") as raw:
            head = raw.read(8)
            raw.seek(0)
            _refuse_foreign(source, head)
            plain = gzip.GzipFile(fileobj=raw) if head.startswith(_GZIP_MAGIC) else raw
            yield io.TextIOWrapper(cast(IO[bytes], plain), encoding="utf-8-sig", newline="")
    except OSError as error:  # also gzip.BadGzipFile
        raise UnreadableFile(source, str(error)) from error


def refusal_line(refusal: InvalidInsight) -> str:
    """A refused row as a line of a quarantine file or object."""
    line = {"record": refusal.record, "field": refusal.field, "value": refusal.value, "reason": str(refusal)}
    return json.dumps(line, default=str) + "\n"


def write_json(path: str | Path, insights: Iterable[Insight]) -> int:
    """A JSON array, one insight per line (gzip if the name ends in .gz); returns the number written."""
    with _writer(path) as stream:
        count = 0
        for count, insight in enumerate(insights, start=1):
            stream.write("[\n" if count == 1 else ",\n")
            stream.write(_json_text(insight))
        stream.write("\n]\n" if count else "[]\n")
    return count


def write_json_lines(path: str | Path, insights: Iterable[Insight]) -> int:
    """One insight per line (gzip if the name ends in .gz); returns the number written."""
    with _writer(path) as stream:
        return sum(1 for insight in insights if stream.write(_json_text(insight) + "\n"))


def write_csv(path: str | Path, insights: Iterable[Insight]) -> int:
    """CSV with every column of CSV_COLUMNS (gzip if the name ends in .gz); returns the number written."""
    with _writer(path) as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        return sum(1 for insight in insights if writer.writerow(insight.to_csv()))


def _json_text(insight: Insight) -> str:
    return json.dumps(insight.to_json(), allow_nan=False)


def _writer(path: str | Path) -> TextIO:
    """A text file whose bytes depend on the rows alone: no gzip time stamp or name, no platform line ends."""
    if not str(path).endswith(".gz"):
        return Path(path).open("w", encoding="utf-8", newline="")
    return io.TextIOWrapper(cast(IO[bytes], _PlainGzip(path)), encoding="utf-8", newline="")


class _PlainGzip(gzip.GzipFile):
    def __init__(self, path: str | Path) -> None:
        self._raw = Path(path).open("wb")  # noqa: SIM115 - closed in close()
        super().__init__(filename="", mode="wb", fileobj=self._raw, mtime=0, compresslevel=6)

    def close(self) -> None:
        super().close()
        self._raw.close()


def _refuse_foreign(source: str, head: bytes) -> None:
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise UnreadableFile(source, f"it is {name}, which is not read here")


def _first_line(stream: TextIO) -> tuple[str, int]:
    """The first line that is not blank, without blanks or a byte order mark before it, and how many were skipped."""
    for skipped in itertools.count():
        line = stream.readline()
        text = line.lstrip(" \t\r\n\ufeff") if line.strip(" \t\r\n\ufeff") else ""
        if text or not line:
            return text, skipped
    raise AssertionError


def _chunks(stream: TextIO) -> Iterator[str]:
    return iter(lambda: stream.read(_CHUNK), "")


def _rest_of_lines(line: str, stream: TextIO) -> Iterator[str]:
    return itertools.chain([line], iter(stream.readline, ""))


def _from_json_lines(lines: Iterator[str], source: str, skipped: int) -> Iterator[RawRecord | InvalidInsight]:
    for number, line in enumerate(lines, start=skipped + 1):
        if not line.strip():
            continue
        name = f"line {number} of {source}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"it must be one JSON object on one line ({error})"
            yield InvalidInsight(record=name, field=WHOLE_RECORD, value=line.strip(), rule=reason)
        else:
            yield RawRecord(name, value)


def _from_array(chunks: Iterator[str], source: str) -> Iterator[RawRecord]:
    for number, value in enumerate(_array_values(chunks, source), start=1):
        yield RawRecord(f"record {number} of {source}", value)


def _array_values(chunks: Iterator[str], source: str) -> Iterator[Any]:
    """The elements of a JSON array one by one, so that a large array never stands in memory as objects."""
    buffer, position, expected = next(chunks)[1:], 0, "a record or ]"
    while True:
        while position < len(buffer) and buffer[position] in " \t\r\n":
            position += 1
        if position == len(buffer):
            buffer, position = next(chunks, ""), 0
            if not buffer:
                raise UnreadableFile(source, f"its JSON array ends where {expected} should come (cut off?)")
        elif buffer[position] == "]" and expected != "a record":
            _refuse_tail(buffer[position + 1 :], chunks, source)
            return
        elif expected == ", or ]":
            if buffer[position] != ",":
                raise UnreadableFile(source, f"its JSON array has {buffer[position]!r} where {expected} should come")
            position, expected = position + 1, "a record"
        else:
            value, buffer, position = _next_value(buffer, position, chunks, source)
            yield value
            expected = ", or ]"


def _next_value(buffer: str, position: int, chunks: Iterator[str], source: str) -> tuple[Any, str, int]:
    """The element at a place of the buffer, reading on where it is cut; then the buffer and the place after it."""
    while True:
        try:
            value, end = _DECODER.raw_decode(buffer, position)
            if end < len(buffer):  # a number that touches the end may go on
                return value, buffer, end
            more = next(chunks, "")
            if not more:
                return value, buffer, end
        except (ValueError, RecursionError) as error:
            more = next(chunks, "") if len(buffer) - position < _LONGEST_RECORD else ""
            if not more and position == 0:  # only then does the error count from the record's start
                raise UnreadableFile(source, f"its JSON is broken ({error}) at {buffer[:60]!r}") from error
        buffer, position = buffer[position:] + more, 0


def _refuse_tail(tail: str, chunks: Iterator[str], source: str) -> None:
    for text in itertools.chain([tail], chunks):
        if text.strip():
            raise UnreadableFile(source, f"text follows its JSON array: {text.strip()[:60]!r}")


def _from_csv(
    lines: Iterator[str], source: str, skipped: int, foreign: Collection[str] | None
) -> Iterator[RawRecord | InvalidInsight]:
    columns, delimiter = _header(next(lines), source, foreign)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in rows:
            name = f"line {rows.line_num + skipped + 1} of {source}"
            if not row:
                continue
            if len(row) != len(columns):
                rule = f"it must have one cell per column: {len(columns)}, not {len(row)}"
                yield InvalidInsight(record=name, field=WHOLE_RECORD, value=delimiter.join(row), rule=rule)
                continue
            cells = dict(zip(columns, row, strict=True))
            try:
                yield RawRecord(name, cells if foreign is not None else values_of_cells(cells))
            except InvalidInsight as refusal:
                yield refusal.at(name)
    except csv.Error as error:
        raise UnreadableFile(source, f"its CSV is broken near line {rows.line_num + skipped + 1} ({error})") from error


def _header(line: str, source: str, foreign: Collection[str] | None) -> tuple[list[str], str]:
    """The columns in the file's order and the delimiter, the first of , ; tab | that finds a column's name."""
    known = CSV_COLUMNS if foreign is None else foreign
    for delimiter in _DELIMITERS:
        columns = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        if len(columns) > 1 and set(columns) & set(known):
            break
    else:
        reason = f"it begins with {line.strip()[:60]!r}, neither JSON nor a header of known columns"
        raise UnreadableFile(source, reason, _ACCEPTED if foreign is None else "name its columns in a mapping")
    remedy = f"the columns are {', '.join(known)} (any order)"
    for name in columns:
        if columns.count(name) > 1:
            raise UnreadableFile(source, f"column {name!r} stands twice", remedy)
    if foreign is None:
        _check_own(columns, source, remedy)
    return columns, delimiter


def _check_own(columns: list[str], source: str, remedy: str) -> None:
    for name in columns:
        if name not in CSV_COLUMNS:
            raise UnreadableFile(source, f"unknown column {name!r}", remedy)
    for name in REQUIRED_FIELDS:
        if name not in columns:
            raise UnreadableFile(source, f"missing column {name!r}", remedy)
