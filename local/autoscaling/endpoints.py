"""What auto scaling asks of SageMaker: a variant's configuration and size, and to change the size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.settings import ACCOUNT, REGION

SETTLED = "InService"
"""Scaling is blocked while an endpoint is being updated (SageMaker guide, "Automatic scaling")."""


@dataclass(frozen=True)
class VariantSize:
    current: int
    desired: int
    status: str


def _sagemaker(action: str, request: dict[str, Any]) -> dict[str, Any]:
    from local.sagemaker import api

    return api.call(action, request, account=ACCOUNT, region=REGION)


def configured_variant(endpoint_name: str, variant_name: str) -> dict[str, Any] | None:
    from local.sagemaker.errors import SageMakerError

    try:
        endpoint = _sagemaker("DescribeEndpoint", {"EndpointName": endpoint_name})
        config = _sagemaker("DescribeEndpointConfig", {"EndpointConfigName": endpoint["EndpointConfigName"]})
    except SageMakerError:
        return None
    variants = config.get("ProductionVariants", [])
    return next((variant for variant in variants if variant["VariantName"] == variant_name), None)


def variant_size(endpoint_name: str, variant_name: str) -> VariantSize | None:
    """None while there is no such variant."""
    from local.sagemaker.errors import SageMakerError

    try:
        endpoint = _sagemaker("DescribeEndpoint", {"EndpointName": endpoint_name})
    except SageMakerError:
        return None
    for variant in endpoint.get("ProductionVariants", []):
        if variant["VariantName"] == variant_name:
            current = int(variant.get("CurrentInstanceCount", 0))
            return VariantSize(current, int(variant.get("DesiredInstanceCount", current)), endpoint["EndpointStatus"])
    return None


def set_size(endpoint_name: str, variant_name: str, count: int) -> None:
    _sagemaker(
        "UpdateEndpointWeightsAndCapacities",
        {
            "EndpointName": endpoint_name,
            "DesiredWeightsAndCapacities": [{"VariantName": variant_name, "DesiredInstanceCount": count}],
        },
    )
