"""Today's version over what the previous release left: its rows, predictions, models, promotions, parameters and exports.

previous/ was written by that release's own code (make_previous.py says how); nothing here is made by today's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insights.schema import Insight
from lambdas.attribute_values import from_item
from lambdas.collect_outcomes.collect_outcomes import CollectEnvironment, Part, collect_outcomes
from lambdas.describe_models.describe_models import described_package
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.give_feedback.give_feedback import give_feedback
from lambdas.join_outcomes.join_outcomes import JoinEnvironment, join_outcomes
from lambdas.predict.telemetry import Telemetry
from lambdas.prepare_promotion.history import package_before
from lambdas.prepare_promotion.prepare_promotion import PromotionEnvironment, StackMissing, prepare_promotion
from lambdas.read_fleet.read_fleet import Fleet, FleetEnvironment
from lambdas.restore_package.restore_package import restore_package
from lambdas.retire_packages.retire_packages import Registry, RetentionEnvironment, retire_packages
from lambdas.write_manifest.parts import IncompleteExport
from lambdas.write_manifest.write_manifest import write_manifest
from training_container.baseline_file import NoBaseline, read_baseline
from training_container.export_manifest import ExportManifest
from training_container.merge import previous_splits
from training_container.model_folder import extracted, read_golden, read_preprocessing
from training_container.predictor import Predictor
from training_container.rehearsal import rehearse
from training_container.watching.live_quality import judged_of

PREVIOUS = Path(__file__).parent / "previous"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/{}"
GOLDEN_KEY = "models/0123456789ab/risk/evaluation/golden.json"


def previous(name: str) -> Any:
    return json.loads((PREVIOUS / name).read_text())


@pytest.fixture
def upgraded(cloud: Any) -> Any:
    """Today's tables with the previous release's items, and its objects in the bucket."""
    for table in ("insights", "predictions", "devices"):
        for item in previous(f"{table}.json"):
            cloud.dynamodb.put_item(TableName=table, Item=item)
    for key, text in (*previous("raw.json").items(), *previous("promotions.json").items()):
        cloud.put(key, (text if isinstance(text, str) else json.dumps(text)).encode())
    return cloud


@pytest.fixture
def fleet(upgraded: Any) -> Fleet:
    environment = FleetEnvironment("insights", "predictions", "devices", "requests", 1000, "http://localhost:3000")
    return Fleet(environment, upgraded.dynamodb)


@pytest.fixture(params=["risk", "performance"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return extracted(PREVIOUS / f"{request.param}.tar.gz", tmp_path)


def test_stored_rows_are_read_with_their_labels_and_alerts(upgraded: Any) -> None:
    rows = [Insight.from_item(from_item(item)) for item in previous("insights.json")]
    assert len(rows) == 32
    assert [row.risk_level for row in rows if row.label_source] == ["high", "low"]
    window = Telemetry("insights", "last-alert", upgraded.dynamodb).window("nvme-1")
    assert (len(window.rows), window.unreadable) == (12, 0)
    assert window.last_alert_at == datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


def test_fleet_rows_and_predictions_are_shown_as_they_were_answered(fleet: Fleet) -> None:
    devices = fleet.devices({})["devices"]
    assert {device["device_id"]: (device["risk"] or {}).get("risk_level") for device in devices} == {
        "nvme-1": "high",
        "hdd-2": None,
    }
    assert len(fleet.insights({"device_id": "hdd-2"})["insights"]) == 12
    shown = fleet.predictions({"device_id": "nvme-1"})["predictions"]
    assert [(one["kind"], one.get("feedback", {}).get("risk_level")) for one in shown] == [
        ("risk", "critical"),
        ("performance", None),
    ]
    assert all("expires_at" not in one and one["prediction_id"] for one in shown)


def test_feedback_on_an_old_prediction_becomes_its_rows_label(upgraded: Any) -> None:
    risk = next(item for item in map(from_item, previous("predictions.json")) if item["kind"] == "risk")
    body = {"device_id": "nvme-1", "prediction_id": risk["predicted_at_id"], "risk_level": "medium"}
    tables = {"predictions_table": "predictions", "insights_table": "insights"}
    given = give_feedback(body, given_by="operator", dynamodb=upgraded.dynamodb, now=lambda: NOW, **tables)
    assert given.agreed is False
    key = {"device_id": {"S": "nvme-1"}, "timestamp": {"S": risk["as_of"]}}
    row = from_item(upgraded.dynamodb.get_item(TableName="insights", Key=key)["Item"])
    assert (row["risk_level"], row["label_source"]) == ("medium", "operator")


def test_an_old_prediction_waits_for_no_outcome_and_is_judged_by_its_feedback(upgraded: Any) -> None:
    """It was stored without the attributes of the index of what is due: joining passes it over, however often it runs."""
    account = join_outcomes(
        environment=JoinEnvironment("insights", "predictions"),
        dynamodb=upgraded.dynamodb,
        now=NOW,
        remaining_seconds=lambda: 900.0,
    )
    assert (account.is_done, sum(account.joined.values()), account.failed_devices) == (True, 0, 0)
    part = Part(
        kind="risk",
        bucket=upgraded.bucket,
        prefix="m/",
        since="2026-03-01",
        until="2026-03-03",
        start_key=None,
        number=0,
    )
    collected = collect_outcomes(
        part,
        environment=CollectEnvironment("predictions", "devices"),
        remaining_seconds=lambda: 900.0,
        dynamodb=upgraded.dynamodb,
        s3=upgraded.s3,
    )
    assert collected["lines"] == 1
    judged = judged_of(json.loads(upgraded.objects("m/outcomes/")["m/outcomes/part-00000.jsonl"]), "risk")
    assert judged is not None
    assert (judged.happened, judged.variant) == (3.0, "live")


def test_old_rows_are_exported_with_a_manifest(upgraded: Any) -> None:
    event = {
        "run_id": "ba9876543210",
        "bucket": upgraded.bucket,
        "raw_prefix": "raw/ba9876543210/",
        "segment": 0,
        "total_segments": 1,
        "source": {"kind": "dynamodb", "device_prefix": None},
        "start_key": None,
        "batch": 0,
    }
    exported = export_insights(
        Segment.from_event(event),
        environment=ExportEnvironment("insights"),
        remaining_seconds=lambda: 900.0,
        dynamodb=upgraded.dynamodb,
        s3=upgraded.s3,
    )
    assert exported["done"]
    written = write_manifest(
        run_id="ba9876543210", bucket=upgraded.bucket, raw_prefix="raw/ba9876543210/", s3=upgraded.s3
    )
    assert (written["rows"], written["labelled"], written["quarantined"]) == (32, 2, 0)


def test_an_export_that_the_old_version_began_says_what_to_do(upgraded: Any) -> None:
    """A deployment may come between the export and its manifest: the run fails, and nothing of the table is lost."""
    with pytest.raises(IncompleteExport, match=r"wrote no CSV beside its batches; start a new run"):
        write_manifest(run_id="0123456789ab", bucket=upgraded.bucket, raw_prefix="raw/0123456789ab/", s3=upgraded.s3)


def test_an_old_manifest_and_memory_of_splits_are_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(previous("raw.json")["raw/0123456789ab/manifest.json"])
    (tmp_path / "splits.json").write_text((PREVIOUS / "splits.json").read_text())
    manifest = ExportManifest.find(tmp_path)
    assert manifest is not None
    assert manifest.is_labelled_by_source is None  # so that the rows themselves tell
    memory = previous_splits(tmp_path)
    assert len(memory) == 40
    assert set(memory.values()) == {"train", "validation", "calibration", "test"}


def test_an_old_model_is_served_with_the_answers_of_its_training(model: Path) -> None:
    predictor = Predictor.load(model)
    rows, expected = read_golden(model)
    assert predictor.golden_mismatch(model) == ""
    first = predictor.answers(rows[:1])[0]
    assert first["confidence"] == pytest.approx(expected[0]["confidence"], abs=1e-5)
    assert first["contributions"]
    rehearse(predictor.answers, model, most_at_once=2)
    assert np.isfinite(read_preprocessing(model).median).all()


def test_an_old_model_cannot_be_watched_for_drift_and_says_why(model: Path) -> None:
    with pytest.raises(NoBaseline, match=r"carries no baseline\.npz: it was trained by an older version; train again"):
        read_baseline(model)


class Sagemaker:
    """A registry that holds the old package alone, and an endpoint that serves it."""

    def __init__(self) -> None:
        self.package = previous("package.json")
        self.deleted: list[str] = []
        self.made: list[dict[str, Any]] = []

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        return {**self.package, "ModelPackageArn": ModelPackageName, "CreationTime": NOW}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"EndpointConfigName": "c", "ProductionVariants": [{"CurrentInstanceCount": 1}]}

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, **request: Any) -> Any:
        arns = [ARN.format(n) for n in (1, 2)] if request.get("ModelPackageGroupName") == "iops-risk" else []
        summaries = [
            {"ModelPackageArn": arn, "ModelPackageVersion": n, "ModelApprovalStatus": "Approved"}
            for n, arn in enumerate(arns, 1)
        ]
        return [{"ModelPackageSummaryList": summaries}]

    def delete_model_package(self, ModelPackageName: str) -> None:
        self.deleted.append(ModelPackageName)

    def create_model_package(self, **request: Any) -> dict[str, Any]:
        self.made.append(request)
        return {"ModelPackageArn": ARN.format(3)}


class Stacks:
    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = parameters

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        named = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Parameters": named}]}

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": []}


def promoted(cloud: Any, given: object, parameters: Mapping[str, str]) -> dict[str, Any]:
    environment = PromotionEnvironment(
        risk_stack_name="IopsRiskEndpoint",
        performance_stack_name="IopsPerformanceEndpoint",
        risk_endpoint_name="r",
        performance_endpoint_name="p",
        risk_package_group="iops-risk",
        performance_package_group="iops-performance",
        bucket_name=cloud.bucket,
    )
    cloud.put(GOLDEN_KEY, b"{}")
    return prepare_promotion(
        given,
        environment=environment,
        sagemaker=Sagemaker(),
        cloudformation=Stacks(parameters),
        s3=cloud.s3,
        now=lambda: NOW,
    )


def test_an_old_promotion_is_gone_back_from(upgraded: Any, templates: Mapping[str, Any]) -> None:
    """By the old records; a stack of today has parameters with their defaults beside the old ones' values."""
    assert package_before(upgraded.s3, upgraded.bucket, "risk", ARN.format(2)) == ARN.format(1)
    old, today = previous("endpoint-parameters.json"), templates["IopsRiskEndpoint"]["Parameters"]
    parameters = {name: one.get("Default", "") for name, one in today.items() if "AWS::SSM" not in one["Type"]} | old
    plan = promoted(upgraded, {"kind": "risk", "version": "previous"}, parameters)
    assert (plan["target_package"], plan["previous_package"]) == (ARN.format(1), ARN.format(2))


