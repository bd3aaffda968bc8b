"""The project's own image on the laptop's SageMaker: data, features, a model and its answer."""

import json
from typing import Any

import pytest

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/iops-insights:laptop"


def process(toy: Any, *arguments: str, output: str, inputs: dict[str, str] | None = None) -> str:
    """Run a processing job of the image; returns the S3 folder of its output."""
    name = toy.name(arguments[0])
    uri = f"s3://toy-data/real/{name}/"
    target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/output/{output}", "S3UploadMode": "EndOfJob"}
    toy.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=toy.role,
        AppSpecification={"ImageUri": IMAGE, "ContainerArguments": list(arguments)},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        ProcessingInputs=[
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": source,
                    "LocalPath": f"/opt/ml/processing/input/{key}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for key, source in (inputs or {}).items()
        ],
        ProcessingOutputConfig={"Outputs": [{"OutputName": output, "S3Output": target}]},
    )
    done = toy.ended("processing", name)
    assert done["ProcessingJobStatus"] == "Completed", done["FailureReason"]
    return uri


def channel(name: str, features: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{features}columnar/{name}.npz"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


@pytest.fixture(scope="module")
def features(toy: Any) -> str:
    generated = process(toy, "generate", "--records", "4000", "--seed", "7", output="generated")
    return process(toy, "engineer", output="features", inputs={"raw": generated})


def test_a_model_is_trained_and_answers(toy, features):
    request = toy.training_request(toy.name("real"), kind="risk", num_round="10", max_depth="3", seed="1")
    metric = {"Name": "validation:mlogloss", "Regex": "validation-mlogloss=([0-9.eE+-]+);"}
    request["AlgorithmSpecification"] = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": [metric],
    }
    request["InputDataConfig"] = [channel(name, features) for name in ("train", "validation", "calibration")]
    toy.sagemaker.create_training_job(**request)
    done = toy.ended("training", request["TrainingJobName"])
    assert done["TrainingJobStatus"] == "Completed", done["FailureReason"]
    [loss] = done["FinalMetricDataList"]
    assert 0 < loss["Value"] < 1.386  # ln 4: what knowing nothing about four levels costs

    model = toy.name("real")
    container = {"Image": IMAGE, "ModelDataUrl": done["ModelArtifacts"]["S3ModelArtifacts"]}
    toy.sagemaker.create_model(ModelName=model, ExecutionRoleArn=toy.role, PrimaryContainer=container)
    endpoint = toy.name("real")
    wait = {"ModelName": model, "ContainerStartupHealthCheckTimeoutInSeconds": 60}
    toy.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=toy.config(wait))
    described = toy.settled(endpoint)
    assert described["EndpointStatus"] == "InService", described
    row = ",".join(["0.5"] * 25)  # within the range of every feature
    answer = toy.runtime.invoke_endpoint(EndpointName=endpoint, Body=row.encode(), ContentType="text/csv")
    [prediction] = json.loads(answer["Body"].read())["predictions"]
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_data_that_cannot_be_used_fails_the_job_with_the_containers_sentence(toy, features):
    request = toy.training_request(toy.name("real"), kind="risk")
    request["AlgorithmSpecification"] = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}
    request["InputDataConfig"] = [channel("train", features)]
    toy.sagemaker.create_training_job(**request)
    done = toy.ended("training", request["TrainingJobName"])
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("AlgorithmError: channel 'validation' is missing; given: train")
    assert done["FailureReason"].endswith(", exit code: 2")
