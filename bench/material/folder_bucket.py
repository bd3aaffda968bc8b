"""S3's calls that the export makes, over a folder: one bucket, a file per object."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


class FolderBucket:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder.with_name(f"{folder.name}-uploads")

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        self._writable(Key).write_bytes(Body)
        return {}

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        path = self._folder / Key
        if not path.is_file():
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        size = path.stat().st_size
        return {"Body": StreamingBody(path.open("rb"), size), "ContentLength": size}

    def copy_object(self, *, Key: str, CopySource: Any, **_: Any) -> dict[str, Any]:
        source = CopySource["Key"] if isinstance(CopySource, dict) else CopySource.partition("/")[2]
        shutil.copyfile(self._folder / source, self._writable(Key))
        return {}

    def delete_object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        (self._folder / Key).unlink(missing_ok=True)
        return {}

    def delete_objects(self, *, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        for entry in Delete["Objects"]:
            self.delete_object(Key=entry["Key"])
        return {}

    def list_objects_v2(self, *, Prefix: str = "", StartAfter: str = "", **_: Any) -> dict[str, Any]:
        """One page holds all of them."""
        found = [entry for entry in self._below(Prefix) if entry["Key"] > StartAfter]
        return {"KeyCount": len(found), "Contents": found}

    def get_paginator(self, operation: str) -> _OnePage:
        return _OnePage(getattr(self, operation))

    def create_multipart_upload(self, *, Key: str, **_: Any) -> dict[str, Any]:
        self._uploads.mkdir(exist_ok=True)
        (self._uploads / Key.replace("/", "_")).write_bytes(b"")
        return {"UploadId": Key.replace("/", "_")}

    def upload_part(self, *, UploadId: str, Body: bytes, **_: Any) -> dict[str, Any]:
        """Parts come in their order."""
        with (self._uploads / UploadId).open("ab") as file:
            file.write(Body)
        return {"ETag": "part"}

    def complete_multipart_upload(self, *, Key: str, UploadId: str, **_: Any) -> dict[str, Any]:
        shutil.move(self._uploads / UploadId, self._writable(Key))
        return {}

    def abort_multipart_upload(self, *, UploadId: str, **_: Any) -> dict[str, Any]:
        (self._uploads / UploadId).unlink(missing_ok=True)
        return {}

    def _writable(self, key: str) -> Path:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _below(self, prefix: str) -> list[dict[str, Any]]:
        """Sorted as S3 does, by the whole key."""
        root = (self._folder / prefix).parent if not prefix.endswith("/") else self._folder / prefix
        paths = {str(path.relative_to(self._folder)): path for path in root.rglob("*") if path.is_file()}
        return [{"Key": key, "Size": paths[key].stat().st_size} for key in sorted(paths) if key.startswith(prefix)]


class _OnePage:
    def __init__(self, call: Any) -> None:
        self._call = call

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._call(**request)
