"""How tests/upgrade/previous was made: the previous release's own code writes one of everything that it stores.

In a checkout of that release (3d844ae: the last one before monitoring, experiments, retraining and drift), with its tests'
in-memory AWS:

    git worktree add build/previous 3d844ae
    cp tests/upgrade/make_previous.py build/previous/tests/lambdas/test_make_previous.py
    cd build/previous && PREVIOUS=../../tests/upgrade/previous python -m pytest -q tests/lambdas/test_make_previous.py

Models small enough for a repository: 2,500 records, three rounds, depth 3. The promotion records are written by a state of
the workflow; `promotions` says so in that state's own fields (stacks/workflows/promotion_record.py of the release).
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lambdas.ingest_insights.writer import InsightWriter

from insights.schema import Insight
from lambdas.export_insights.batches import Batch, BatchNames, write_batch
from lambdas.give_feedback.give_feedback import give_feedback
from lambdas.track_devices.track_devices import track_devices
from lambdas.write_manifest.write_manifest import write_manifest
from tests.lambdas.predicting import NOW, Model, asked, told
from training_container.__main__ import main

OUTPUT = Path(os.environ.get("PREVIOUS", "build/previous"))
RUN = "0123456789ab"
SCORE = {
    "performance_score": 71.5,
    "interval": {"lower": 60.0, "upper": 80.0, "level": 0.9},
    "confidence": 0.8,
    "contributions": [{"feature": "p99_latency", "value": None, "contribution": 0.25}],
}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/{}"
MakeInsight = Callable[..., Insight]


def write(name: str, value: Any) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / name).write_text(json.dumps(value, indent=1) + "\n")


@pytest.fixture
def rows(cloud: Any, make_insight: MakeInsight) -> list[Insight]:
    """A device with an alert, labels of both sources and nulls, and one of which little is known."""
    full = [make_insight("nvme-1", n, p99_latency_ms=4.0 + n, alert=n == 3, device_class="nvme") for n in range(18)]
    labelled = [
        make_insight("nvme-1", 18, risk_level="high", label_source="operator"),
        make_insight("nvme-1", 19, risk_level="low", performance_score=90.0, label_source="auto"),
    ]
    made = [*full, *labelled, *(make_insight("hdd-2", n, avg_latency_ms=None) for n in range(12))]
    InsightWriter("insights", cloud.dynamodb).write(made)
    return made


def test_tables_and_export(cloud: Any, rows: list[Insight]) -> None:
    suffixes = iter(("0a1b2c3d", "1a1b2c3d")).__next__
    risk = asked(cloud, {"device_id": "nvme-1"}, Model(), suffixes=suffixes)
    asked(cloud, {"device_id": "nvme-1"}, Model(told(SCORE)), kind="performance", suffixes=suffixes)
    feedback = {
        "device_id": "nvme-1",
        "prediction_id": risk["prediction_id"],
        "risk_level": "critical",
        "comment": "it was",
    }
    give_feedback(
        feedback, given_by="operator@example.com", table="predictions", dynamodb=cloud.dynamodb, now=lambda: NOW
    )
    predictions = cloud.dynamodb.scan(TableName="predictions")["Items"]
    records = [*cloud.rows(), *predictions]
    track_devices(
        [_record(item, number) for number, item in enumerate(records)], table="devices", dynamodb=cloud.dynamodb
    )
    for table in ("insights", "predictions", "devices"):
        write(f"{table}.json", cloud.dynamodb.scan(TableName=table)["Items"])
    batch = Batch()
    for row in rows:
        batch.add(row)
    write_batch(cloud.s3, cloud.bucket, BatchNames(RUN, f"raw/{RUN}/", 0), 0, batch)
    write_manifest(run_id=RUN, bucket=cloud.bucket, raw_prefix=f"raw/{RUN}/", s3=cloud.s3)
    write("raw.json", {key: body.decode() for key, body in cloud.objects(f"raw/{RUN}/").items()})


def _record(item: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(number), "NewImage": item}}


def test_models(tmp_path: Path) -> None:
    raw, features = tmp_path / "raw", tmp_path / "features"
    assert main(["generate", "--records", "2500", "--seed", "5", "--output", str(raw)]) == 0
    assert main(["engineer", "--input", str(raw / "training-data.json"), "--output", str(features)]) == 0
    write("splits.json", json.loads((features / "splits.json").read_text()))
    for kind in ("risk", "performance"):
        folder = tmp_path / kind
        common = ["--kind", kind, "--input", str(features), "--model", str(folder)]
        assert main(["train", *common, "--num-round", "3", "--max-depth", "3", "--nthread", "1"]) == 0
        (OUTPUT / f"{kind}.tar.gz").write_bytes(_archive(folder))


def _archive(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
    return stream.getvalue()


def test_promotions() -> None:
    """As ComposeRecord puts them together."""
    fields = re.findall(
        r"'(\w+)': ", Path("stacks/workflows/promotion_record.py").read_text().split("_RECORD")[1].split("}}")[0]
    )
    common = {
        "format": 1,
        "kind": "risk",
        "outcome": "promoted",
        "is_roll_back": False,
        "requested_by": "operator@example.com",
        "reason": "",
        "started_at": "2026-03-01T11:00:00.000Z",
        "ended_at": "2026-03-01T11:09:00.000Z",
        "execution": "arn:aws:states:us-east-1:123456789012:execution:PromoteModel:a",
        "error": None,
        "cause": None,
    }
    made = {
        "promotions/risk/2026-03-01T11-09-00.000Z-a.json": {
            **common,
            "from": None,
            "to": ARN.format(1),
            "live": ARN.format(1),
        },
        "promotions/risk/2026-03-02T11-09-00.000Z-b.json": {
            **common,
            "from": ARN.format(1),
            "to": ARN.format(2),
            "live": ARN.format(2),
        },
    }
    assert all(set(fields) - {"outcome", "live"} <= set(record) for record in made.values())
    write("promotions.json", made)


def test_parameters(templates: Mapping[str, Any]) -> None:
    """The values that a deployment of the release has for the parameters of an endpoint's stack, with a model that is live."""
    defaults = {name: one.get("Default", "") for name, one in templates["IopsRiskEndpoint"]["Parameters"].items()}
    write("endpoint-parameters.json", {**defaults, "LivePackage": ARN.format(2)})
    write("package.json", _package())
    write("stateful.json", {stack: _stateful(template) for stack, template in templates.items() if _stateful(template)})


