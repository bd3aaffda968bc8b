"""A DynamoDB table of pages on disk: what BatchWriteItem was given, answered by Scan as it comes over the wire.

A page is the JSON of DynamoDB's answer and goes through botocore's own parser, which is a good part of what a scan costs
its caller. Rows of a device stand together, as in a partition, in the order in which they came.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import botocore.session
from botocore.parsers import create_parser

PAGE_BYTES = 1024 * 1024  # of items, as DynamoDB counts them ("Working with scans")
KEY = ("device_id", "timestamp")


class PagedTable:
    def __init__(self, folder: Path, *, segments: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open: list[_Page] = [_Page() for _ in range(segments)]
        self._pages = [0] * segments
        model = botocore.session.get_session().get_service_model("dynamodb")
        self._shape = model.operation_model("Scan").output_shape
        self._parser = create_parser("json")
        self._served: dict[tuple[int, str, str], int] = {}

    def batch_write_item(self, *, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        for requests in RequestItems.values():
            for request in requests:
                self._put(request["PutRequest"]["Item"])
        return {"UnprocessedItems": {}}

    def close(self) -> None:
        """Writes the last pages; nothing is put after it."""
        for segment in range(len(self._open)):
            self._write(segment)
        (self._folder / "pages.json").write_text(json.dumps(self._pages))

    @classmethod
    def opened(cls, folder: Path) -> PagedTable:
        pages = json.loads((folder / "pages.json").read_text())
        table = cls(folder, segments=len(pages))
        table._pages = pages
        return table

    def scan(self, *, Segment: int, ExclusiveStartKey: Any = None, **_: Any) -> dict[str, Any]:
        """Whatever the filter is, all rows pass it: the table holds one fleet."""
        number, text = (0, None) if ExclusiveStartKey is None else self._behind(Segment, ExclusiveStartKey)
        if self._pages[Segment] == 0:
            text = b'{"Items": []}'
        answer = {"body": text or self._page(Segment, number), "headers": {}, "status_code": 200}
        page: dict[str, Any] = self._parser.parse(answer, self._shape)
        if number + 1 < self._pages[Segment]:
            last = page["Items"][-1]
            page["LastEvaluatedKey"] = {name: last[name] for name in KEY}
            self._served[Segment, last[KEY[0]]["S"], last[KEY[1]]["S"]] = number
        return page

    def _put(self, item: dict[str, Any]) -> None:
        segment = zlib.crc32(item["device_id"]["S"].encode()) % len(self._open)
        page = self._open[segment]
        page.items.append(item)
        page.size_bytes += sum(len(name) + len(str(*value.values())) for name, value in item.items())
        if page.size_bytes >= PAGE_BYTES:
            self._write(segment)

    def _write(self, segment: int) -> None:
        page, self._open[segment] = self._open[segment], _Page()
        if page.items:
            text = json.dumps({"Items": page.items, "Count": len(page.items), "ScannedCount": len(page.items)})
            self._path(segment, self._pages[segment]).write_text(text)
            self._pages[segment] += 1

    def _behind(self, segment: int, key: Any) -> tuple[int, bytes | None]:
        """The page that begins behind a key; where that is in a page's middle, its number and what is left of it."""
        device, moment = (key[name]["S"] for name in KEY)
        if (segment, device, moment) in self._served:
            return self._served[segment, device, moment] + 1, None
        for number in range(self._pages[segment]):
            page = json.loads(self._page(segment, number))
            for place, item in enumerate(page["Items"]):
                if (item[KEY[0]]["S"], item[KEY[1]]["S"]) == (device, moment):
                    return number, json.dumps({"Items": page["Items"][place + 1 :]}).encode()
        raise LookupError(f"segment {segment} has no row {device} {moment}")

    def _page(self, segment: int, number: int) -> bytes:
        return self._path(segment, number).read_bytes()

    def _path(self, segment: int, number: int) -> Path:
        return self._folder / f"{segment:04d}-{number:06d}.json"


class _Page:
    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.size_bytes = 0
