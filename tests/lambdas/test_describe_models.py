from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.describe_models.describe_models import KEPT_SECONDS, LiveModels, ModelsEnvironment

ENVIRONMENT = ModelsEnvironment(
    risk_endpoint_name="iops-risk-predictor",
    performance_endpoint_name="iops-performance-predictor",
    risk_live_package_parameter="/iops-insights/risk/live-package",
    performance_live_package_parameter="/iops-insights/performance/live-package",
    bucket_name="bucket",
    requests_table_name="requests",
    client_requests_per_minute=1000,
    allowed_origins="http://localhost:3000",
)
DRIFT: dict[str, Any] = {"risk": {"drift_detected": False}, "performance": {"of": "a model that is gone"}}
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3"


class SageMaker:
    """Endpoints by name with their status; one package."""

    def __init__(self, make_refusal: Any, **statuses: str) -> None:
        self.make_refusal, self.statuses, self.calls = make_refusal, statuses, 0
        self.properties = {"kind": "risk", "metric_accuracy": "0.93", "metric_rows": "2100", "report_uri": "s3://b/r"}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        self.calls += 1
        status = self.statuses.get(EndpointName.split("-")[1])
        if status is None:
            raise self.make_refusal("ValidationException", "DescribeEndpoint")
        return {"EndpointStatus": status, "ProductionVariants": [{"CurrentInstanceCount": 2}]}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        return {
            "ModelPackageArn": ModelPackageName,
            "ModelPackageVersion": 3,
            "CreationTime": datetime(2026, 3, 2, 10, 0, tzinfo=UTC),
            "ModelApprovalStatus": "Approved",
            "ModelPackageDescription": "accuracy 0.93 is at least 0.9; beats persistence",
            "CustomerMetadataProperties": self.properties,
        }


class Parameters:
    """The notes of the endpoint stacks: `value`, or a package for the risk model only."""

    def __init__(self, value: str | None = None) -> None:
        self.value = value

    def get_parameter(self, Name: str) -> dict[str, Any]:
        return {"Parameter": {"Value": self.value or (PACKAGE if "risk" in Name else "none")}}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def live(sagemaker: SageMaker, clock: Clock | None = None) -> LiveModels:
    return LiveModels(ENVIRONMENT, sagemaker, Parameters(), lambda kind: DRIFT[kind], clock or Clock())


def test_a_live_model_is_described_by_its_package_and_an_absent_one_is_said_to_be(make_refusal: Any) -> None:
    risk, performance = live(SageMaker(make_refusal, risk="InService")).models()["models"]
    assert risk == {
        "kind": "risk",
        "status": "live",
        "endpoint_name": "iops-risk-predictor",
        "instances": 2,
        "version": 3,
        "model_package_arn": PACKAGE,
        "created_at": "2026-03-02T10:00:00.000Z",
        "metrics": {"accuracy": 0.93, "rows": 2100.0},
        "gate": {"passed": True, "reasons": ["accuracy 0.93 is at least 0.9", "beats persistence"]},
        "drift": {"drift_detected": False},
    }
    assert performance == {
        "kind": "performance",
        "status": "absent",
        "endpoint_name": "iops-performance-predictor",
        "instances": 0,
        "version": None,
        "model_package_arn": None,
        "created_at": None,
        "metrics": {},
        "gate": None,
        "drift": None,
    }


def test_a_package_that_no_gate_judged_has_no_verdict(make_refusal: Any) -> None:
    sagemaker = SageMaker(make_refusal, risk="InService")
    sagemaker.properties = {"kind": "risk"}
    risk, _ = live(sagemaker).models()["models"]
    assert (risk["version"], risk["metrics"], risk["gate"]) == (3, {}, None)


@pytest.mark.parametrize(
    ("status", "told", "health"),
    [
        ("InService", "live", "ok"),
        ("Updating", "updating", "ok"),
        ("RollingBack", "updating", "ok"),
        ("Creating", "absent", "degraded"),
        ("Failed", "failed", "degraded"),
        ("OutOfService", "failed", "degraded"),
    ],
)
def test_an_endpoints_status_decides_the_health(make_refusal: Any, status: str, told: str, health: str) -> None:
    answer = live(SageMaker(make_refusal, risk=status, performance="InService")).health()
    assert answer == {"status": health, "models": {"risk": told, "performance": "live"}, "returns_at": None}


def resting(sagemaker: SageMaker, parameters: Any) -> LiveModels:
    hours = replace(ENVIRONMENT, serving_hours="Mon 06:00-20:00", serving_windows="[[360, 1200]]")
    return LiveModels(hours, sagemaker, parameters, Clock(), now=lambda: datetime(2026, 3, 2, 21, tzinfo=UTC))


def test_models_that_rest_by_plan_are_no_fault_and_say_when_they_return(make_refusal: Any) -> None:
    models = resting(SageMaker(make_refusal), Parameters("resting"))
    assert models.health() == {
        "status": "resting",
        "models": {"risk": "resting", "performance": "resting"},
        "returns_at": "2026-03-09T06:00:00.000Z",
    }
    assert [(model["status"], model["version"]) for model in models.models()["models"]] == [("resting", None)] * 2


def test_one_that_rests_does_not_hide_one_that_failed(make_refusal: Any) -> None:
    health = resting(SageMaker(make_refusal, risk="Failed"), Parameters("resting")).health()
    assert (health["status"], health["models"]) == ("degraded", {"risk": "failed", "performance": "resting"})


def test_an_endpoint_whose_stack_is_not_there_is_absent(make_refusal: Any) -> None:
    class NoParameters:
        def get_parameter(self, Name: str) -> dict[str, Any]:
            raise make_refusal("ParameterNotFound", "GetParameter")

    assert resting(SageMaker(make_refusal), NoParameters()).health()["models"]["risk"] == "absent"


def test_answers_are_kept_for_a_while_as_anybody_may_ask(make_refusal: Any) -> None:
    sagemaker, clock = SageMaker(make_refusal, risk="InService", performance="InService"), Clock()
    models = live(sagemaker, clock)
    for _ in range(5):
        models.health()
    assert sagemaker.calls == 2
    clock.now += KEPT_SECONDS
    sagemaker.statuses["risk"] = "Failed"
    assert models.health()["status"] == "degraded"


def test_what_sagemaker_refuses_otherwise_is_no_absent_model(make_refusal: Any) -> None:
    class Throttling(SageMaker):
        def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
            raise self.make_refusal("ThrottlingException", "DescribeEndpoint")

    with pytest.raises(ClientError, match="ThrottlingException"):
        live(Throttling(make_refusal)).health()
