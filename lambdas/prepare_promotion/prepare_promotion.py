"""The first step of a promotion: may this model go live, and which parameters of its endpoint stack say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas.clients import client
from lambdas.prepare_promotion.promotion_input import InvalidPromotion, PromotionInput, parse_promotion_input
from lambdas.throttling import error_code


@dataclass(frozen=True)
class PromotionEnvironment:
    risk_stack_name: str
    performance_stack_name: str
    risk_endpoint_name: str
    performance_endpoint_name: str
    risk_package_group: str
    performance_package_group: str


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a model of one kind lives."""

    stack: str
    endpoint: str
    group: str


class StackMissing(LookupError):
    """The endpoint's stack is not deployed, so there is nothing whose parameters could change."""


def prepare_promotion(
    given: object, *, environment: PromotionEnvironment, sagemaker: Any = None, cloudformation: Any = None
) -> dict[str, Any]:
    wanted = parse_promotion_input(given)
    sagemaker = sagemaker or client("sagemaker")
    place = _place(wanted.kind, environment)
    package = _approved_package(sagemaker, wanted, place)
    target = package["ModelPackageArn"]
    present = _parameters(cloudformation or client("cloudformation"), place.stack)
    changes = _changes(present, target)
    return {
        "kind": wanted.kind,
        "stack_name": place.stack,
        "endpoint_name": place.endpoint,
        "target_package": target,
        "version": package.get("ModelPackageVersion"),
        "previous_package": present.get("LivePackage") or None,
        "previous_endpoint_config": _endpoint_config(sagemaker, place.endpoint),
        "golden_uri": package["CustomerMetadataProperties"]["golden_uri"],
        "parameters": _parameter_list(present, changes),
        "rollback_parameters": _parameter_list(present, {name: present[name] for name in changes}),
        "reason": wanted.reason,
    }


def _place(kind: str, environment: PromotionEnvironment) -> _Place:
    if kind == "risk":
        return _Place(
            stack=environment.risk_stack_name,
            endpoint=environment.risk_endpoint_name,
            group=environment.risk_package_group,
        )
    return _Place(
        stack=environment.performance_stack_name,
        endpoint=environment.performance_endpoint_name,
        group=environment.performance_package_group,
    )


def _approved_package(sagemaker: Any, wanted: PromotionInput, place: _Place) -> dict[str, Any]:
    arn = wanted.package or _arn_of_version(sagemaker, int(wanted.version or 0), place.group)
    field, value = ("version", wanted.version) if wanted.package is None else ("model_package_arn", arn)
    if f":model-package/{place.group}/" not in arn:
        raise InvalidPromotion(field, value, f"a {wanted.kind} model is of the package group {place.group}")
    try:
        package: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        raise InvalidPromotion(field, value, _choices(sagemaker, place.group)) from error
    status, approval = package.get("ModelPackageStatus"), package.get("ModelApprovalStatus")
    if status not in {None, "Completed"}:
        raise InvalidPromotion(field, value, f"the package is {status}, not Completed; choose another")
    if approval != "Approved":
        raise InvalidPromotion(
            field, value, f"the package is {approval}, not Approved; approve it in the model registry or choose another"
        )
    if not package.get("CustomerMetadataProperties", {}).get("golden_uri"):
        raise InvalidPromotion(
            field,
            value,
            "the package has no golden_uri in its metadata to verify the endpoint with; register it by a run",
        )
    return package


def _arn_of_version(sagemaker: Any, version: int, group: str) -> str:
    for package in _packages(sagemaker, group):
        if package.get("ModelPackageVersion") == version:
            return str(package["ModelPackageArn"])
    raise InvalidPromotion("version", version, _choices(sagemaker, group))


def _packages(sagemaker: Any, group: str) -> list[dict[str, Any]]:
    """Newest first; none where the group itself does not exist."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        return [package for page in pages for package in page["ModelPackageSummaryList"]]
    except ClientError as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        return []


def _choices(sagemaker: Any, group: str) -> str:
    found = [
        f"{package.get('ModelPackageVersion')} ({package.get('ModelApprovalStatus', 'no status')})"
        for package in _packages(sagemaker, group)[:10]
    ]
    if not found:
        return f"there is no model in the package group {group}; train one with TrainModels"
    return f"no such package in the group {group}; the newest versions are {', '.join(found)}"


def _parameters(cloudformation: Any, stack: str) -> dict[str, str]:
    try:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        raise StackMissing(f"stack {stack} does not exist; deploy it (cdk deploy {stack}), then promote") from error
    return {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in described.get("Parameters", [])}


def _changes(present: Mapping[str, str], target: str) -> dict[str, str]:
    """The live package; a challenger that becomes the live model is no challenger any more."""
    changes = {"LivePackage": target}
    if present.get("ChallengerPackage") == target:
        changes |= {"ChallengerPackage": "", "ChallengerMode": "off"}
    unknown = [name for name in changes if name not in present]
    if unknown:
        raise StackMissing(
            f"the endpoint's stack has no parameter {unknown[0]}; deploy the present version of the stack"
        )
    return changes


def _parameter_list(present: Mapping[str, str], changes: Mapping[str, str]) -> list[dict[str, Any]]:
    """UpdateStack takes the template's default for a parameter that is not named, so each one is."""
    return [
        {"ParameterKey": name, "ParameterValue": changes[name]}
        if name in changes
        else {"ParameterKey": name, "UsePreviousValue": True}
        for name in present
    ]


def _endpoint_config(sagemaker: Any, endpoint: str) -> str | None:
    try:
        return str(sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"])
    except ClientError as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        return None
