"""The image's own engineer and merge as processing jobs over several instances."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sagemaker.images import CONTRACT_ROOT
from training_container.generate import generate_files

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/iops-insights:laptop"
OBJECTS = 5


@pytest.fixture(scope="module")
def export(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The prefix of an export, whole devices in each object."""
    folder = tmp_path_factory.mktemp("generated")
    generate_files(records=1500, seed=5, output=folder, by_hand=False, futures=5)
    records = json.loads((folder / "part-00000.json").read_text())
    devices = sorted({record["device_id"] for record in records})
    objects = []
    for number in range(OBJECTS):
        mine = [record for record in records if record["device_id"] in devices[number::OBJECTS]]
        key = f"engineered/raw/export-batch-000-{number:05d}.json"
        toy.put(key, ("[\n" + ",\n".join(map(json.dumps, mine)) + "\n]\n").encode())
        objects.append({"key": key, "rows": len(mine)})
    labelled = sum(record["risk_level"] is not None for record in records)
    said = {"rows": len(records), "labelled_by_source": labelled, "devices_in_several_objects": 0, "objects": objects}
    toy.put("engineered/raw/manifest.json", json.dumps(said).encode())
    toy.put("engineered/raw/generated/oracle.npz", (folder / "oracle.npz").read_bytes())
    return "s3://toy-data/engineered/raw/"


def given(name: str, uri: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {
        "S3Uri": uri,
        "LocalPath": f"{CONTRACT_ROOT}/processing/input/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": distribution,
    }
    return {"InputName": name, "S3Input": source}


def request_of(toy: Any, command: str, inputs: list[dict[str, Any]], target: str, instances: int = 1) -> dict[str, Any]:
    output = {
        "S3Uri": target,
        "LocalPath": f"{CONTRACT_ROOT}/processing/output/features",
        "S3UploadMode": "EndOfJob",
    }
    cluster = {"InstanceCount": instances, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    return {
        "ProcessingJobName": toy.name(command),
        "RoleArn": toy.role,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerArguments": [command]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "features", "S3Output": output}]},
    }


def engineer(toy: Any, export: str, target: str, instances: int) -> dict[str, Any]:
    inputs = [
        given("raw", f"{export}export-batch-", "ShardedByS3Key"),
        given("manifest", f"{export}manifest.json"),
        given("oracle", f"{export}generated/oracle.npz"),
    ]
    return request_of(toy, "engineer", inputs, target, instances)


def run(toy: Any, request: dict[str, Any]) -> None:
    toy.sagemaker.create_processing_job(**request)
    done = toy.ended("processing", request["ProcessingJobName"])
    assert done["ProcessingJobStatus"] == "Completed", done.get("FailureReason")


def folder(toy: Any, prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): toy.read(key) for key in toy.keys(prefix)}


def test_two_instances_and_a_merge_leave_what_one_instance_leaves(toy: Any, export: str) -> None:
    run(toy, engineer(toy, export, "s3://toy-data/engineered/one/", 1))
    run(toy, engineer(toy, export, "s3://toy-data/engineered/shards/", 2))
    run(
        toy,
        request_of(
            toy, "merge", [given("shards", "s3://toy-data/engineered/shards/")], "s3://toy-data/engineered/two/"
        ),
    )
    one = folder(toy, "engineered/one/")
    assert folder(toy, "engineered/two/") == one
    assert {"features.csv", "splits.json", "columnar/train.npz", "preprocessing.json"} < set(one)
