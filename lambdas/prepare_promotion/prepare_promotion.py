"""The first step of a promotion: may this model go live or challenge the live one, and which parameters of its endpoint
stack say so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from lambdas.client_errors import error_code, is_missing_in_sagemaker, is_missing_object
from lambdas.clients import client
from lambdas.objects import split_uri
from lambdas.prepare_promotion.changes import (
    Change,
    Golden,
    check_end,
    check_start,
    end_experiment,
    promote,
    start_experiment,
)
from lambdas.prepare_promotion.history import package_before
from lambdas.prepare_promotion.promotion_input import InvalidPromotion, PromotionInput, parse_promotion_input


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
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Any]:
    wanted = parse_promotion_input(given)
    sagemaker, s3 = sagemaker or client("sagemaker"), s3 or client("s3")
    place = _place(wanted.kind, environment)
    present = _parameters(cloudformation or client("cloudformation"), place.stack)
    live = present.get("LivePackage", "")
    if wanted.is_roll_back:
        wanted = replace(wanted, package=package_before(s3, environment.bucket_name, wanted.kind, live))
    endpoint = _endpoint(sagemaker, place.endpoint)
    change = _change(wanted, present, place, endpoint, sagemaker=sagemaker, s3=s3, now=now())
    if _is_resting(present):  # only an endpoint that answers can be verified
        change = replace(change, parameters={**change.parameters, "Serving": "on"})
    _check_known(present, change.parameters)
    return {
        "kind": wanted.kind,
        "action": change.action,
        "stack_name": place.stack,
        "endpoint_name": place.endpoint,
        "target_package": change.target_package,
        "live_after": change.live_after,
        "previous_package": live or None,
        "previous_endpoint_config": endpoint.get("EndpointConfigName"),
        "verify": change.verify,
        "traffic_shift": change.parameters.get("TrafficShift", present.get("TrafficShift")),
        "experiment": change.experiment,
        "ends_experiment_first": change.ends_experiment_first,
        "failed_as": change.failed_as,
        "parameters": _parameter_list(present, change.parameters),
        "rollback_parameters": _parameter_list(present, change.back(present)),
        "rests_again": _is_resting(present),
        "reason": wanted.reason,
    }


def _change(
    wanted: PromotionInput,
    present: Mapping[str, str],
    place: _Place,
    endpoint: Mapping[str, Any],
    *,
    sagemaker: Any,
    s3: Any,
    now: datetime,
) -> Change:
    live = present.get("LivePackage", "")
    if wanted.drops_challenger:
        check_end(present)
        return end_experiment(present, _golden_uri(sagemaker, live))
    package = _approved_package(sagemaker, wanted, place)
    target = package["ModelPackageArn"]
    golden = Golden(uri=_golden_of(package), digest=_digest(s3, _golden_of(package)))
    if wanted.challenger:
        check_start(present, target)
        return start_experiment(
            wanted, target, golden, live=live, live_golden_uri=_golden_uri(sagemaker, live), now=now
        )
    shift = traffic_shift(wanted.traffic_shift, endpoint=place.endpoint, instance_count=_instance_count(endpoint))
    return promote(present, target, golden, shift=shift, now=now)


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
        if not is_missing_in_sagemaker(error):
            raise
        raise InvalidPromotion(field, value, _choices(sagemaker, place.group)) from error
    status, approval = package.get("ModelPackageStatus"), package.get("ModelApprovalStatus")
    if status not in {None, "Completed"}:
        raise InvalidPromotion(field, value, f"the package is {status}, not Completed; choose another")
    if approval != "Approved":
        raise InvalidPromotion(
            field, value, f"the package is {approval}, not Approved; approve it in the model registry or choose another"
        )
    if not _golden_of(package):
        raise InvalidPromotion(
            field,
            value,
            "the package has no golden_uri in its metadata to verify the endpoint with; register it by a run",
        )
    return package


def _golden_of(package: Mapping[str, Any]) -> str:
    return str(package.get("CustomerMetadataProperties", {}).get("golden_uri", ""))


def _golden_uri(sagemaker: Any, package: str) -> str:
    """Of a package that is live, so that it exists and had one when it was promoted."""
    return _golden_of(sagemaker.describe_model_package(ModelPackageName=package))


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
        if not is_missing_in_sagemaker(error):
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


def _check_known(present: Mapping[str, str], changes: Mapping[str, str]) -> None:
    unknown = [name for name in changes if name not in present]
    if unknown:
        raise StackMissing(
            f"the endpoint's stack has no parameter {unknown[0]}; deploy the present version of the stack"
        )


def _is_resting(present: Mapping[str, str]) -> bool:
    """Outside its serving hours a model is kept without an endpoint."""
    return present.get("Serving") == "off"


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
        if not is_missing_in_sagemaker(error):
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
        if not is_missing_object(error):
            raise
        raise GoldenUnreadable(f"{golden_uri} does not exist; promote a model whose run still has its files") from error
    return hashlib.sha256(body).hexdigest()
