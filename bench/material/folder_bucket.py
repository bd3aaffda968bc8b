"""S3's calls that the export makes, over a folder: one bucket, a file per object."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


class FolderBucket:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder.with_name(f"{folder.name}-uploads")

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        path = self._writable(Key)
        path.write_bytes(Body)
        return {"ETag": _etag(path)}

    def get_object(self, *, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        path = self._folder / Key
        if not path.is_file():
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        first, size = _range(Range, path.stat().st_size)
        file: BinaryIO = path.open("rb")
        if Range:  # a reader of the body would go on to the file's end
            with file:
                file.seek(first)
                file = BytesIO(file.read(size))
        return {"Body": StreamingBody(file, size), "ContentLength": size, "ETag": _etag(path)}

    def head_object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        path = self._folder / Key
        return {"ContentLength": path.stat().st_size, "ETag": _etag(path)}

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
        upload = Key.replace("/", "_")
        (self._uploads / upload).mkdir(parents=True, exist_ok=True)
        return {"UploadId": upload}

    def upload_part(self, *, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> dict[str, Any]:
        self._part(UploadId, PartNumber).write_bytes(Body)
        return {"ETag": f"part-{PartNumber}"}

    def upload_part_copy(
        self, *, UploadId: str, PartNumber: int, CopySource: dict[str, str], CopySourceRange: str = "", **_: Any
    ) -> dict[str, Any]:
        piece = self.get_object(Key=CopySource["Key"], Range=CopySourceRange)["Body"]
        with self._part(UploadId, PartNumber).open("wb") as file:
            shutil.copyfileobj(piece, file)
        return {"CopyPartResult": {"ETag": f"part-{PartNumber}"}}

    def complete_multipart_upload(self, *, Key: str, UploadId: str, MultipartUpload: Any, **_: Any) -> dict[str, Any]:
        with self._writable(Key).open("wb") as whole:
            for part in MultipartUpload["Parts"]:
                with self._part(UploadId, part["PartNumber"]).open("rb") as file:
                    shutil.copyfileobj(file, whole)
        return self.abort_multipart_upload(UploadId=UploadId)

    def abort_multipart_upload(self, *, UploadId: str, **_: Any) -> dict[str, Any]:
        shutil.rmtree(self._uploads / UploadId, ignore_errors=True)
        return {}

    def _part(self, upload: str, number: int) -> Path:
        return self._uploads / upload / f"{number:05d}"

    def _writable(self, key: str) -> Path:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _below(self, prefix: str) -> list[dict[str, Any]]:
        """Sorted as S3 does, by the whole key."""
        root = (self._folder / prefix).parent if not prefix.endswith("/") else self._folder / prefix
        paths = {str(path.relative_to(self._folder)): path for path in root.rglob("*") if path.is_file()}
        return [
            {"Key": key, "Size": paths[key].stat().st_size, "ETag": _etag(paths[key])}
            for key in sorted(paths)
            if key.startswith(prefix)
        ]


def _etag(path: Path) -> str:
    """Another one whenever the file was written again; S3's is a hash, which would cost what S3 does for itself."""
    found = path.stat()
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


def _range(text: str, size: int) -> tuple[int, int]:
    """First byte and count of "bytes=first-last"; all of them without."""
    if not text:
        return 0, size
    first, last = map(int, text.removeprefix("bytes=").split("-"))
    return first, last - first + 1


class _OnePage:
    def __init__(self, call: Any) -> None:
        self._call = call

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._call(**request)
