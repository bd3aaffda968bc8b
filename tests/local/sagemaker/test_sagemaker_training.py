"""Training jobs as boto3 sees them: states, artifacts, metrics, logs, failures, stops."""

import io
import json
import tarfile
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

GROUP = "/aws/sagemaker/TrainingJobs"


def members_of(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {item.name: tar.extractfile(item).read() for item in tar.getmembers()}  # type: ignore[union-attr]


def channel(name: str, uri: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": distribution}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_a_completed_job_has_its_model_metrics_log_and_states(toy):
    toy.put("train-a/one.csv")
    toy.put("train-a/deep/two.csv")
    request = toy.training_request(toy.name("job"), x="5")
    request["InputDataConfig"] = [channel("train", "s3://toy-data/train-a/")]
    created = toy.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    done = toy.ended("training", name)

    assert done["TrainingJobStatus"] == done["SecondaryStatus"] == "Completed", done.get("FailureReason")
    assert created["TrainingJobArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}"
    assert done["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://toy-data/models/{name}/output/model.tar.gz"
    model = members_of(toy.read(f"models/{name}/output/model.tar.gz"))
    assert json.loads(model["algo-1.json"]) == {"x": "5", "files": ["train/deep/two.csv", "train/one.csv"]}
    assert [(m["MetricName"], m["Value"]) for m in done["FinalMetricDataList"]] == [("validation:loss", 4.0)]
    assert [step["Status"] for step in done["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    lines = toy.log_text(GROUP, f"{name}/algo-1-")
    assert lines == ["train begins on algo-1 with OMP_NUM_THREADS=1", "loss=99.0;", "loss=4.0;"]


def test_shards_and_models_of_several_instances_are_split_and_merged(toy):
    for number in range(5):
        toy.put(f"shards/{number}.csv")
    request = toy.training_request(toy.name("job"), instances=2)
    request["InputDataConfig"] = [channel("train", "s3://toy-data/shards/", "ShardedByS3Key")]
    toy.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    assert toy.ended("training", name)["TrainingJobStatus"] == "Completed"
    model = members_of(toy.read(f"models/{name}/output/model.tar.gz"))
    assert json.loads(model["algo-1.json"])["files"] == ["train/0.csv", "train/2.csv", "train/4.csv"]
    assert json.loads(model["algo-2.json"])["files"] == ["train/1.csv", "train/3.csv"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refuse", "AlgorithmError: column x of train.csv is not a number, exit code: 2"),
        ("crash", "AlgorithmError: , exit code: 1"),
        ("be killed", "AlgorithmError: , exit code: 137"),
    ],
)
def test_a_failed_job_says_what_its_container_said(toy, behaviour, reason):
    done = toy.train(behaviour=behaviour)
    assert (done["TrainingJobStatus"], done["FailureReason"]) == ("Failed", reason)
    assert not toy.keys(f"models/{done['TrainingJobName']}/output/model")


def test_output_data_of_a_failed_job_is_kept(toy):
    name = toy.train(behaviour="refuse")["TrainingJobName"]
    assert members_of(toy.read(f"models/{name}/output/output.tar.gz")) == {"why.txt": b"kept"}


def test_the_trace_of_a_crash_is_in_the_log(toy):
    name = toy.train(behaviour="crash")["TrainingJobName"]
    assert toy.log_text(GROUP, name)[-1] == "RuntimeError: a bug"


@pytest.mark.parametrize("behaviour", ["sleep", "be stubborn"])
def test_a_stopped_job_is_stopped_with_the_model_it_had(toy, behaviour, tmp_path):
    ready = tmp_path / "ready"
    request = toy.training_request(toy.name("job"), behaviour=behaviour, ready=str(ready))
    name = request["TrainingJobName"]
    toy.sagemaker.create_training_job(**request)
    toy.until(ready.exists, bool)
    toy.sagemaker.stop_training_job(TrainingJobName=name)
    done = toy.ended("training", name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert toy.keys(f"models/{name}/output/model.tar.gz")
    with pytest.raises(ClientError, match="is in status Stopped"):
        toy.sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_past_its_maximum_runtime_is_stopped(toy):
    done = toy.train(behaviour="sleep", seconds=1)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_what_sagemaker_refuses_is_refused_before_anything_starts(toy):
    def refusal(**changes: Any) -> str:
        request = {**toy.training_request(toy.name("job")), **changes}
        with pytest.raises(ClientError) as caught:
            toy.sagemaker.create_training_job(**request)
        error = caught.value.response["Error"]
        return f"{error['Code']}: {error['Message']}"

    assert refusal(InputDataConfig=[channel("train", "s3://toy-data/nothing/")]).startswith(
        'ValidationException: No S3 objects found under S3 URL "s3://toy-data/nothing/" given in input data source.'
    )
    unknown = {**toy.algorithm(), "TrainingImage": "elsewhere/other:2"}
    assert (
        refusal(AlgorithmSpecification=unknown) == "ValidationException: Requested image elsewhere/other:2 not found."
    )
    nobody = "arn:aws:iam::000000000000:role/nobody"
    assert refusal(RoleArn=nobody).startswith(f"ValidationException: Could not assume role {nobody}.")
    broken = {**toy.algorithm(), "MetricDefinitions": [{"Name": "m", "Regex": "("}]}
    assert "The regular expression of metric m" in refusal(AlgorithmSpecification=broken)


def test_a_name_is_used_once(toy):
    request = toy.training_request(toy.train()["TrainingJobName"])
    with pytest.raises(toy.sagemaker.exceptions.ResourceInUse, match="Job name must be unique"):
        toy.sagemaker.create_training_job(**request)


def test_an_unknown_job_is_a_validation_exception(toy):
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Requested resource not found\."):
        toy.sagemaker.describe_training_job(TrainingJobName="nobody-knows")


def test_a_role_that_may_not_write_the_model_fails_the_job(toy, make_sagemaker_role):
    reader = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    request = {**toy.training_request(toy.name("job")), "RoleArn": make_sagemaker_role("ReadsOnly", reader)}
    toy.sagemaker.create_training_job(**request)
    done = toy.ended("training", request["TrainingJobName"])
    assert done["TrainingJobStatus"] == "Failed"
    assert "AccessDenied" in done["FailureReason"]


def test_a_jobs_final_metrics_are_in_cloudwatch(toy):
    name = toy.train(x="5")["TrainingJobName"]
    found = toy.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="validation:loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": name}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert [datum["Maximum"] for datum in found] == [4.0]
