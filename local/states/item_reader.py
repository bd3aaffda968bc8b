"""ItemReader: the dataset of a Distributed Map in S3, read in the role's name."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.states.integrations import failed

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


class Reader:
    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def read(self, reader: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Any]:
        """Every item; a refusal or a missing object is States.ItemReaderFailed."""
        config = reader.get("ReaderConfig") or {}
        try:
            if str(reader["Resource"]).endswith("s3:listObjectsV2"):
                found = list(self._objects(arguments))
            else:
                found = self._parsed(self._text(**arguments), config)
        except (ClientError, ValueError, KeyError) as error:
            raise failed("States.ItemReaderFailed", f"{error}") from error
        most = int(config.get("MaxItems") or 0)
        return found[:most] if most else found

    def _objects(self, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(**arguments):
            for entry in page.get("Contents", []):
                yield {
                    "Etag": entry["ETag"],
                    "Key": entry["Key"],
                    "LastModified": int(entry["LastModified"].timestamp()),
                    "Size": entry["Size"],
                    "StorageClass": entry.get("StorageClass", "STANDARD"),
                }

    def _text(self, **arguments: Any) -> str:
        body: bytes = self._s3.get_object(**arguments)["Body"].read()
        return (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode()

    def _parsed(self, text: str, config: Mapping[str, Any]) -> list[Any]:
        kind = config.get("InputType", "JSON")
        if kind == "JSONL":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        if kind == "CSV":
            return _csv_rows(text, config)
        if kind == "MANIFEST":
            return list(self._inventory(json.loads(text)))
        found = json.loads(text)
        for step in filter(None, str(config.get("ItemsPointer", "")).split("/")):
            found = found[int(step)] if isinstance(found, list) else found[step]
        if not isinstance(found, list):
            raise ValueError("the dataset is no JSON array")
        return found

    def _inventory(self, manifest: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """An S3 Inventory in CSV: its files have no header, the manifest names their columns."""
        if manifest["fileFormat"] != "CSV":
            raise ValueError(f"an inventory in {manifest['fileFormat']} is not read; Step Functions reads CSV")
        columns = [name.strip() for name in manifest["fileSchema"].split(",")]
        bucket = manifest["destinationBucket"].rpartition(":")[2]
        for file in manifest["files"]:
            for row in csv.reader(io.StringIO(self._text(Bucket=bucket, Key=file["key"]))):
                yield dict(zip(columns, row, strict=False))


def _csv_rows(text: str, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Missing fields are empty, further ones are left out."""
    rows = list(csv.reader(io.StringIO(text), delimiter=DELIMITERS[config.get("CSVDelimiter", "COMMA")]))
    if config.get("CSVHeaderLocation") == "GIVEN":
        header = list(config["CSVHeaders"])
    else:
        header, rows = (rows[0], rows[1:]) if rows else ([], [])
    return [{name: row[place] if place < len(row) else "" for place, name in enumerate(header)} for row in rows if row]
