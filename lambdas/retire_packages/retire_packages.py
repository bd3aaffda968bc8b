"""Old model versions leave the registry and the bucket; what is needed to bring one back is kept (restore_package)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from insights.schema import KINDS, timestamp_text
from lambdas.objects import json_bytes, listed, put_text, split_uri
from lambdas.promotion_records import newest_first
from lambdas.retire_packages.retention import Package, retired, within_reach

RETIRED_PREFIX = "retired"
# What CreateModelPackage takes of what DescribeModelPackage tells.
_CREATED_WITH = (
    "ModelPackageGroupName",
    "ModelPackageDescription",
    "ModelApprovalStatus",
    "InferenceSpecification",
    "ModelMetrics",
    "CustomerMetadataProperties",
    "ModelCard",
)


@dataclass(frozen=True)
class RetentionEnvironment:
    bucket_name: str
    promote_model_arn: str
    risk_package_group: str
    performance_package_group: str
    risk_stack_name: str
    performance_stack_name: str
    kept_versions: int = 10
    margin_seconds: int = 60

    def group_of(self, kind: str) -> str:
        return self.risk_package_group if kind == "risk" else self.performance_package_group

    def stack_of(self, kind: str) -> str:
        return self.risk_stack_name if kind == "risk" else self.performance_stack_name


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The clients, with what this function asks of them."""

    sagemaker: Any
    cloudformation: Any
    stepfunctions: Any
    s3: Any

    def is_promoting(self, machine: str) -> bool:
        running = self.stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)
        return bool(running["executions"])

    def packages(self, group: str) -> Iterator[Package]:
        for page in self.sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            for found in page["ModelPackageSummaryList"]:
                yield Package(
                    arn=found["ModelPackageArn"],
                    version=int(found["ModelPackageVersion"]),
                    approval=str(found.get("ModelApprovalStatus")),
                )

    def serving(self, stack: str) -> set[str]:
        """Live model and challenger: every parameter of the endpoint's stack that names a package."""
        parameters = self.cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
        values = {parameter.get("ParameterValue", "") for parameter in parameters}
        return {value for value in values if ":model-package/" in value}

    def promotions(self, bucket: str, kind: str) -> list[dict[str, Any]]:
        return list(newest_first(self.s3, bucket, kind, remedy="restore it"))


def retire_packages(
    *,
    environment: RetentionEnvironment,
    registry: Registry,
    now: datetime,
    remaining_seconds: Callable[[], float],
) -> dict[str, Any]:
    """The versions removed of each kind. While a promotion runs nothing is: it may be about to make one of them live."""
    if registry.is_promoting(environment.promote_model_arn):
        return {"is_done": False, "reason": "a promotion is running", "retired": {}}
    gone: dict[str, list[int]] = {}
    for kind in KINDS:
        group = environment.group_of(kind)
        protected = registry.serving(environment.stack_of(kind))
        protected |= within_reach(registry.promotions(environment.bucket_name, kind))
        gone[kind] = []
        for package in retired(registry.packages(group), kept=environment.kept_versions, protected=protected):
            if remaining_seconds() < environment.margin_seconds:
                return {"is_done": False, "reason": "the rest is the next run's", "retired": gone}
            _retire(package, kind, environment.bucket_name, registry, now)
            gone[kind].append(package.version)
    return {"is_done": True, "reason": "", "retired": gone}


def _retire(package: Package, kind: str, bucket: str, registry: Registry, now: datetime) -> None:
    """First what restore_package needs, then the objects, last the version: a run that ends in between is repeated."""
    described = registry.sagemaker.describe_model_package(ModelPackageName=package.arn)
    prefix = _own_prefix(described, bucket)
    keys = [key for key, _ in listed(registry.s3, bucket, prefix)] if prefix else []
    key = f"{RETIRED_PREFIX}/{kind}/{package.version}.json"
    if keys or not list(listed(registry.s3, bucket, key)):  # a repeated run finds them gone, and the record written
        record = {
            "format": 1,
            "model_package_arn": package.arn,
            "retired_at": timestamp_text(now),
            "package": {name: described[name] for name in _CREATED_WITH if name in described},
            "objects": keys,
        }
        put_text(registry.s3, bucket, key, json_bytes(record))
    for first in range(0, len(keys), 1000):  # DeleteObjects: 1,000 keys at most
        objects = [{"Key": gone} for gone in keys[first : first + 1000]]
        registry.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    registry.sagemaker.delete_model_package(ModelPackageName=package.arn)


def _own_prefix(package: Mapping[str, Any], bucket: str) -> str:
    """models/<run>/<kind>/, where the model lies below it as a run writes it; else empty, and its files stay."""
    properties = package.get("CustomerMetadataProperties", {})
    prefix = f"models/{properties.get('run_id')}/{properties.get('kind')}/"
    place, key = split_uri(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    return prefix if (place, key.startswith(prefix)) == (bucket, True) else ""
