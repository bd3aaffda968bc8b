"""Processing jobs: inputs down, the image's command as one process per instance, outputs up."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from local.sagemaker import jobs
from local.sagemaker.errors import SageMakerError, not_on_the_laptop, validation
from local.sagemaker.images import environment_of, local_path, module_of, start_of
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now
from local.sagemaker.transfer import S3Location, download, upload_folder

KIND = "ProcessingJob"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DEFAULT_RUNTIME_SECONDS = 86_400
PROCESSING_ROOT = "/opt/ml/processing/"
CONTINUOUS_SECONDS = 5.0


def create_processing_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    _check(service, request)
    name, created = request["ProcessingJobName"], now()
    body = {member: value for member, value in request.items() if member != "Tags"}
    body.update(
        ProcessingJobArn=scope.arn(f"processing-job/{name}"),
        ProcessingJobStatus="InProgress",
        CreationTime=created,
        LastModifiedTime=created,
    )
    record = Record(KIND, name, body["ProcessingJobArn"], scope, body)
    record.tags.update({tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
    record.memory["control"] = jobs.Control()
    service.store.add(record, already_exists=jobs.already_exists(record))
    jobs.run_in_background(f"processing-{name}", lambda: run(service, record))
    return {"ProcessingJobArn": record.arn}


def _check(service: Service, request: Mapping[str, Any]) -> None:
    module_of(request["AppSpecification"]["ImageUri"], service.settings)
    for item in request.get("ProcessingInputs", []):
        source = item.get("S3Input")
        if source is None or source["S3DataType"] != "S3Prefix" or source.get("S3InputMode", "File") != "File":
            raise not_on_the_laptop(f"input {item['InputName']}: a source other than S3Prefix in File mode")
        _check_local_path(source.get("LocalPath", ""))
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        if "S3Output" not in item:
            raise not_on_the_laptop(f"output {item['OutputName']}: a target other than S3")
        _check_local_path(item["S3Output"].get("LocalPath", ""))
    service.role_session(request["RoleArn"])


def _check_local_path(path: str) -> None:
    if not path.startswith(PROCESSING_ROOT):
        raise validation(f"LocalPath '{path}' must be an absolute path that starts with {PROCESSING_ROOT}.")


def run(service: Service, record: Record) -> None:
    """The whole job, in its own thread; every way out ends in a final status."""
    body = record.body
    count = body["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    instances = jobs.instances_of(service, "processing", record.name, count)
    execution = jobs.Execution(service, record, instances, LOG_GROUP, body["RoleArn"])
    ended = threading.Event()
    try:
        jobs.check_not_stopped(record)
        _prepare(service, record, instances)
        jobs.check_not_stopped(record)
        with service.store.changing(record):
            body["ProcessingStartTime"] = now()
        _upload_continuously(service, record, instances, ended)
        limit = body.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)
        execution.run(max_runtime_seconds=limit)
        ended.set()
        _upload(service, record, instances, modes=("EndOfJob", "Continuous"))
    except jobs.Stopped:
        execution.ending = "stopped"
    except Exception as error:
        ended.set()
        _fail(service, record, instances, error)
        return
    status = "Completed" if execution.ending == "ended" else "Stopped"
    _end(service, record, instances, status)


def _prepare(service: Service, record: Record, instances: Sequence[jobs.Instance]) -> None:
    body = record.body
    client = service.clients.for_role("s3", body["RoleArn"])
    credentials = service.role_session(body["RoleArn"])
    application = body["AppSpecification"]
    hosts = [instance.host for instance in instances]
    for index, instance in enumerate(instances):
        for item in body.get("ProcessingInputs", []):
            source = item["S3Input"]
            is_sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
            folder = local_path(source["LocalPath"], instance.root)
            download(client, source["S3Uri"], folder, shard=(index, len(hosts)) if is_sharded else (0, 1))
        for item in _outputs(body):
            local_path(item["S3Output"]["LocalPath"], instance.root).mkdir(parents=True, exist_ok=True)
        (instance.root / "output").mkdir()
        _write_config(record, instance, hosts)
        own = {"PROCESSING_JOB_NAME": record.name, "PROCESSING_JOB_ARN": record.arn, **body.get("Environment", {})}
        instance.start = start_of(
            service.settings,
            application["ImageUri"],
            entrypoint=application.get("ContainerEntrypoint"),
            arguments=application.get("ContainerArguments", []),
            environment=environment_of(service.settings, credentials, instance.root, own),
            log=instance.log,
        )


def _outputs(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = body.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs


def _write_config(record: Record, instance: jobs.Instance, hosts: Sequence[str]) -> None:
    folder = instance.root / "config"
    folder.mkdir()
    times = ("CreationTime", "LastModifiedTime", "ProcessingJobStatus")
    config = {member: value for member, value in record.body.items() if member not in times}
    (folder / "processingjobconfig.json").write_text(json.dumps(config))
    resources = {"current_host": instance.host, "hosts": sorted(hosts)}
    (folder / "resourceconfig.json").write_text(json.dumps(resources))


def _upload(service: Service, record: Record, instances: Sequence[jobs.Instance], *, modes: Sequence[str]) -> None:
    client = service.clients.for_role("s3", record.body["RoleArn"])
    for item in _outputs(record.body):
        target = item["S3Output"]
        if target["S3UploadMode"] in modes:
            for instance in instances:
                upload_folder(client, local_path(target["LocalPath"], instance.root), S3Location.parse(target["S3Uri"]))


def _upload_continuously(
    service: Service, record: Record, instances: Sequence[jobs.Instance], ended: threading.Event
) -> None:
    if not any(item["S3Output"]["S3UploadMode"] == "Continuous" for item in _outputs(record.body)):
        return

    def work() -> None:
        while not ended.wait(CONTINUOUS_SECONDS):
            try:
                _upload(service, record, instances, modes=("Continuous",))
            except Exception as error:
                jobs.logger.warning("continuous upload of %s: %s", record.name, error)

    jobs.run_in_background(f"upload-{record.name}", work)


def _fail(service: Service, record: Record, instances: Sequence[jobs.Instance], error: Exception) -> None:
    """EndOfJob outputs of a failed job stay away from S3, so that nobody takes them for results."""
    try:
        _upload(service, record, instances, modes=("Continuous",))
    except Exception as upload_error:
        jobs.logger.warning("outputs of failed %s were not uploaded: %s", record.name, upload_error)
    _end(service, record, instances, "Failed", FailureReason=jobs.reason_of(error))


def _end(service: Service, record: Record, instances: Sequence[jobs.Instance], status: str, **members: Any) -> None:
    messages = [instance.root / "output" / "message" for instance in instances]
    said = next((message for message in messages if message.exists()), None)
    if said:
        members["ExitMessage"] = said.read_text(errors="replace")[: jobs.FAILURE_CHARACTERS]
    jobs.clear(instances)
    with service.store.changing(record) as body:
        body.update(ProcessingJobStatus=status, ProcessingEndTime=now(), **members)


def _missing(name: str) -> SageMakerError:
    return validation(f"Could not find requested job with name: {name}")


def get(service: Service, scope: Scope, name: str) -> Record:
    return service.store.get(KIND, scope, name, missing=_missing(name))


def describe_processing_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["ProcessingJobName"]))


def stop_processing_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    jobs.request_stop(service, get(service, scope, request["ProcessingJobName"]), "processing")
    return {}


def list_processing_jobs(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [service.store.snapshot(record) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"ProcessingJobSummaries": page, "NextToken": token}


ACTIONS = {
    "CreateProcessingJob": create_processing_job,
    "DescribeProcessingJob": describe_processing_job,
    "StopProcessingJob": stop_processing_job,
    "ListProcessingJobs": list_processing_jobs,
}
