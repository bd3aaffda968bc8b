"""The API's actions on endpoints; what they set in motion is in deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.sagemaker import endpoint_configs
from local.sagemaker.deployments import KIND, Live, largest_share_of
from local.sagemaker.errors import SageMakerError, not_on_the_laptop, validation
from local.sagemaker.fleet import VariantFleet
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.tags import as_mapping

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
LARGEST_STEP = 0.5
"""A canary or linear step is at most half of the variant's capacity (deployment guardrails)."""


def create_endpoint(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointName"]
    endpoint_configs.get(service, scope, request["EndpointConfigName"])
    arn, created = scope.arn(f"endpoint/{name}"), now()
    body = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": request["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": created,
        "LastModifiedTime": created,
    }
    record = Record(KIND, name, arn, scope, body, tags=as_mapping(request.get("Tags")))
    record.memory["live"] = Live()
    service.store.add(record, already_exists=validation(f'Cannot create already existing endpoint "{arn}".'))
    service.endpoints.create(record)
    return {"EndpointArn": arn}


def update_endpoint(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, scope, request["EndpointName"])
    config = endpoint_configs.get(service, scope, request["EndpointConfigName"])
    if config.name == record.body["EndpointConfigName"]:
        raise validation("Cannot update endpoint with the endpoint configuration that it already uses.")
    deployment = request.get("DeploymentConfig")
    if deployment is None:
        last = record.body.get("LastDeploymentConfig", {}) if request.get("RetainDeploymentConfig") else {}
        deployment = last
    _check_deployment(service, record, config, deployment)
    _refuse_change_of_scaled_variants(service, record, config)
    _begin(service, record)
    service.endpoints.update(record, request, deployment)
    return {"EndpointArn": record.arn}


def _check_deployment(service: Service, record: Record, config: Record, deployment: Mapping[str, Any]) -> None:
    """A canary or step is at most half of each variant's capacity, so one instance cannot have one of one instance.

    Guardrails exclude a change of the variants (guide, "Exclusions"); how SageMaker words its refusal is not documented.
    """
    if "RollingUpdatePolicy" in deployment:
        raise not_on_the_laptop("a rolling deployment")
    fleet = service.endpoints.live(record).current
    if fleet is None:
        return
    names = {variant["VariantName"] for variant in config.body["ProductionVariants"]}
    if deployment and names != set(fleet.variants):
        raise validation(
            "With a DeploymentConfig the new endpoint configuration must have the variant names of the old one: "
            f"{', '.join(sorted(fleet.variants))}, not {', '.join(sorted(names))}."
        )
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    member = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing.get("Type", ""))
    if member is None:
        return
    if member not in routing or largest_share_of(routing[member], fleet) > LARGEST_STEP:
        raise validation(f"{member} must be at most 50 percent of the variant's instance count.")


def _refuse_change_of_scaled_variants(service: Service, record: Record, config: Record) -> None:
    """A variant that is registered for scaling keeps its instance type and is not removed (guide, "Update or delete
    endpoints that use automatic scaling": deregister it first); how SageMaker words its refusal is not documented."""
    from local.autoscaling.targets import TARGETS

    scaled = {target.variant_name for target in TARGETS.of_endpoint(record.name)}
    if not scaled:
        return
    former = _variants(endpoint_configs.get(service, record.scope, record.body["EndpointConfigName"]))
    wanted = _variants(config)
    for name in sorted(scaled & set(former)):
        if name not in wanted:
            raise validation(f"Variant {name} is registered for auto scaling: deregister it before you remove it.")
        if wanted[name] != former[name]:
            raise validation(
                f"Variant {name} is registered for auto scaling: deregister it before you change its instance type "
                f"from {former[name]} to {wanted[name]}."
            )


def _variants(config: Record) -> dict[str, str]:
    return {variant["VariantName"]: variant["InstanceType"] for variant in config.body["ProductionVariants"]}


def _begin(service: Service, record: Record) -> None:
    with service.store.changing(record) as body:
        _refuse_busy(record)
        if body["EndpointStatus"] != "InService":
            raise validation(f'Cannot update endpoint "{record.arn}" in status {body["EndpointStatus"]}.')
        body["EndpointStatus"] = "Updating"


def _refuse_busy(record: Record) -> None:
    if record.body["EndpointStatus"] in BUSY:
        raise validation(f'Cannot update in-progress endpoint "{record.arn}".')


def update_weights_and_capacities(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, scope, request["EndpointName"])
    wanted = {change["VariantName"]: change for change in request["DesiredWeightsAndCapacities"]}
    _refuse_busy(record)
    fleet = service.endpoints.live(record).current
    for name, change in wanted.items():
        if fleet is None or fleet.named(name) is None:
            raise validation(f'Variant "{name}" does not exist in endpoint "{record.arn}".')
        if "ServerlessUpdateConfig" in change:
            raise not_on_the_laptop("a serverless variant")
    _begin(service, record)
    service.endpoints.resize(record, wanted)
    return {"EndpointArn": record.arn}


def delete_endpoint(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, scope, request["EndpointName"])
    with service.store.changing(record) as body:
        _refuse_busy(record)
        body["EndpointStatus"] = "Deleting"
    service.endpoints.delete(record)
    return {}


def missing(scope: Scope, name: str) -> SageMakerError:
    return validation(f'Could not find endpoint "{scope.arn(f"endpoint/{name}")}".')


def get(service: Service, scope: Scope, name: str) -> Record:
    return service.store.get(KIND, scope, name, missing=missing(scope, name))


def describe_endpoint(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, scope, request["EndpointName"])
    body = service.store.snapshot(record)
    live = service.endpoints.live(record)
    fleet = live.current
    if fleet is not None:
        body["ProductionVariants"] = [_described(variant) for variant in fleet.variants.values()]
        if fleet.shadows:
            body["ShadowProductionVariants"] = [_described(variant) for variant in fleet.shadows.values()]
        if fleet.capture:
            body["DataCaptureConfig"] = _capture_summary(fleet.capture)
    if live.next_config is not None:
        body["PendingDeploymentSummary"] = _pending(service, scope, live)
    return body


def _capture_summary(capture: Mapping[str, Any]) -> dict[str, Any]:
    is_on = bool(capture.get("EnableCapture"))
    return {
        "EnableCapture": is_on,
        "CaptureStatus": "Started" if is_on else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }


def _pending(service: Service, scope: Scope, live: Live) -> dict[str, Any]:
    record = service.store.find("EndpointConfig", scope, str(live.next_config))
    variants = record.body["ProductionVariants"] if record else []
    return {
        "EndpointConfigName": live.next_config,
        "StartTime": live.update_started,
        "ProductionVariants": [
            {"VariantName": variant["VariantName"], "VariantStatus": [{"Status": "Creating"}]} for variant in variants
        ],
    }


def _described(variant: VariantFleet) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.servable.image, "ResolvedImage": variant.servable.image}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": sum(instance.is_ready for instance in variant.instances),
        "DesiredInstanceCount": variant.desired,
    }


def list_endpoints(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"Endpoints": page, "NextToken": token}


ACTIONS = {
    "CreateEndpoint": create_endpoint,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_weights_and_capacities,
    "DescribeEndpoint": describe_endpoint,
    "DeleteEndpoint": delete_endpoint,
    "ListEndpoints": list_endpoints,
}
