"""Training jobs: CreateTrainingJob to its Completed, Failed or Stopped, with the image's `train` doing the work."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.sagemaker import jobs
from local.sagemaker.algorithm_metrics import final_metrics, publish
from local.sagemaker.errors import InstanceLost, validation
from local.sagemaker.images import environment_of, start_of
from local.sagemaker.ports import free_port
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.training_requests import check_training_request, s3_source
from local.sagemaker.transfer import S3Location, download, upload_archive, upload_folder
from local.settings import HOST

KIND = "TrainingJob"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
DESCRIBED = (
    "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig",
    "VpcConfig", "StoppingCondition", "CheckpointConfig", "DebugHookConfig", "ExperimentConfig", "Environment",
    "RetryStrategy", "ProfilerConfig", "ModelPackageConfig",
)  # fmt: skip
DEFAULT_RUNTIME_SECONDS = 86_400
"""StoppingCondition's documented default: one day."""
REPLACING = "Launched instance was unhealthy, replacing it!"
"""One of SecondaryStatusTransition's messages of Starting, which a retried job returns to (RetryStrategy)."""


def create_training_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    check_training_request(service, request)
    record = register(service, scope, request)
    jobs.run_in_background(f"training-{record.name}", lambda: run(service, record))
    return {"TrainingJobArn": record.arn}