def test_a_function_of_today_before_an_endpoint_stack_of_yesterday_says_what_to_deploy(upgraded: Any) -> None:
    """Stacks are deployed one after the other."""
    with pytest.raises(StackMissing, match=r"no parameter Challenger.*deploy the present version of the stack"):
        promoted(upgraded, {"kind": "risk", "version": 1, "challenger": "ab"}, previous("endpoint-parameters.json"))


def test_an_old_version_is_retired_and_comes_back(upgraded: Any) -> None:
    """Neither card nor lineage came with it, and none is made up."""
    sagemaker = Sagemaker()
    upgraded.put("models/0123456789ab/risk/risk-0123456789ab-0-007/output/model.tar.gz", b"model")
    upgraded.s3.put_bucket_versioning(Bucket=upgraded.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in upgraded.objects("promotions/"):
        upgraded.s3.delete_object(Bucket=upgraded.bucket, Key=key)
    environment = RetentionEnvironment(
        bucket_name=upgraded.bucket,
        promote_model_arn="m",
        risk_package_group="iops-risk",
        performance_package_group="iops-performance",
        risk_stack_name="r",
        performance_stack_name="p",
        kept_versions=1,
    )
    registry = Registry(sagemaker=sagemaker, cloudformation=Stacks({}), stepfunctions=Stacks({}), s3=upgraded.s3)
    retired = retire_packages(environment=environment, registry=registry, now=NOW, remaining_seconds=lambda: 900.0)
    assert retired["retired"] == {"risk": [1], "performance": []}
    assert sagemaker.deleted == [ARN.format(1)]
    restore_package({"kind": "risk", "version": 1}, bucket=upgraded.bucket, s3=upgraded.s3, sagemaker=sagemaker)
    assert "ModelCard" not in sagemaker.made[0]
    assert upgraded.objects("models/0123456789ab/risk/")


def test_an_old_package_is_told_of_with_its_metrics() -> None:
    told = described_package(Sagemaker().describe_model_package(ARN.format(2)))
    assert (told["version"], told["metrics"]["accuracy"]) == (2, 0.931)


def test_no_parameter_of_a_live_stack_is_lost_or_refused(templates: Mapping[str, Any]) -> None:
    """CloudFormation forgets the value of a parameter that a template no longer has, and asks for one without default."""
    old = previous("endpoint-parameters.json")
    for stack in ("IopsRiskEndpoint", "IopsPerformanceEndpoint"):
        today = templates[stack]["Parameters"]
        assert set(old) <= set(today), stack
        for name, value in old.items():
            assert value in today[name].get("AllowedValues", [value]), (stack, name, value)
        assert all("Default" in today[name] for name in set(today) - set(old)), stack


def test_nothing_that_holds_data_is_replaced(templates: Mapping[str, Any]) -> None:
    """The same logical id, and no other value of a property for which CloudFormation replaces."""
    for stack, resources in previous("stateful.json").items():
        for name, old in resources.items():
            today = templates[stack]["Resources"].get(name, {"Type": "gone", "Properties": {}})
            found = {"Type": today["Type"], **{key: today["Properties"].get(key) for key in old if key != "Type"}}
            assert found == old, f"{stack}.{name}"
