"""AWS::SageMaker::Model, EndpointConfig, Endpoint and ModelPackageGroup.

Ref gives the ARN and GetAtt the name, as the CloudFormation reference says of all four; the ARN is the physical id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from local.cloudformation.acting import sagemaker

Created = tuple[str, dict[str, Any]]
Properties = Mapping[str, Any]

POLL_SECONDS = 0.2
ENDPOINT_FAILURES = ("Failed", "UpdateRollbackFailed", "OutOfService")
NAME_LIMIT = 63

REPLACING: dict[str, tuple[str, ...]] = {
    "AWS::SageMaker::Model": (
        "ModelName",
        "Containers",
        "PrimaryContainer",
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
        "InferenceExecutionConfig",
        "VpcConfig",
    ),
    "AWS::SageMaker::EndpointConfig": (
        "EndpointConfigName",
        "ProductionVariants",
        "ShadowProductionVariants",
        "DataCaptureConfig",
        "AsyncInferenceConfig",
        "ExplainerConfig",
        "KmsKeyId",
        "VpcConfig",
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
    ),
    "AWS::SageMaker::Endpoint": ("EndpointName",),
    "AWS::SageMaker::ModelPackageGroup": ("ModelPackageGroupName", "ModelPackageGroupDescription"),
}
"""Properties whose change creates a new resource ("Update requires: Replacement")."""


FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.lower() == "true",
}


def name_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def typed(action: str, request: Properties) -> dict[str, Any]:
    """The properties with the types of SageMaker's model: parameters and intrinsics make text of numbers and
    booleans."""
    from local.sagemaker.validation import service_model

    shape = service_model().operation_model(action).input_shape
    result: dict[str, Any] = with_types(shape, dict(request))
    return result


def with_types(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return {
            name: with_types(shape.members[name], member) if name in shape.members else member
            for name, member in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [with_types(shape.member, member) for member in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: with_types(shape.value, member) for key, member in value.items()}
    if isinstance(value, str) and kind in FROM_TEXT:
        return FROM_TEXT[kind](value)
    return str(value) if kind == "string" and isinstance(value, int | float) else value


def generated_name(logical_id: str, stack_name: str) -> str:
    from ministack.services.cloudformation.provisioners import _physical_name

    return str(_physical_name(stack_name, logical_id, max_len=NAME_LIMIT))


def create_model(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    name = props.get("ModelName") or generated_name(logical_id, stack_name)
    answer = sagemaker("CreateModel", typed("CreateModel", {**props, "ModelName": name}))
    sagemaker("DescribeModel", {"ModelName": name})  # CloudFormation reads what it made
    return answer["ModelArn"], {"ModelName": name}


def delete_model(physical_id: str, props: Properties) -> None:
    ignoring_missing("DeleteModel", {"ModelName": name_of(physical_id)})


def create_endpoint_config(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    name = props.get("EndpointConfigName") or generated_name(logical_id, stack_name)
    request = {**props, "EndpointConfigName": name}
    answer = sagemaker("CreateEndpointConfig", typed("CreateEndpointConfig", request))
    sagemaker("DescribeEndpointConfig", {"EndpointConfigName": name})
    return answer["EndpointConfigArn"], {"EndpointConfigName": name}


def delete_endpoint_config(physical_id: str, props: Properties) -> None:
    ignoring_missing("DeleteEndpointConfig", {"EndpointConfigName": name_of(physical_id)})


def create_endpoint(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    name = props.get("EndpointName") or generated_name(logical_id, stack_name)
    members = ("EndpointConfigName", "DeploymentConfig", "Tags")
    request = {"EndpointName": name, **{member: props[member] for member in members if member in props}}
    answer = sagemaker("CreateEndpoint", typed("CreateEndpoint", request))
    wait_until_settled(name)
    return answer["EndpointArn"], {"EndpointName": name}


def update_endpoint(
    physical_id: str, old_props: Properties, new_props: dict[str, Any], stack_name: str, logical_id: str | None = None
) -> Created:
    """UpdateEndpoint with the deployment's guardrails; a silently rolled-back endpoint is InService again, and so is
    a success."""
    name = name_of(physical_id)
    request: dict[str, Any] = {"EndpointName": name, "EndpointConfigName": new_props["EndpointConfigName"]}
    for member in ("DeploymentConfig", "RetainAllVariantProperties", "RetainDeploymentConfig"):
        if member in new_props:
            request[member] = new_props[member]
    if excluded := new_props.get("ExcludeRetainedVariantProperties"):
        request["ExcludeRetainedVariantProperties"] = excluded
    if old_props.get("EndpointConfigName") != new_props["EndpointConfigName"]:
        sagemaker("UpdateEndpoint", typed("UpdateEndpoint", request))
        wait_until_settled(name)
    return physical_id, {"EndpointName": name}


def wait_until_settled(name: str) -> None:
    """Wait for InService; raises ValueError with SageMaker's reason where the endpoint cannot serve."""
    while True:
        described = sagemaker("DescribeEndpoint", {"EndpointName": name})
        status = described["EndpointStatus"]
        if status == "InService":
            return
        if status in ENDPOINT_FAILURES:
            raise ValueError(f"Endpoint {name} is {status}: {described.get('FailureReason', 'no reason given')}")
        time.sleep(POLL_SECONDS)


def delete_endpoint(physical_id: str, props: Properties) -> None:
    from local.autoscaling.targets import TARGETS
    from local.sagemaker.errors import SageMakerError

    name = name_of(physical_id)
    if not ignoring_missing("DeleteEndpoint", {"EndpointName": name}):
        return
    TARGETS.forget_endpoint(name)
    while True:
        try:
            sagemaker("DescribeEndpoint", {"EndpointName": name})
        except SageMakerError:
            return
        time.sleep(POLL_SECONDS)


def create_group(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    members = ("ModelPackageGroupName", "ModelPackageGroupDescription", "Tags")
    answer = sagemaker("CreateModelPackageGroup", {member: props[member] for member in members if member in props})
    arn = answer["ModelPackageGroupArn"]
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}


def delete_group(physical_id: str, props: Properties) -> None:
    ignoring_missing("DeleteModelPackageGroup", {"ModelPackageGroupName": name_of(physical_id)})


def in_place(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    """What remains to update in place are tags, which change nothing here; the attributes stay."""
    noun = physical_id.split(":")[5].partition("/")[0]
    attribute = {"model": "ModelName", "endpoint-config": "EndpointConfigName"}.get(noun)
    return physical_id, {attribute: name_of(physical_id)} if attribute else {"ModelPackageGroupArn": physical_id}


def ignoring_missing(action: str, request: Properties) -> bool:
    """Delete; False where it was gone already, which SageMaker says as a ValidationException or a ResourceNotFound."""
    from local.sagemaker.errors import SageMakerError

    try:
        sagemaker(action, request)
    except SageMakerError as error:
        if error.code == "ResourceNotFound" or "could not find" in error.message.lower():
            return False
        if "does not exist" in error.message.lower():
            return False
        raise
    return True


HANDLERS: dict[str, dict[str, Any]] = {
    "AWS::SageMaker::Model": {"create": create_model, "update": in_place, "delete": delete_model},
    "AWS::SageMaker::EndpointConfig": {
        "create": create_endpoint_config,
        "update": in_place,
        "delete": delete_endpoint_config,
    },
    "AWS::SageMaker::Endpoint": {
        "create": create_endpoint,
        "update": update_endpoint,
        "update_with_logical_id": True,
        "delete": delete_endpoint,
    },
    "AWS::SageMaker::ModelPackageGroup": {"create": create_group, "update": in_place, "delete": delete_group},
}
