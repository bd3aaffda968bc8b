"""The model registry: package groups and their numbered, approved or rejected versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import conflict, not_on_the_laptop, validation
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.tags import as_mapping

GROUP = "ModelPackageGroup"
PACKAGE = "ModelPackage"


def create_group(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    name = request["ModelPackageGroupName"]
    arn = scope.arn(f"model-package-group/{name}")
    body = {
        "ModelPackageGroupName": name,
        "ModelPackageGroupArn": arn,
        "ModelPackageGroupStatus": "Completed",
        "CreationTime": now(),
        "CreatedBy": {},
        **{key: request[key] for key in ("ModelPackageGroupDescription",) if key in request},
    }
    record = Record(GROUP, name, arn, scope, body, tags=as_mapping(request.get("Tags")))
    exists = validation(f"Model Package Group already exists: {arn}")
    service.store.add(record, already_exists=exists)
    return {"ModelPackageGroupArn": arn}


def _group(service: Service, scope: Scope, name_or_arn: str) -> Record:
    name = name_or_arn.rpartition("/")[2]
    arn = scope.arn(f"model-package-group/{name}")
    return service.store.get(GROUP, scope, name, missing=validation(f"ModelPackageGroup {arn} does not exist."))


def describe_group(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(_group(service, scope, request["ModelPackageGroupName"]))


def delete_group(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = _group(service, scope, request["ModelPackageGroupName"])
    if _versions(service, scope, record.name):
        raise conflict(f"ModelPackageGroup {record.arn} still contains model packages; delete them first.")
    service.store.remove(record)
    return {}


def list_groups(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(GROUP, scope)]
    page, token = listing(bodies, request, kind=GROUP)
    return {"ModelPackageGroupSummaryList": page, "NextToken": token}


def _versions(service: Service, scope: Scope, group: str) -> list[Record]:
    return [r for r in service.store.all(PACKAGE, scope) if r.body["ModelPackageGroupName"] == group]


def create_package(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    """The group's next version; a repeated ClientToken answers with the version that the first request made."""
    if "ModelPackageGroupName" not in request:
        raise not_on_the_laptop("a model package without ModelPackageGroupName")
    if "ModelPackageName" in request:
        raise validation("Both ModelPackageName and ModelPackageGroupName are provided in the input.")
    if request.get("Tags"):
        raise validation("Tags cannot be given to a versioned model package; tag its model package group.")
    group = _group(service, scope, request["ModelPackageGroupName"])
    token = request.get("ClientToken")
    with service.store.lock:
        tokens = group.memory.setdefault("tokens", {})
        if token in tokens:
            return {"ModelPackageArn": tokens[token]}
        version = group.memory.get("last_version", 0) + 1
        arn = scope.arn(f"model-package/{group.name}/{version}")
        record = Record(PACKAGE, arn, arn, scope, _body(request, group.name, version, arn))
        service.store.add(record, already_exists=conflict(f"{arn} already exists."))
        group.memory["last_version"] = version
        if token:
            tokens[token] = arn
    return {"ModelPackageArn": arn}


def _body(request: Mapping[str, Any], group: str, version: int, arn: str) -> dict[str, Any]:
    body = {key: value for key, value in request.items() if key not in ("ClientToken", "Tags", "ModelPackageGroupName")}
    body.update(
        ModelPackageName=group,
        ModelPackageGroupName=group,
        ModelPackageVersion=version,
        ModelPackageArn=arn,
        ModelPackageStatus="Completed",
        ModelPackageStatusDetails={"ValidationStatuses": []},
        ModelApprovalStatus=request.get("ModelApprovalStatus", "PendingManualApproval"),
        CreationTime=now(),
        CreatedBy={},
    )
    return body


def get(service: Service, scope: Scope, name_or_arn: str) -> Record:
    """By the version's ARN or its `<group>/<version>`."""
    arn = name_or_arn if name_or_arn.startswith("arn:") else scope.arn(f"model-package/{name_or_arn}")
    return service.store.get(PACKAGE, scope, arn, missing=validation(f"ModelPackage {arn} does not exist."))


def approved_package(service: Service, scope: Scope, arn: str) -> dict[str, Any]:
    """The container of a package; ValidationException unless the version is approved."""
    body = service.store.snapshot(get(service, scope, arn))
    if body["ModelApprovalStatus"] != "Approved":
        raise validation(
            f"Cannot deploy the model package {arn}: its ModelApprovalStatus is {body['ModelApprovalStatus']}, "
            "and must be Approved."
        )
    containers: list[dict[str, Any]] = body.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1:
        raise not_on_the_laptop(f"model package {arn}: a model of {len(containers)} containers")
    return containers[0]


def describe_package(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["ModelPackageName"]))


def update_package(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, scope, request["ModelPackageArn"])
    if "AdditionalInferenceSpecificationsToAdd" in request or "InferenceSpecification" in request:
        raise not_on_the_laptop("a change of a package's inference specification")
    with service.store.changing(record) as body:
        for member in ("ModelApprovalStatus", "ApprovalDescription", "SourceUri", "ModelCard", "ModelLifeCycle"):
            if member in request:
                body[member] = request[member]
        properties = {**body.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
        for name in request.get("CustomerMetadataPropertiesToRemove", []):
            properties.pop(name, None)
        if properties:
            body["CustomerMetadataProperties"] = properties
        else:
            body.pop("CustomerMetadataProperties", None)
    return {"ModelPackageArn": record.arn}


def delete_package(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    service.store.remove(get(service, scope, request["ModelPackageName"]))
    return {}


def list_packages(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    group = request.get("ModelPackageGroupName")
    records = (
        _versions(service, scope, _group(service, scope, group).name) if group else service.store.all(PACKAGE, scope)
    )
    wanted = request.get("ModelApprovalStatus")
    bodies = [service.store.snapshot(record) for record in records]
    chosen = [body for body in bodies if wanted in (None, body["ModelApprovalStatus"])]
    page, token = listing(chosen, request, kind=PACKAGE)
    return {"ModelPackageSummaryList": page, "NextToken": token}


ACTIONS = {
    "CreateModelPackageGroup": create_group,
    "DescribeModelPackageGroup": describe_group,
    "DeleteModelPackageGroup": delete_group,
    "ListModelPackageGroups": list_groups,
    "CreateModelPackage": create_package,
    "DescribeModelPackage": describe_package,
    "UpdateModelPackage": update_package,
    "DeleteModelPackage": delete_package,
    "ListModelPackages": list_packages,
}
