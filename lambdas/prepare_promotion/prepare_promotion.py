"""The first step of a promotion: may this model go live, and which parameters of its endpoint stack say so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from lambdas.clients import client
from lambdas.objects import split_uri
from lambdas.prepare_promotion.history import package_before
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
    bucket_name: str


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a model of one kind lives."""

    stack: str
    endpoint: str
    group: str


class StackMissing(LookupError):
    """The endpoint's stack is not deployed, so there is nothing whose parameters could change."""


class GoldenUnreadable(LookupError):
    """The golden predictions stored with the package are gone, so nothing could tell whether its endpoint is right."""


def prepare_promotion(
    given: object,
    *,
    environment: PromotionEnvironment,
    sagemaker: Any = None,
    cloudformation: Any = None,
    s3: Any = None,
) -> dict[str, Any]:
    wanted = parse_promotion_input(given)
    sagemaker, s3 = sagemaker or client("sagemaker"), s3 or client("s3")
    place = _place(wanted.kind, environment)
    present = _parameters(cloudformation or client("cloudformation"), place.stack)
    live = present.get("LivePackage", "")
    if wanted.is_roll_back:
        wanted = replace(wanted, package=package_before(s3, environment.bucket_name, wanted.kind, live))
    package = _approved_package(sagemaker, wanted, place)
    target, golden_uri = package["ModelPackageArn"], package["CustomerMetadataProperties"]["golden_uri"]
    endpoint = _endpoint(sagemaker, place.endpoint)
    shift = traffic_shift(wanted.traffic_shift, endpoint=place.endpoint, instance_count=_instance_count(endpoint))
    changes = _changes(present, target, shift=shift, golden_digest=_digest(s3, golden_uri))
    # What is taken back goes at once: its callers are already with the wrong model.
    back = {name: "all-at-once" if name == "TrafficShift" else present[name] for name in changes}
    return {
        "kind": wanted.kind,
        "stack_name": place.stack,
        "endpoint_name": place.endpoint,
        "target_package": target,
        "version": package.get("ModelPackageVersion"),
        "previous_package": live or None,
        "previous_endpoint_config": endpoint.get("EndpointConfigName"),
        "golden_uri": golden_uri,
        "traffic_shift": shift,
        "parameters": _parameter_list(present, changes),
        "rollback_parameters": _parameter_list(present, back),
        "reason": wanted.reason,
    }


def traffic_shift(asked: str | None, *, endpoint: str, instance_count: int) -> str:
    """A canary is at most half of the instances (SageMaker guide, "Canary Traffic Shifting"), so one has none."""
    if asked == "canary" and instance_count < 2:
        raise InvalidPromotion(
            "traffic_shift",
            asked,
            f"a canary takes at most half of the instances and {endpoint} has {instance_count}; "
            "scale it to two, or leave the field out",
        )
    return asked or ("canary" if instance_count >= 2 else "all-at-once")


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


def _changes(present: Mapping[str, str], target: str, *, shift: str, golden_digest: str) -> dict[str, str]:
    """A challenger that becomes the live model is no challenger any more. Of a model that is live already nothing
    changes: another way of shifting traffic alone would be an update of an endpoint to its own configuration, which
    SageMaker refuses."""
    changes = {"LivePackage": target}
    if present.get("LivePackage") != target:
        changes |= {"GoldenDigest": golden_digest, "TrafficShift": shift}
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


def _endpoint(sagemaker: Any, name: str) -> dict[str, Any]:
    """Its description; empty where there is none yet."""
    try:
        described: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error_code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        return {}
    return described


def _instance_count(endpoint: Mapping[str, Any]) -> int:
    """Of the variant with fewest, as each must be able to spare half."""
    return min(
        (variant.get("CurrentInstanceCount", 0) for variant in endpoint.get("ProductionVariants", [])), default=0
    )


def _digest(s3: Any, golden_uri: str) -> str:
    """The container holds its own golden file against this before it answers /ping."""
    bucket, key = split_uri(golden_uri)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error_code(error) not in {"NoSuchKey", "404"}:
            raise
        raise GoldenUnreadable(f"{golden_uri} does not exist; promote a model whose run still has its files") from error
    return hashlib.sha256(body).hexdigest()
