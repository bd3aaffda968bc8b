"""DynamoDB tables whose scans come from files, through a real client: botocore sends, and gets the page's bytes as from the
wire, so that what a client costs its caller is in every measurement.

Rows of a device stand together, as in a partition, in the order in which they came.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from botocore.awsrequest import AWSResponse

PAGE_BYTES = 1024 * 1024  # of items, as DynamoDB counts them ("Working with scans")
PAGE_ROWS = 2000  # about as many of the fleet's insights
KEY = ("device_id", "timestamp")
Item = dict[str, dict[str, Any]]
_EVENT = "before-send.dynamodb.Scan"


class Pages(Protocol):
    def page_behind(self, segment: int, key: Item | None) -> tuple[list[Item], bool]:
        """The items that follow a key (None: from the beginning), and whether there are more."""


def answering(client: Any, pages: Pages) -> Any:
    """The DynamoDB client with its scans answered by `pages`; whatever the filter is, all rows pass it."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked = json.loads(request.body)
        items, goes_on = pages.page_behind(asked["Segment"], asked.get("ExclusiveStartKey"))
        last = {"LastEvaluatedKey": {name: items[-1][name] for name in KEY}} if goes_on else {}
        text = json.dumps({"Items": items, "Count": len(items), "ScannedCount": len(items), **last})
        return AWSResponse(request.url, 200, {}, _Raw(text.encode()))

    client.meta.events.unregister(_EVENT, unique_id=_EVENT)  # a client may be asked again, of other pages
    client.meta.events.register(_EVENT, answer, unique_id=_EVENT)
    return client


class StoredTable:
    """A table on disk: BatchWriteItem writes it, by segments."""

    def __init__(self, folder: Path, *, segments: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open: list[list[Item]] = [[] for _ in range(segments)]
        self._open_bytes = [0] * segments
        self._pages = [0] * segments
        self._numbers: dict[tuple[int, str, str], int] = {}
        self.item_bytes = 0

    def batch_write_item(self, *, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        for requests in RequestItems.values():
            for request in requests:
                self._put(request["PutRequest"]["Item"])
        return {"UnprocessedItems": {}}

    def close(self) -> None:
        """Writes the last pages; nothing is put after it."""
        for segment in range(len(self._open)):
            self._write(segment)
        (self._folder / "table.json").write_text(json.dumps({"pages": self._pages, "item_bytes": self.item_bytes}))

    @classmethod
    def opened(cls, folder: Path) -> StoredTable:
        told = json.loads((folder / "table.json").read_text())
        table = cls(folder, segments=len(told["pages"]))
        table._pages, table.item_bytes = told["pages"], told["item_bytes"]
        return table

    def page_behind(self, segment: int, key: Item | None) -> tuple[list[Item], bool]:
        number, items = self._behind(segment, key)
        if items:
            last = items[-1]
            self._numbers[segment, last[KEY[0]]["S"], last[KEY[1]]["S"]] = number
        return items, number + 1 < self._pages[segment]

    def _behind(self, segment: int, key: Item | None) -> tuple[int, list[Item]]:
        if key is None:
            return 0, self._page(segment, 0)
        device, moment = (key[name]["S"] for name in KEY)
        if (segment, device, moment) in self._numbers:
            number = self._numbers[segment, device, moment] + 1
            return number, self._page(segment, number)
        for number in range(self._pages[segment]):
            items = self._page(segment, number)
            for place, item in enumerate(items):
                if (item[KEY[0]]["S"], item[KEY[1]]["S"]) == (device, moment):
                    return number, items[place + 1 :]
        raise LookupError(f"segment {segment} has no row {device} {moment}")

    def _put(self, item: Item) -> None:
        segment = zlib.crc32(item["device_id"]["S"].encode()) % len(self._open)
        size = sum(len(name) + len(str(*value.values())) for name, value in item.items())
        self._open[segment].append(item)
        self._open_bytes[segment] += size
        self.item_bytes += size
        if self._open_bytes[segment] >= PAGE_BYTES:
            self._write(segment)

    def _write(self, segment: int) -> None:
        if self._open[segment]:
            self._path(segment, self._pages[segment]).write_text(json.dumps(self._open[segment]))
            self._pages[segment] += 1
        self._open[segment], self._open_bytes[segment] = [], 0

    def _page(self, segment: int, number: int) -> list[Item]:
        items: list[Item] = json.loads(self._path(segment, number).read_bytes()) if self._pages[segment] else []
        return items

    def _path(self, segment: int, number: int) -> Path:
        return self._folder / f"{segment:04d}-{number:06d}.json"


class GeneratedTable:
    """One segment that holds what the generator wrote, read once from its files and never stored."""

    def __init__(self, folder: Path) -> None:
        self._items = _items_of(folder)
        self._ahead = list(islice(self._items, 1))
        self._last: Item | None = None

    def page_behind(self, segment: int, key: Item | None) -> tuple[list[Item], bool]:
        """Pages follow each other: an invocation that ran out of time is not part of this measurement."""
        if segment or key != self._last:
            raise LookupError(f"this table is read once, from its beginning to its end; asked for {key}")
        items = [*self._ahead, *islice(self._items, PAGE_ROWS - 1)]
        self._ahead = list(islice(self._items, 1))
        self._last = {name: items[-1][name] for name in KEY} if self._ahead else None
        return items, bool(self._ahead)


def _items_of(folder: Path) -> Iterator[Item]:
    """As InsightWriter would have put them."""
    for path in sorted(folder.glob("part-*.json")):
        with path.open() as lines:
            for line in lines:
                text = line.strip().removesuffix(",")
                if text not in {"[", "]", ""}:
                    yield {name: _attribute(value) for name, value in json.loads(text).items() if value is not None}


def _attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": repr(value)}


class _Raw(BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()
