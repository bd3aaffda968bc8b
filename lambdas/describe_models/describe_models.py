"""Which models are live, how good they were at the gate and are now, and whether the service can answer at all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import KINDS, timestamp_text
from lambdas.client_errors import error_code, is_missing_in_sagemaker
from lambdas.serving_hours import ServingHours, next_return

# What the endpoint stack notes as the live package while serving is switched off (stacks/endpoint_stack.py).
RESTING: Final = "resting"
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
    serving_hours: str = ""
    serving_windows: str = ""

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
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _kept: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    @property
    def hours(self) -> ServingHours:
        return ServingHours.from_environment(self.environment.serving_hours, self.environment.serving_windows)

    def models(self) -> dict[str, Any]:
        return {"models": [self._remembered(f"{kind} model", partial(self._model, kind)) for kind in KINDS]}

    def health(self) -> dict[str, Any]:
        """ "degraded" where a model cannot be asked, "resting" where that is so by plan only."""
        endpoints = {kind: self._endpoint(kind)["status"] for kind in KINDS}
        found = set(endpoints.values())
        is_well, is_resting = found <= {"live", "updating"}, found <= {"live", "updating", RESTING}
        returns_at = next_return(self.hours, self.now()) if RESTING in found else None
        return {
            "status": "ok" if is_well else RESTING if is_resting else "degraded",
            "models": endpoints,
            "returns_at": returns_at and timestamp_text(returns_at),
        }

    def _endpoint(self, kind: str) -> dict[str, Any]:
        return self._remembered(f"{kind} endpoint", partial(self._described_endpoint, kind))

    def _described_endpoint(self, kind: str) -> dict[str, Any]:
        endpoint = described_endpoint(self.sagemaker, self.environment.endpoint_of(kind))
        if endpoint["status"] == "absent" and self._live_package(kind) == RESTING:
            return {**endpoint, "status": RESTING}
        return endpoint

    def _live_package(self, kind: str) -> str:
        """The endpoint stack's note: a package's ARN, "none" or "resting"."""
        try:
            found = self.ssm.get_parameter(Name=self.environment.parameter_of(kind))
        except ClientError as error:
            if error_code(error) != "ParameterNotFound":
                raise
            return "none"  # the endpoint's stack is not deployed
        return str(found["Parameter"]["Value"])

    def _model(self, kind: str) -> dict[str, Any]:
        endpoint = self._endpoint(kind)
        known = {"kind": kind, **endpoint}
        if endpoint["status"] in ("absent", RESTING):
            return {**known, **_NOTHING_LIVE}
        value = self._live_package(kind)
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
        if not is_missing_in_sagemaker(error):
            raise
        return {"status": "absent", "endpoint_name": name, "instances": 0}
    instances = sum(variant.get("CurrentInstanceCount", 0) for variant in endpoint.get("ProductionVariants", []))
    status = _STATUS.get(endpoint["EndpointStatus"], "failed")
    return {"status": status, "endpoint_name": name, "instances": int(instances)}


def described_package(package: Mapping[str, Any]) -> dict[str, Any]:
    """The gate's numbers and reasons stand on the package itself; one that was registered by hand has none."""
    properties = package.get("CustomerMetadataProperties", {})
    told = {
        name.removeprefix(_METRIC_PREFIX): _number(text)
        for name, text in properties.items()
        if name.startswith(_METRIC_PREFIX)
    }
    metrics = {name: number for name, number in told.items() if number is not None}
    reasons = str(package.get("ModelPackageDescription", "")).split("; ")
    return {
        "version": int(package["ModelPackageVersion"]),
        "model_package_arn": package["ModelPackageArn"],
        "created_at": timestamp_text(package["CreationTime"]),
        "metrics": metrics,
        "gate": {"passed": package.get("ModelApprovalStatus") == "Approved", "reasons": reasons} if metrics else None,
    }


def _number(text: object) -> float | None:
    """None for what was written by hand and is none, or none that JSON knows."""
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
