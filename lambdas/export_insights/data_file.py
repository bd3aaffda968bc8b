"""One data file of a table's point-in-time export: a gzip of lines {"Item": {...}}, read from its beginning each time.

A gzip cannot be entered in the middle, so one that is handed on is unpacked again up to its line, which costs little
beside reading its rows; and so whoever ends it has seen all of its bytes and can compare their hash.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self, cast

from lambdas.export_insights.scan import Time
from lambdas.export_insights.sources import Item, device_of
from lambdas.export_insights.whole_devices import Position

PAGE_LINES = 2000


class DamagedDataFile(RuntimeError):
    """A data file is not what the export's own manifest says."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key} {problem}; start a new run, which exports the table again")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A line of the export's manifest-files.json."""

    key: str
    item_count: int
    md5: str

    @classmethod
    def from_event(cls, entry: Mapping[str, Any]) -> Self:
        return cls(key=entry["dataFileS3Key"], item_count=int(entry["itemCount"]), md5=entry["md5Checksum"])


class _Hashed(io.RawIOBase):
    """The body as it comes, hashed on its way."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.digest = hashlib.md5(usedforsecurity=False)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._body.read(len(buffer))
        self.digest.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)


class TableFile:
    """The source of one data file."""

    def __init__(self, s3: Any, bucket: str, file: DataFile, *, start: Position, time: Time) -> None:
        self._file = file
        self._time = time
        self._raw = _Hashed(s3.get_object(Bucket=bucket, Key=file.key)["Body"])
        plain = gzip.GzipFile(fileobj=cast(Any, io.BufferedReader(self._raw, 1 << 20)))
        self._stream = io.BufferedReader(cast(Any, plain), 1 << 20)
        self._line = int(start["line"]) if start else 0
        self._page_start = self._line
        self._pages_read = 0
        for _ in islice(self._stream, self._line):
            pass
        self.position = start
        self.last_device = ""
        self.ended = False

    def out_of_time(self) -> bool:
        return self._pages_read > 0 and self._time.is_up()

    def next_page(self) -> list[Item]:
        page: list[Item] = [json.loads(line)["Item"] for line in islice(self._stream, PAGE_LINES)]
        self._pages_read += 1
        self._page_start = self._line
        self._line += len(page)
        self.position = {"line": self._line}
        if page:
            self.last_device = device_of(page[-1])
        else:
            self._check()
            self.ended, self.last_device = True, ""
        return page

    def position_before(self, page: list[Item], index: int) -> Position:
        return {"line": self._page_start + index}

    def _check(self) -> None:
        if self._line != self._file.item_count:
            raise DamagedDataFile(self._file.key, f"holds {self._line} items and not {self._file.item_count}")
        if base64.b64encode(self._raw.digest.digest()).decode() != self._file.md5:
            raise DamagedDataFile(self._file.key, f"has not the MD5 {self._file.md5}")
