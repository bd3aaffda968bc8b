"""Models: what a container serves, given as image and artifact or as an approved model package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.sagemaker.errors import not_on_the_laptop, validation
from local.sagemaker.images import module_of
from local.sagemaker.packages import approved_package
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.tags import as_mapping
from local.sagemaker.transfer import S3Location

KIND = "Model"


@dataclass(frozen=True)
class Servable:
    """What one variant's containers are started with."""

    image: str
    model_data_url: str
    environment: Mapping[str, str]
    role_arn: str


def create_model(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    name = request["ModelName"]
    containers = _containers(request)
    if "ExecutionRoleArn" not in request:
        raise validation("ExecutionRoleArn is required.")
    service.role_session(request["ExecutionRoleArn"])
    for container in containers:
        image, artifact = resolved(service, scope, container)
        module_of(image, service.settings)
        if artifact:
            _check_artifact(service, artifact, request["ExecutionRoleArn"])
    body = {key: value for key, value in request.items() if key != "Tags"}
    arn = scope.arn(f"model/{name}")
    body.update(ModelArn=arn, CreationTime=now(), EnableNetworkIsolation=request.get("EnableNetworkIsolation", False))
    record = Record(KIND, name, arn, scope, body, tags=as_mapping(request.get("Tags")))
    service.store.add(record, already_exists=validation(f'Cannot create already existing model "{arn}".'))
    return {"ModelArn": arn}


def _containers(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    containers = [
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
        *request.get("Containers", []),
    ]
    if not containers:
        raise validation("Either PrimaryContainer or Containers must be provided.")
    if len(containers) > 1:
        raise not_on_the_laptop("a model of several containers")
    return containers


def _check_artifact(service: Service, url: str, role_arn: str) -> None:
    location = S3Location.parse(url)
    try:
        service.clients.for_role("s3", role_arn).head_object(Bucket=location.bucket, Key=location.key)
    except Exception as error:
        raise validation(f"Could not find model data at {url}.") from error


def resolved(service: Service, scope: Scope, container: Mapping[str, Any]) -> tuple[str, str]:
    """Image and artifact of a container definition, of its model package where it names one."""
    if "ModelPackageName" in container:
        container = approved_package(service, scope, container["ModelPackageName"])
    if "Image" not in container:
        raise validation("Either Image or ModelPackageName must be provided for the container.")
    return container["Image"], container.get("ModelDataUrl", "")


def servable(service: Service, scope: Scope, model_name: str) -> Servable:
    body = service.store.snapshot(get(service, scope, model_name))
    container = _containers(body)[0]
    image, artifact = resolved(service, scope, container)
    packaged: Mapping[str, str] = {}
    if "ModelPackageName" in container:
        packaged = approved_package(service, scope, container["ModelPackageName"]).get("Environment", {})
    environment = {**packaged, **container.get("Environment", {})}
    return Servable(image, artifact, environment, body["ExecutionRoleArn"])


def get(service: Service, scope: Scope, name: str) -> Record:
    missing = validation(f'Could not find model "{scope.arn(f"model/{name}")}".')
    return service.store.get(KIND, scope, name, missing=missing)


def describe_model(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["ModelName"]))


def delete_model(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    service.store.remove(get(service, scope, request["ModelName"]))
    return {}


def list_models(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"Models": page, "NextToken": token}


ACTIONS = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "DeleteModel": delete_model,
    "ListModels": list_models,
}
