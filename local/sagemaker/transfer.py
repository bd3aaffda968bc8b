"""Moves data between the laptop's S3 and containers' folders as SageMaker does: prefixes, shards, archives."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from local.sagemaker.errors import JobFailed


class S3Location(NamedTuple):
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Location:
        bucket, _, key = uri.partition("://")[2].partition("/")
        return cls(bucket, key)

    def below(self, *parts: str) -> S3Location:
        return S3Location(self.bucket, "/".join(part for part in (self.key.strip("/"), *parts) if part))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class S3Object(NamedTuple):
    key: str
    relative: str


def objects_below(client: Any, uri: str) -> list[S3Object]:
    """What S3Prefix names, in key order. A prefix may be a folder, one object or the beginning of several names."""
    bucket, prefix = S3Location.parse(uri)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    return [S3Object(key, _relative(key, prefix)) for key in sorted(keys)]


def _relative(key: str, prefix: str) -> str:
    if prefix.endswith("/") or not prefix:
        return key[len(prefix) :]
    if key.startswith(f"{prefix}/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def download(client: Any, uri: str, folder: Path, *, shard: tuple[int, int] = (0, 1)) -> int:
    """Download what `uri` names, or with (i, n) every n-th object of it from the i-th on; returns how many.

    Of ShardedByS3Key AWS says that an instance gets about 1/n of the number of objects, and none where there are fewer
    objects than instances (S3DataSource, S3DataDistributionType); in which order they are dealt it does not say, so that
    nothing may rest on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = objects_below(client, uri)
    if not found:
        raise JobFailed(f"ClientError: Data download failed: no S3 objects found under S3 URL {uri!r}.")
    mine = found[shard[0] :: shard[1]]
    for item in mine:
        target = folder / item.relative
        if not target.resolve().is_relative_to(folder.resolve()):
            raise JobFailed(f"ClientError: Data download failed: the key {item.key!r} leaves its folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        _download_file(client, S3Location.parse(uri).bucket, item.key, target)
    return len(mine)


def _download_file(client: Any, bucket: str, key: str, target: Path) -> None:
    from boto3.s3.transfer import TransferConfig

    client.download_file(bucket, key, str(target), Config=TransferConfig(use_threads=False))


def download_archive(client: Any, uri: str, folder: Path) -> None:
    """Extract a model.tar.gz; a tar that would write elsewhere is refused by tarfile's data filter."""
    location = S3Location.parse(uri)
    folder.mkdir(parents=True, exist_ok=True)
    body = client.get_object(Bucket=location.bucket, Key=location.key)["Body"]
    with tarfile.open(fileobj=body, mode="r|gz") as archive:
        archive.extractall(folder, filter="data")


def upload_folder(client: Any, folder: Path, target: S3Location) -> int:
    files = list(files_below(folder))
    for file in files:
        client.upload_file(str(file), target.bucket, target.below(file.relative_to(folder).as_posix()).key)
    return len(files)


def upload_archive(client: Any, folders: Iterable[Path], target: S3Location, scratch: Path) -> None:
    """One tar.gz of the contents of all folders; of files with the same name the last folder's counts."""
    contents = {file.relative_to(folder).as_posix(): file for folder in folders for file in files_below(folder)}
    with tarfile.open(scratch, "w:gz", compresslevel=6) as archive:
        for name in sorted(contents):
            archive.add(contents[name], arcname=name)
    client.upload_file(str(scratch), target.bucket, target.key)
    scratch.unlink()


def files_below(folder: Path) -> Iterator[Path]:
    if folder.exists():
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
