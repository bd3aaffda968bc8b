"""What a deployment holds, so that a run after a fault can be compared with a clean one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.served_models import ServedModels
from tests.local.watching import patiently

SETTLED_WITHIN_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Remains:
    """Counts of everything that costs money or holds data, and who works."""

    endpoints: tuple[tuple[str, str], ...]
    configurations: int
    models: int
    scalable_targets: int
    running_jobs: int
    running_executions: int
    open_uploads: int
    rows: tuple[tuple[str, int], ...]
    packages: int

    @classmethod
    def settled(cls, served: ServedModels) -> Remains:
        """Once what nobody waits for has ended: of a start whose answer was lost, the first execution goes on by itself, and
        so does an update that may not be followed."""
        patiently(lambda: _is_settled(served), seconds=SETTLED_WITHIN_SECONDS)
        return cls.of(served)

    @classmethod
    def of(cls, served: ServedModels) -> Remains:
        sagemaker = served.cloud.client("sagemaker")
        return cls(
            endpoints=tuple(sorted(_endpoints(sagemaker))),
            configurations=len(sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]),
            models=len(sagemaker.list_models(MaxResults=100)["Models"]),
            scalable_targets=len(_scalable_targets(served)),
            running_jobs=_running_jobs(sagemaker),
            running_executions=_running_executions(served),
            open_uploads=_open_uploads(served),
            rows=tuple(_rows(served)),
            packages=sum(len(served.packages(kind)) for kind in ("risk", "performance")),
        )


def _is_settled(served: ServedModels) -> bool:
    statuses = [status for _, status in _endpoints(served.cloud.client("sagemaker"))]
    return _running_executions(served) == 0 and all(status == "InService" for status in statuses)


def _endpoints(sagemaker: Any) -> list[tuple[str, str]]:
    return [(each["EndpointName"], each["EndpointStatus"]) for each in sagemaker.list_endpoints()["Endpoints"]]


def _scalable_targets(served: ServedModels) -> list[Any]:
    scaling = served.cloud.client("application-autoscaling")
    targets: list[Any] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return targets


def _running_jobs(sagemaker: Any) -> int:
    processing = sagemaker.list_processing_jobs(StatusEquals="InProgress")["ProcessingJobSummaries"]
    training = sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    return len(processing) + len(training)


def _running_executions(served: ServedModels) -> int:
    states = served.cloud.client("stepfunctions")
    arns = [served.deployment[f"IopsTraining.{name}Arn"] for name in ("TrainModels", "PromoteModel")]
    return sum(len(states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]) for arn in arns)


def _open_uploads(served: ServedModels) -> int:
    s3, bucket = served.cloud.client("s3"), served.deployment["IopsData.BucketName"]
    return len(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def _rows(served: ServedModels) -> list[tuple[str, int]]:
    dynamodb = served.cloud.client("dynamodb")
    names = [served.deployment[f"IopsData.{table}TableName"] for table in ("Insights", "Predictions")]
    return [
        (name, sum(page["Count"] for page in dynamodb.get_paginator("scan").paginate(TableName=name, Select="COUNT")))
        for name in names
    ]