def register(service: Service, scope: Scope, request: Mapping[str, Any], **extra: Any) -> Record:
    """The job as InProgress/Starting; `extra` holds Describe members that a request has not (TuningJobArn)."""
    name = request["TrainingJobName"]
    created = now()
    output = S3Location.parse(request["OutputDataConfig"]["S3OutputPath"]).below(name, "output", "model.tar.gz")
    body = {member: request[member] for member in DESCRIBED if member in request}
    body.update(
        TrainingJobName=name,
        TrainingJobArn=scope.arn(f"training-job/{name}"),
        ModelArtifacts={"S3ModelArtifacts": output.uri},
        TrainingJobStatus="InProgress",
        SecondaryStatus="Starting",
        SecondaryStatusTransitions=[
            {"Status": "Starting", "StartTime": created, "StatusMessage": "Preparing the instances for training"}
        ],
        CreationTime=created,
        LastModifiedTime=created,
        EnableNetworkIsolation=request.get("EnableNetworkIsolation", False),
        EnableInterContainerTrafficEncryption=request.get("EnableInterContainerTrafficEncryption", False),
        EnableManagedSpotTraining=request.get("EnableManagedSpotTraining", False),
        **extra,
    )
    record = Record(KIND, name, body["TrainingJobArn"], scope, body)
    record.tags.update({tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
    record.memory["control"] = jobs.Control()
    service.store.add(record, already_exists=jobs.already_exists(record))
    return record


def run(service: Service, record: Record) -> None:
    """The whole job, in its own thread; every way out ends in a final status. RetryStrategy is for a lost instance alone,
    and MaxRuntimeInSeconds for all attempts together (StoppingCondition)."""
    body = record.body
    most_restarts = body.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
    deadline = time.monotonic() + body["StoppingCondition"].get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)
    for restart in range(most_restarts + 1):
        execution = _execution_of(service, record, restart)
        if not _is_made_again(execution, deadline, may_restart=restart < most_restarts):
            return


def _is_made_again(execution: jobs.Execution, deadline: float, *, may_restart: bool) -> bool:
    """One attempt to its end."""
    service, record, instances = execution.service, execution.record, execution.instances
    try:
        _attempt(execution, deadline)
    except jobs.Stopped:
        execution.ending = "stopped"
    except Exception as error:
        if may_restart and isinstance(error, InstanceLost):
            enter(service, record, "Starting", REPLACING)
            return True
        _fail(service, record, instances, jobs.reason_of(error))
        return False
    _finish(service, record, instances, execution.ending)
    return False


def _execution_of(service: Service, record: Record, restart: int) -> jobs.Execution:
    """Its instances with nothing in them yet."""
    count = record.body["ResourceConfig"]["InstanceCount"]
    instances = jobs.instances_of(service, "training", record.name, count, restart=restart)
    return jobs.Execution(service, record, instances, LOG_GROUP, record.body["RoleArn"])


def _attempt(execution: jobs.Execution, deadline: float) -> None:
    service, record, instances = execution.service, execution.record, execution.instances
    jobs.check_not_stopped(record)
    enter(service, record, "Downloading", "Downloading input data")
    _prepare(service, record, instances)
    jobs.check_not_stopped(record)
    enter(service, record, "Training", "Training image download completed. Training in progress.")
    execution.run(max_runtime_seconds=deadline - time.monotonic())
    if execution.ending == "ended":
        enter(service, record, "Uploading", "Uploading generated training model")
    else:
        enter(service, record, "Stopping", "Stopping the training job")
    _upload(service, record, instances, with_model=True)


def enter(service: Service, record: Record, status: str, message: str, **members: Any) -> None:
    """Move to a secondary status; the one before it gets its end time."""
    moment = now()
    with service.store.changing(record) as body:
        body["SecondaryStatusTransitions"][-1].setdefault("EndTime", moment)
        body["SecondaryStatusTransitions"].append({"Status": status, "StartTime": moment, "StatusMessage": message})
        body["SecondaryStatus"] = status
        if status == "Downloading":
            body.setdefault("TrainingStartTime", moment)
        body.update(members)


def _prepare(service: Service, record: Record, instances: Sequence[jobs.Instance]) -> None:
    body = record.body
    credentials = service.role_session(body["RoleArn"])
    client = service.clients.for_role("s3", body["RoleArn"])
    hosts = [instance.host for instance in instances]
    algorithm = body["AlgorithmSpecification"]
    arguments = algorithm.get("ContainerArguments") or ([] if algorithm.get("ContainerEntrypoint") else ["train"])
    # Instances share this machine, where no DNS knows algo-1, and jobs share its ports: where they meet is told.
    meeting = {"TRAINING_ROLL_CALL": f"{HOST}:{free_port()}"} if len(instances) > 1 else {}
    for index, instance in enumerate(instances):
        for channel in body.get("InputDataConfig", []):
            source = s3_source(channel)
            is_sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
            folder = instance.root / "input" / "data" / channel["ChannelName"]
            download(client, source["S3Uri"], folder, shard=(index, len(hosts)) if is_sharded else (0, 1))
        for folder in ("model", "output/data"):
            (instance.root / folder).mkdir(parents=True)
        write_config(instance.root / "input" / "config", body, instance.host, hosts)
        own = {"TRAINING_JOB_NAME": record.name, "TRAINING_JOB_ARN": record.arn}
        instance.start = start_of(
            service.settings,
            algorithm["TrainingImage"],
            entrypoint=algorithm.get("ContainerEntrypoint"),
            arguments=arguments,
            environment=environment_of(
                service.settings, credentials, instance.root, own, meeting, body.get("Environment", {})
            ),
            log=instance.log,
        )


def write_config(folder: Path, body: Mapping[str, Any], host: str, hosts: Sequence[str]) -> None:
    """hyperparameters.json, inputdataconfig.json and resourceconfig.json of the training contract."""
    folder.mkdir(parents=True)
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", "File"),
            "S3DistributionType": s3_source(channel).get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in body.get("InputDataConfig", [])
    }
    kind = body["ResourceConfig"]["InstanceType"]
    resources = {
        "current_host": host,
        "hosts": sorted(hosts),
        "current_instance_type": kind,
        "current_group_name": "homogeneousCluster",
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": sorted(hosts)}
        ],
        "network_interface_name": "lo",
    }
    files = {
        "hyperparameters": body.get("HyperParameters", {}),
        "inputdataconfig": channels,
        "resourceconfig": resources,
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def _upload(service: Service, record: Record, instances: Sequence[jobs.Instance], *, with_model: bool) -> None:
    """The model (also of a job that was stopped) and, if there is any, output/data (also of one that failed)."""
    body = record.body
    client = service.clients.for_role("s3", body["RoleArn"])
    output = S3Location.parse(body["OutputDataConfig"]["S3OutputPath"]).below(record.name, "output")
    is_plain = body["OutputDataConfig"].get("CompressionType") == "NONE"
    data = [instance.root / "output" / "data" for instance in instances]
    wanted = [("output", data)] if any(folder.exists() and any(folder.iterdir()) for folder in data) else []
    if with_model:
        wanted.insert(0, ("model", [instance.root / "model" for instance in instances]))
    for name, folders in wanted:
        if is_plain:
            for folder in folders:
                upload_folder(client, folder, output.below(name))
        else:
            upload_archive(client, folders, output.below(f"{name}.tar.gz"), instances[0].root / f"{name}.tar.gz")


def _finish(service: Service, record: Record, instances: Sequence[jobs.Instance], ending: jobs.Ending) -> None:
    final = {
        "ended": ("Completed", "Completed", "Training job completed"),
        "stopped": ("Stopped", "Stopped", "Training job stopped"),
        "max_runtime": ("Stopped", "MaxRuntimeExceeded", "Training job stopped because it reached its maximum runtime"),
    }[ending]
    _end(service, record, instances, *final)


def _fail(service: Service, record: Record, instances: Sequence[jobs.Instance], reason: str) -> None:
    try:
        _upload(service, record, instances, with_model=False)
    except Exception as error:
        jobs.logger.warning("output of failed %s was not uploaded: %s", record.name, error)
    _end(service, record, instances, "Failed", "Failed", reason, FailureReason=reason)


def _end(
    service: Service,
    record: Record,
    instances: Sequence[jobs.Instance],
    status: str,
    secondary: str,
    message: str,
    **members: Any,
) -> None:
    metrics = final_metrics(record.body["AlgorithmSpecification"].get("MetricDefinitions", []), instances)
    publish(service, record, metrics)
    started = record.body.get("TrainingStartTime")
    seconds = round((now() - started).total_seconds()) if started else 0
    jobs.clear(instances)
    enter(
        service,
        record,
        secondary,
        message,
        TrainingJobStatus=status,
        TrainingEndTime=now(),
        TrainingTimeInSeconds=seconds,
        BillableTimeInSeconds=seconds,
        **({"FinalMetricDataList": metrics} if metrics else {}),
        **members,
    )


def get(service: Service, scope: Scope, name: str) -> Record:
    return service.store.get(KIND, scope, name, missing=validation("Requested resource not found."))


def describe_training_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["TrainingJobName"]))


def stop_training_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    jobs.request_stop(service, get(service, scope, request["TrainingJobName"]), "training")
    return {}


def list_training_jobs(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"TrainingJobSummaries": page, "NextToken": token}


ACTIONS = {
    "CreateTrainingJob": create_training_job,
    "DescribeTrainingJob": describe_training_job,
    "StopTrainingJob": stop_training_job,
    "ListTrainingJobs": list_training_jobs,
}
