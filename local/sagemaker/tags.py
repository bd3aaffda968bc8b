"""AddTags, ListTags and DeleteTags on any resource by its ARN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from local.sagemaker.errors import validation
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope

MOST_TAGS = 50


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def as_mapping(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def _record(service: Service, arn: str) -> Record:
    record = service.store.by_arn(arn)
    if record is None:
        raise validation(f"Could not find resource with ARN {arn}.")
    return record


def add_tags(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = _record(service, request["ResourceArn"])
    with service.store.lock:
        merged = {**record.tags, **as_mapping(request["Tags"])}
        if len(merged) > MOST_TAGS:
            raise validation(f"A resource has at most {MOST_TAGS} tags.")
        record.tags = merged
    return {"Tags": as_list(record.tags)}


def list_tags(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": as_list(_record(service, request["ResourceArn"]).tags)}


def delete_tags(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = _record(service, request["ResourceArn"])
    with service.store.lock:
        record.tags = {key: value for key, value in record.tags.items() if key not in request["TagKeys"]}
    return {}


ACTIONS = {"AddTags": add_tags, "ListTags": list_tags, "DeleteTags": delete_tags}
