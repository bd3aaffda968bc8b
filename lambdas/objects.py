"""Objects of the bucket as the functions read and write them: JSON, listings, and text too large for memory."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import ClientError

from insights.formats import NewerFormat, check_format
from lambdas.client_errors import is_missing_object

# S3 refuses parts under 5 MiB except the last ("Amazon S3 multipart upload limits"); 10,000 parts of 8 MiB are 78 GiB.
PART_BYTES = 8 * 1024 * 1024


class ObjectMissing(LookupError):
    """An object that an earlier step should have written is not there."""

    def __init__(self, bucket: str, key: str, remedy: str) -> None:
        super().__init__(f"{uri_of(bucket, key)} does not exist; {remedy}")


class UnreadableObject(ValueError):
    """An object is there but is not what its place promises."""

    def __init__(self, bucket: str, key: str, problem: str) -> None:
        super().__init__(f"{uri_of(bucket, key)} {problem}; write it again by running the step that makes it")


class UnreadableFormat(UnreadableObject):
    """An object is of a newer version of the app."""

    def __init__(self, sentence: str) -> None:
        ValueError.__init__(self, sentence)


def uri_of(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key; ValueError with a sentence otherwise."""
    bucket, slash, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not slash:
        raise ValueError(f"{uri!r} is no S3 address; write it as s3://bucket/key")
    return bucket, key


def read_json_object(s3: Any, bucket: str, key: str, *, remedy: str) -> dict[str, Any]:
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_missing_object(error):
            raise ObjectMissing(bucket, key, remedy) from error
        raise
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableObject(bucket, key, f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UnreadableObject(bucket, key, "is not a JSON object")
    try:
        check_format(value, uri_of(bucket, key))
    except NewerFormat as newer:
        raise UnreadableFormat(str(newer)) from newer
    return value


def put_text(
    s3: Any, bucket: str, key: str, text: bytes, *, content_type: str = "application/json", sha256: bytes = b""
) -> str:
    """The ETag of the object. S3 refuses a text whose SHA-256 is not the one that was given."""
    checksum = {"ChecksumSHA256": base64.b64encode(sha256).decode()} if sha256 else {}
    answer = s3.put_object(Bucket=bucket, Key=key, Body=text, ContentType=content_type, **checksum)
    return str((answer or {}).get("ETag", ""))


def json_bytes(value: object) -> bytes:
    """The same value gives the same bytes, so that a repeat leaves an object as it was."""
    return (json.dumps(value, indent=1) + "\n").encode()


def listed(s3: Any, bucket: str, prefix: str, *, after: str = "") -> Iterator[tuple[str, int]]:
    """Keys and sizes below `prefix` in key order, starting behind the key `after`."""
    for entry in listed_entries(s3, bucket, prefix, after=after):
        yield entry["Key"], entry["Size"]


def listed_entries(s3: Any, bucket: str, prefix: str, *, after: str = "") -> Iterator[dict[str, Any]]:
    """The same as ListObjectsV2 has them, with their ETags."""
    request = {"Bucket": bucket, "Prefix": prefix} | ({"StartAfter": after} if after else {})
    for page in s3.get_paginator("list_objects_v2").paginate(**request):
        yield from page.get("Contents", [])


class TextUpload:
    """An object written piece by piece with one part in memory; it exists only after a block without an error."""

    def __init__(self, s3: Any, bucket: str, key: str, *, content_type: str, part_bytes: int = PART_BYTES) -> None:
        self._s3 = s3
        self._at = {"Bucket": bucket, "Key": key}
        self._content_type = content_type
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._upload_id = ""
        self._parts: list[dict[str, Any]] = []
        self._digest = hashlib.sha256()
        self.bytes_written = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, text: str) -> int:
        piece = text.encode()
        self._digest.update(piece)
        self._buffer += piece
        self.bytes_written += len(piece)
        if len(self._buffer) >= self._part_bytes:
            self._send_part()
        return len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            if self._upload_id:
                self._s3.abort_multipart_upload(**self._at, UploadId=self._upload_id)
        elif self._upload_id:
            self._complete()
        else:
            self._s3.put_object(**self._at, Body=bytes(self._buffer), ContentType=self._content_type)

    def _send_part(self) -> None:
        if not self._upload_id:
            answer = self._s3.create_multipart_upload(**self._at, ContentType=self._content_type)
            self._upload_id = answer["UploadId"]
        number = len(self._parts) + 1
        sent = self._s3.upload_part(**self._at, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._buffer))
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._buffer.clear()

    def _complete(self) -> None:
        if self._buffer:
            self._send_part()
        self._s3.complete_multipart_upload(**self._at, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts})
