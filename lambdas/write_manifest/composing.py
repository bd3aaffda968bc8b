"""A large text made of objects that are there already: S3 copies them as parts, and only what is too small for a part is
read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from lambdas.write_manifest.parts import READERS, Export, IncompleteExport, StoredText

# Amazon S3 multipart upload limits: a part is from 5 MiB (the last may be smaller) to 5 GiB, an upload has 10,000.
SMALLEST_PART = 5 * 1024 * 1024


@dataclass(frozen=True)
class Literal:
    text: bytes

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Range:
    """Bytes `first` to before `end` of an object."""

    source: StoredText
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


Part = Range | tuple[Literal | Range, ...]
"""One that S3 copies, or pieces that are read and sent together."""


def planned_parts(header: bytes, texts: Iterable[StoredText], smallest: int = SMALLEST_PART) -> Iterator[Part]:
    """In order, each at least `smallest` but the last. A small piece borrows what it lacks from the one behind it."""
    gathered: list[Literal | Range] = [Literal(header)] if header else []
    for text in texts:
        first = 0
        missing = max(smallest - sum(map(len, gathered)), 0) if gathered else 0
        if missing and text.bytes - missing >= smallest:
            yield (*gathered, Range(text, 0, missing))
            gathered, first = [], missing
        if not gathered and text.bytes - first >= smallest:
            yield Range(text, first, text.bytes)
            continue
        gathered.append(Range(text, first, text.bytes))
        if sum(map(len, gathered)) >= smallest:
            yield tuple(gathered)
            gathered = []
    if gathered:
        yield tuple(gathered)


def compose(
    export: Export, key: str, header: bytes, texts: Sequence[StoredText], *, content_type: str, smallest: int
) -> int:
    """Writes the object and returns its size; on an error there is neither an object nor an open upload."""
    at = {"Bucket": export.bucket, "Key": key}
    parts = list(planned_parts(header, texts, smallest))
    upload = {**at, "UploadId": export.s3.create_multipart_upload(**at, ContentType=content_type)["UploadId"]}
    try:
        with ThreadPoolExecutor(READERS) as senders:
            tags = list(senders.map(partial(_send, export, upload), range(1, len(parts) + 1), parts))
        sent = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
        export.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    except BaseException:
        export.s3.abort_multipart_upload(**upload)
        raise
    size = len(header) + sum(text.bytes for text in texts)
    stored = int(export.s3.head_object(**at)["ContentLength"])
    if stored != size:
        raise IncompleteExport(f"{key} has {stored} bytes and not the {size} of its pieces")
    return size


def _send(export: Export, upload: dict[str, Any], number: int, part: Part) -> str:
    where = {**upload, "PartNumber": number}
    if isinstance(part, Range):
        copied = export.s3.upload_part_copy(
            **where,
            CopySource={"Bucket": export.bucket, "Key": part.source.key},
            CopySourceIfMatch=part.source.etag,
            CopySourceRange=f"bytes={part.first}-{part.end - 1}",
        )
        return str(copied["CopyPartResult"]["ETag"])
    body = b"".join(_bytes_of(export, piece) for piece in part)
    return str(export.s3.upload_part(**where, Body=body)["ETag"])


def _bytes_of(export: Export, piece: Literal | Range) -> bytes:
    if isinstance(piece, Literal):
        return piece.text
    answer = export.s3.get_object(
        Bucket=export.bucket,
        Key=piece.source.key,
        IfMatch=piece.source.etag,
        Range=f"bytes={piece.first}-{piece.end - 1}",
    )
    text: bytes = answer["Body"].read()
    return text