# What CloudFormation would replace, and their properties for which it would.
STATEFUL = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema"),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::SageMaker::ModelPackageGroup": ("ModelPackageGroupName",),
    "AWS::Cognito::UserPool": ("UsernameAttributes", "AliasAttributes", "Schema"),
}


def _stateful(template: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"Type": one["Type"], **{key: one["Properties"].get(key) for key in STATEFUL[one["Type"]]}}
        for name, one in template["Resources"].items()
        if one["Type"] in STATEFUL
    }


def _package() -> dict[str, Any]:
    """What Register of the release gives to CreateModelPackage (stacks/workflows/model_branch.py)."""
    prefix = f"s3://iops-bucket/models/{RUN}/risk/"
    return {
        "ModelPackageArn": ARN.format(2),
        "ModelPackageGroupName": "iops-risk",
        "ModelPackageVersion": 2,
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "ModelPackageDescription": "accuracy 0.931 >= 0.900: passed",
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/iops-insights:1",
                    "ModelDataUrl": f"{prefix}risk-{RUN}-0-007/output/model.tar.gz",
                }
            ],
            "SupportedContentTypes": ["application/json", "text/csv"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "CustomerMetadataProperties": {
            "kind": "risk",
            "run_id": RUN,
            "golden_uri": f"{prefix}evaluation/golden.json",
            "report_uri": f"{prefix}evaluation/report.html",
            "metric_accuracy": "0.931",
            "metric_rows": "1500",
        },
    }
