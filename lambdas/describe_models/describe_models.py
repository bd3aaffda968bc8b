"""Which models are live, how good they were at the gate and are now, and whether the service can answer at all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import timestamp_text
from lambdas.throttling import error_code

KINDS: Final = ("risk", "performance")
# Health is open to everybody, and SageMaker's describing calls are few per second and account.
KEPT_SECONDS: Final = 10.0
# DescribeEndpoint's EndpointStatus -> ours. An endpoint answers while it is updated, and not before it is made.
_STATUS: Final[Mapping[str, str]] = {
    "InService": "live",
    "Updating": "updating",
    "SystemUpdating": "updating",
    "RollingBack": "updating",
    "Creating": "absent",
    "Deleting": "absent",
}
_METRIC_PREFIX: Final = "metric_"


@dataclass(frozen=True)
class ModelsEnvironment:
    risk_endpoint_name: str
    performance_endpoint_name: str
    risk_live_package_parameter: str
    performance_live_package_parameter: str
    bucket_name: str
    requests_table_name: str
    client_requests_per_minute: int
    allowed_origins: str

    def endpoint_of(self, kind: str) -> str:
        return self.risk_endpoint_name if kind == "risk" else self.performance_endpoint_name

    def parameter_of(self, kind: str) -> str:
        return self.risk_live_package_parameter if kind == "risk" else self.performance_live_package_parameter


@dataclass
class LiveModels:
    """Answers are kept for KEPT_SECONDS. `latest_watch` tells what was last found of a kind's model, or None."""

    environment: ModelsEnvironment
    sagemaker: Any
    ssm: Any
    latest_watch: Callable[[str], dict[str, Any] | None]
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    def models(self) -> dict[str, Any]:
        return {"models": [self._remembered(f"{kind} model", partial(self._model, kind)) for kind in KINDS]}

    def health(self) -> dict[str, Any]:
        """ "degraded" where a model cannot be asked."""
        endpoints = {kind: self._endpoint(kind)["status"] for kind in KINDS}
        is_well = all(status in ("live", "updating") for status in endpoints.values())
        return {"status": "ok" if is_well else "degraded", "models": endpoints}

    def _endpoint(self, kind: str) -> dict[str, Any]:
        return self._remembered(
            f"{kind} endpoint", lambda: described_endpoint(self.sagemaker, self.environment.endpoint_of(kind))
        )

    def _model(self, kind: str) -> dict[str, Any]:
        endpoint = self._endpoint(kind)
        known = {"kind": kind, **endpoint}
        if endpoint["status"] == "absent":
            return {**known, **_NOTHING_LIVE}
        value = self.ssm.get_parameter(Name=self.environment.parameter_of(kind))["Parameter"]["Value"]
        if not value.startswith("arn:"):
            return {**known, **_NOTHING_LIVE}
        package = described_package(self.sagemaker.describe_model_package(ModelPackageName=value))
        return {**known, **package, "drift": self.latest_watch(kind)}

    def _remembered(self, name: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        at, answer = self._kept.get(name, (-math.inf, {}))
        if self.clock() - at >= KEPT_SECONDS:
            answer = ask()
            self._kept[name] = self.clock(), answer
        return answer


_NOTHING_LIVE: Final[Mapping[str, Any]] = {
    "version": None,
    "model_package_arn": None,
    "created_at": None,
    "metrics": {},
    "gate": None,
    "drift": None,
}


def described_endpoint(sagemaker: Any, name: str) -> dict[str, Any]:
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ValidationError"):
            raise
        return {"status": "absent", "endpoint_name": name, "instances": 0}
    instances = sum(variant.get("CurrentInstanceCount", 0) for variant in endpoint.get("ProductionVariants", []))
    status = _STATUS.get(endpoint["EndpointStatus"], "failed")
    return {"status": status, "endpoint_name": name, "instances": int(instances)}


def described_package(package: Mapping[str, Any]) -> dict[str, Any]:
    """The gate's numbers and reasons stand on the package itself; one that was registered by hand has none."""
    properties = package.get("CustomerMetadataProperties", {})
    metrics = {
        name.removeprefix(_METRIC_PREFIX): float(text)
        for name, text in properties.items()
        if name.startswith(_METRIC_PREFIX)
    }
    reasons = str(package.get("ModelPackageDescription", "")).split("; ")
    return {
        "version": int(package["ModelPackageVersion"]),
        "model_package_arn": package["ModelPackageArn"],
        "created_at": timestamp_text(package["CreationTime"]),
        "metrics": metrics,
        "gate": {"passed": package.get("ModelApprovalStatus") == "Approved", "reasons": reasons} if metrics else None,
    }
