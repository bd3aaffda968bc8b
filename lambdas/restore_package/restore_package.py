"""A retired model version comes back: its objects from the bucket's older versions, its entry as a new version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insights.schema import KINDS
from lambdas.objects import UnreadableObject, read_json_object
from lambdas.retire_packages.retire_packages import RETIRED_PREFIX


@dataclass(frozen=True)
class RestoreEnvironment:
    bucket_name: str


class NothingToRestore(LookupError):
    """No such retired version, or the bucket has let its objects go."""


def restore_package(given: object, *, bucket: str, s3: Any, sagemaker: Any) -> dict[str, Any]:
    """`given` is {"kind", "version"}. SageMaker gives no number twice, so the answer names a new version."""
    kind, version = (given.get("kind"), given.get("version")) if isinstance(given, Mapping) else (None, None)
    if kind not in KINDS or isinstance(version, bool) or not isinstance(version, int):
        raise NothingToRestore('say which: {"kind": "risk" or "performance", "version": a retired version\'s number}')
    key = f"{RETIRED_PREFIX}/{kind}/{version}.json"
    record = read_json_object(s3, bucket, key, remedy=f"see which versions are below {RETIRED_PREFIX}/{kind}/")
    if not _is_retirement(record):
        raise UnreadableObject(bucket, key, "is no record of a retired version (package, objects, retired_at)")
    for name in record["objects"]:
        _restore_object(s3, bucket, name)
    created = sagemaker.create_model_package(
        **record["package"], ClientToken=f"restored-{kind}-{version}-{record['retired_at'][:10]}"[:36]
    )
    return {"model_package_arn": created["ModelPackageArn"], "objects": len(record["objects"])}


def _is_retirement(record: Mapping[str, Any]) -> bool:
    objects = record.get("objects")
    return (
        isinstance(record.get("package"), dict)
        and isinstance(record.get("retired_at"), str)
        and isinstance(objects, list)
        and all(isinstance(name, str) and name for name in objects)
    )


def _restore_object(s3: Any, bucket: str, key: str) -> None:
    """A copy of its newest version that is no delete marker; an object that is there stays as it is."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    versions = [found for page in pages for found in page.get("Versions", []) if found["Key"] == key]
    if not versions:
        raise NothingToRestore(
            f"s3://{bucket}/{key} has no version left: the bucket keeps replaced objects for 30 days; train again"
        )
    newest = max(versions, key=lambda found: found["LastModified"])
    if not newest["IsLatest"]:
        source = {"Bucket": bucket, "Key": key, "VersionId": newest["VersionId"]}
        s3.copy_object(Bucket=bucket, Key=key, CopySource=source)
