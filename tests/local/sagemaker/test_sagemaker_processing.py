"""Processing jobs as boto3 sees them: inputs, shards, outputs, messages, failures, stops."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker.images import CONTRACT_ROOT

TOY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/toy:1"


def request_of(
    toy: Any, *arguments: str, instances: int = 1, inputs: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    name = toy.name("step")
    cluster = {"InstanceCount": instances, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    target = {
        "S3Uri": f"s3://toy-data/out/{name}/",
        "LocalPath": f"{CONTRACT_ROOT}/processing/output/out",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "ProcessingJobName": name,
        "RoleArn": toy.role,
        "AppSpecification": {"ImageUri": TOY, "ContainerArguments": ["process", *arguments]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "ProcessingInputs": list(inputs),
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
        "Environment": {"COLOR": "green"},
    }


def s3_input(name: str, uri: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {
        "S3Uri": uri,
        "LocalPath": f"{CONTRACT_ROOT}/processing/input/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": distribution,
    }
    return {"InputName": name, "S3Input": source}


def run(toy: Any, request: dict[str, Any]) -> dict[str, Any]:
    toy.sagemaker.create_processing_job(**request)
    return toy.ended("processing", request["ProcessingJobName"])


def report(toy: Any, name: str, host: str = "algo-1") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(toy.read(f"out/{name}/{host}.json"))
    return told


def test_a_job_gets_its_inputs_arguments_and_environment_and_uploads_its_output(toy):
    toy.put("in-a/x.json")
    toy.put("in-a/sub/y.json")
    request = request_of(toy, "copy", "--fast", inputs=(s3_input("raw", "s3://toy-data/in-a/"),))
    done = run(toy, request)
    assert (done["ProcessingJobStatus"], done["ExitMessage"]) == ("Completed", "all well"), done.get("FailureReason")
    told = report(toy, request["ProcessingJobName"])
    assert told["arguments"] == ["copy", "--fast"]
    assert told["color"] == "green"
    assert told["files"] == ["raw/sub/y.json", "raw/x.json"]
    assert done["ProcessingStartTime"] <= done["ProcessingEndTime"]


def test_several_instances_share_the_objects_and_know_each_other(toy):
    for number in range(3):
        toy.put(f"in-b/{number}.json")
    inputs = (s3_input("raw", "s3://toy-data/in-b/", "ShardedByS3Key"),)
    request = request_of(toy, instances=2, inputs=inputs)
    assert run(toy, request)["ProcessingJobStatus"] == "Completed"
    first, second = (report(toy, request["ProcessingJobName"], host) for host in ("algo-1", "algo-2"))
    assert first["files"] == ["raw/0.json", "raw/2.json"]
    assert second["files"] == ["raw/1.json"]
    assert second["hosts"] == {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}


def test_an_instance_may_get_no_object(toy):
    toy.put("in-d/only.json")
    inputs = (s3_input("raw", "s3://toy-data/in-d/", "ShardedByS3Key"),)
    request = request_of(toy, instances=2, inputs=inputs)
    assert run(toy, request)["ProcessingJobStatus"] == "Completed"
    hosts = [report(toy, request["ProcessingJobName"], host)["files"] for host in ("algo-1", "algo-2")]
    assert hosts == [["raw/only.json"], []]


@pytest.mark.parametrize("lost", ["algo-1", "algo-2"])
def test_one_killed_instance_fails_the_job_with_its_own_exit_code(toy, lost):
    request = request_of(toy, "lose", lost, instances=2)
    done = run(toy, request)
    assert (done["ProcessingJobStatus"], done["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 137")
    assert toy.keys(f"out/{request['ProcessingJobName']}/") == []


def test_a_single_object_and_a_partial_prefix_are_inputs_too(toy):
    toy.put("in-c/alpha-1.json")
    toy.put("in-c/alpha-2.json")
    inputs = (s3_input("one", "s3://toy-data/in-c/alpha-1.json"), s3_input("some", "s3://toy-data/in-c/alpha"))
    request = request_of(toy, inputs=inputs)
    assert run(toy, request)["ProcessingJobStatus"] == "Completed"
    assert report(toy, request["ProcessingJobName"])["files"] == [
        "one/alpha-1.json",
        "some/alpha-1.json",
        "some/alpha-2.json",
    ]


def test_another_entry_point_takes_the_place_of_the_images_own(toy):
    request = request_of(toy)
    application = request["AppSpecification"]
    application["ContainerEntrypoint"] = ["sh", "-c", 'echo "$0 $COLOR" > $SAGEMAKER_ROOT/processing/output/out/told']
    application["ContainerArguments"] = ["hello"]
    assert run(toy, request)["ProcessingJobStatus"] == "Completed"
    assert toy.read(f"out/{request['ProcessingJobName']}/told") == b"hello green\n"


def test_a_failed_job_says_why_and_leaves_no_half_output(toy):
    request = request_of(toy, "refuse")
    done = run(toy, request)
    name = request["ProcessingJobName"]
    assert done["FailureReason"] == f"AlgorithmError: {name} has no rows, exit code: 2"
    assert toy.keys(f"out/{name}/") == []


def test_an_input_without_objects_fails_the_job(toy):
    done = run(toy, request_of(toy, inputs=(s3_input("raw", "s3://toy-data/nothing-here/"),)))
    assert done["ProcessingJobStatus"] == "Failed"
    assert "no S3 objects found under S3 URL 's3://toy-data/nothing-here/'" in done["FailureReason"]


def test_a_stopped_job_is_stopped(toy, tmp_path):
    ready = tmp_path / "ready"
    request = request_of(toy, "sleep", str(ready))
    toy.sagemaker.create_processing_job(**request)
    toy.until(ready.exists, bool)
    toy.sagemaker.stop_processing_job(ProcessingJobName=request["ProcessingJobName"])
    assert toy.ended("processing", request["ProcessingJobName"])["ProcessingJobStatus"] == "Stopped"


def test_a_path_outside_of_the_contract_is_refused(toy):
    request = request_of(toy)
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"] = "/tmp/out"
    with pytest.raises(ClientError, match="LocalPath '/tmp/out' must be an absolute path that starts with"):
        toy.sagemaker.create_processing_job(**request)


def test_jobs_are_listed_page_by_page_by_name_and_status(toy):
    prefix = toy.name("paged")
    requests = [{**request_of(toy), "ProcessingJobName": f"{prefix}-{number}"} for number in range(3)]
    for request in requests:
        run(toy, request)
    toy.sagemaker.list_processing_jobs(NameContains=prefix, StatusEquals="Completed")
    pages = toy.sagemaker.get_paginator("list_processing_jobs").paginate(
        NameContains=prefix, SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    names = [[job["ProcessingJobName"] for job in page["ProcessingJobSummaries"]] for page in pages]
    assert names == [[f"{prefix}-0", f"{prefix}-1"], [f"{prefix}-2"]]
    failed = toy.sagemaker.list_processing_jobs(NameContains=prefix, StatusEquals="Failed")
    assert failed["ProcessingJobSummaries"] == []


def test_an_unknown_job_is_named_in_the_error(toy):
    with pytest.raises(ClientError, match="Could not find requested job with name: nobody"):
        toy.sagemaker.describe_processing_job(ProcessingJobName="nobody")
