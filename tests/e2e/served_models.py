"""Models that are live within seconds of a deployment: trained small by the container's own commands, registered as
TrainModels registers them, promoted by the deployed PromoteModel.

A test module says what it needs by a `serving_options` fixture and gets the module's deployment by `served`:

    @pytest.fixture(scope="module")
    def serving_options() -> ServingOptions:
        return ServingOptions(kinds=("risk",), images={"slow:1": str(Path(__file__).parent / "images" / "slow.py")})

    def test_...(served: ServedModels): ...
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.cloud import LaptopCloud
from local.execution import Execution, run_execution
from local.run import Deployment
from local.settings import ACCOUNT, DEFAULT_WAIT_SCALE, REGION
from training_container.__main__ import main

RECORDS, SEED, ROUNDS = "3000", "5", "20"
KINDS = ("risk", "performance")
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
APP_IMAGE = f"{REGISTRY}/iops-insights:laptop"
WATCHED = ("data_capture_percent=100", "tuning_max_jobs=3", "tuning_max_parallel_jobs=2")
"""Context of a deployment that keeps every answer and retrains soon; one synthesis for all modules that want it."""


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """context: further `-c name=value` of the deployment; a client may ask as often as a test does. images: "name:tag" ->
    module or .py file that it runs. record_calls: what every role asked for, for local.permissions.audit. faults: whether
    local.faults can strike."""

    kinds: tuple[str, ...] = KINDS
    context: tuple[str, ...] = ("client_requests_per_minute=1000000",)
    images: Mapping[str, str] = field(default_factory=dict)
    wait_scale: float = DEFAULT_WAIT_SCALE
    record_calls: bool = True
    faults: bool = False


def train_models(root: Path) -> dict[str, Path]:
    """A model folder for each kind, of a fleet so small that it takes seconds."""
    raw, features = root / "raw", root / "features"
    run("generate", "--records", RECORDS, "--seed", SEED, "--futures", "0", "--output", raw)
    run("engineer", "--input", raw / "training-data.json", "--output", features)
    for kind in KINDS:
        run("train", "--kind", kind, "--input", features, "--model", root / kind, "--num-round", ROUNDS)
    return {kind: root / kind for kind in KINDS}


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def image_uri(name: str) -> str:
    """The URI of an image that ServingOptions.images names."""
    return f"{REGISTRY}/{name}"


@dataclass(frozen=True)
class ServedModels:
    """One deployment with a live model of each kind wanted; every model ever registered stays in the registry."""

    cloud: LaptopCloud
    deployment: Deployment
    folders: Mapping[str, Path]
    """The trained model folders; not to be changed, `variant` copies one."""

    def variant(self, kind: str, folder: Path, edit: Callable[[Path], None]) -> Path:
        """A copy of the trained model in `folder`, edited."""
        shutil.copytree(self.folders[kind], folder)
        edit(folder)
        return folder

    def register(
        self,
        kind: str,
        *,
        folder: Path | None = None,
        golden: Path | None = None,
        image: str = APP_IMAGE,
        environment: Mapping[str, str] | None = None,
        approved: bool = True,
    ) -> str:
        """A model package of a model folder, with the golden predictions of `golden` (the folder's own); its ARN."""
        folder = folder or self.folders[kind]
        bucket, run_id = self.deployment["IopsData.BucketName"], f"by-hand-{uuid.uuid4().hex[:12]}"
        archive_uri = self._put(f"models/{run_id}/{kind}/by-hand/output/model.tar.gz", packed(folder))
        prefix = f"models/{run_id}/{kind}/evaluation"
        self._put(f"{prefix}/golden.json", (golden or folder / "golden.json").read_bytes())
        self._put(f"{prefix}/metrics.json", json.dumps({"kind": kind, "judged": False}).encode())
        self._put(f"{prefix}/report.html", b"<p>Registered by hand: nothing was evaluated.</p>")
        evaluation = f"s3://{bucket}/{prefix}"
        container = {"Image": image, "ModelDataUrl": archive_uri, "Environment": dict(environment or {})}
        package = self.cloud.client("sagemaker").create_model_package(
            ModelPackageGroupName=f"iops-{kind}",
            ModelPackageDescription="registered by hand",
            ModelApprovalStatus="Approved" if approved else "Rejected",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json", "text/csv"],
                "SupportedResponseMIMETypes": ["application/json"],
                "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            },
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": f"{evaluation}/metrics.json"}
                }
            },
            CustomerMetadataProperties={
                "kind": kind,
                "run_id": run_id,
                "golden_uri": f"{evaluation}/golden.json",
                "report_uri": f"{evaluation}/report.html",
                "metrics_uri": f"{evaluation}/metrics.json",
            },
        )
        return str(package["ModelPackageArn"])

    def packages(self, kind: str) -> list[dict[str, Any]]:
        """Every version that was ever registered."""
        pages = self.cloud.client("sagemaker").get_paginator("list_model_packages")
        found = pages.paginate(ModelPackageGroupName=f"iops-{kind}")
        return [package for page in found for package in page["ModelPackageSummaryList"]]

    def promote(self, kind: str, package: str, **given: Any) -> Execution:
        """Run PromoteModel to its end, however it ends."""
        return self.execute("PromoteModel", {"kind": kind, "model_package_arn": package, "reason": "a test", **given})

    def execute(self, machine: str, given: Mapping[str, Any]) -> Execution:
        return run_execution(
            self.cloud.client("stepfunctions"),
            state_machine_arn=self.deployment[f"IopsTraining.{machine}Arn"],
            execution_input=dict(given),
        )

    def make_live(self, kind: str, package: str | None = None) -> str:
        """Promote a package (a newly registered one of the trained model) and insist that it went live; its ARN."""
        package = package or self.register(kind)
        execution = self.promote(kind, package)
        assert execution.status == "SUCCEEDED", execution.cause
        return package

    def live_package(self, kind: str) -> str:
        """The stack's parameter, which is what is live."""
        stacks = self.cloud.client("cloudformation").describe_stacks(StackName=f"Iops{kind.capitalize()}Endpoint")
        parameters = stacks["Stacks"][0]["Parameters"]
        return next(str(p["ParameterValue"]) for p in parameters if p["ParameterKey"] == "LivePackage")

    def endpoint(self, kind: str) -> dict[str, Any]:
        described: dict[str, Any] = self.cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint_name(kind))
        return described

    def golden_csv(self, kind: str) -> str:
        """The golden rows of the trained model as a request body."""
        rows = json.loads((self.folders[kind] / "golden.json").read_text())["rows"]
        return "".join(",".join("" if value is None else repr(value) for value in row) + "\n" for row in rows)

    def invoke(self, kind: str, body: str | None = None, **members: Any) -> dict[str, Any]:
        """The model's answer to CSV rows (its golden ones); boto3's errors pass through."""
        answer = self.cloud.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint_name(kind),
            Body=(body or self.golden_csv(kind)).encode(),
            **{"ContentType": "text/csv", **members},
        )
        told: dict[str, Any] = json.loads(answer["Body"].read())
        return told

    def _put(self, key: str, body: bytes) -> str:
        bucket = self.deployment["IopsData.BucketName"]
        self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"


def endpoint_name(kind: str) -> str:
    return f"iops-{kind}-predictor"


def packed(folder: Path) -> bytes:
    """model.tar.gz as SageMaker packs /opt/ml/model."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
    return archive.getvalue()
