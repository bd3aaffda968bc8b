"""Endpoint configurations: immutable, and refused where a real endpoint of theirs could not be made."""

from __future__ import annotations

from typing import Any

from local.sagemaker import models
from local.sagemaker.errors import not_on_the_laptop, validation
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.tags import as_mapping

KIND = "EndpointConfig"


def create_endpoint_config(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointConfigName"]
    variants = [*request["ProductionVariants"], *request.get("ShadowProductionVariants", [])]
    names = [variant["VariantName"] for variant in variants]
    if len(names) != len(set(names)):
        raise validation("Variant names must be unique.")
    for variant in variants:
        if "ModelName" not in variant or "InstanceType" not in variant:
            raise not_on_the_laptop("a variant without ModelName and InstanceType")
        models.get(service, scope, variant["ModelName"])
    if request.get("ShadowProductionVariants") and len(variants) != 2:
        raise validation("A configuration with a shadow variant has exactly one production and one shadow variant.")
    arn = scope.arn(f"endpoint-config/{name}")
    body = {key: value for key, value in request.items() if key != "Tags"}
    body.update(EndpointConfigArn=arn, CreationTime=now())
    record = Record(KIND, name, arn, scope, body, tags=as_mapping(request.get("Tags")))
    exists = validation(f'Cannot create already existing endpoint configuration "{arn}".')
    service.store.add(record, already_exists=exists)
    return {"EndpointConfigArn": arn}


def get(service: Service, scope: Scope, name: str) -> Record:
    missing = validation(f'Could not find endpoint configuration "{scope.arn(f"endpoint-config/{name}")}".')
    return service.store.get(KIND, scope, name, missing=missing)


def describe_endpoint_config(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["EndpointConfigName"]))


def delete_endpoint_config(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    """Also while an endpoint uses it: AWS's documentation forbids that and its API does not."""
    service.store.remove(get(service, scope, request["EndpointConfigName"]))
    return {}


def list_endpoint_configs(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"EndpointConfigs": page, "NextToken": token}


ACTIONS = {
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "DeleteEndpointConfig": delete_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
}
