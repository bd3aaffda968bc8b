"""The main job: deploy to the laptop cloud, load insights, train, promote, ask the API for two predictions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config

from collectors.agent import Machine, NoDisks
from insights.schema import KINDS
from local.api_client import Answer, SignIn, post
from local.cloud import LaptopCloud
from local.dashboard import PageConfig, page_origin
from local.deploy import App, Say, deploy
from local.execution import Execution, run_execution
from local.options import RunOptions
from local.progress import Progress
from local.report import write_report
from local.states.clients import LONGEST_LAMBDA_SECONDS
from local.this_host import WatchFailed, described, stored_rows, watch
from local.tuning_progress import TuningProgress

FURTHER_TRIES = 3
CAUTION = "the kernel counts no percentiles, which the sample always has: a demonstration, no verdict"


class RunFailed(RuntimeError):
    """The main job did not reach two answered predictions; the message is the one clear sentence."""


@dataclass
class RunRecord:
    """What ends up in build/run.json (docs/run.schema.json)."""

    steps: list[dict[str, Any]]
    execution: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    without_token: dict[str, Any] = field(default_factory=dict)
    watched: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(self), indent=1, default=str) + "\n")


@dataclass(frozen=True)
class Deployment:
    """The outputs of the deployed stacks, by stack and output name."""

    outputs: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, cloud: LaptopCloud) -> Deployment:
        stacks = cloud.client("cloudformation").get_paginator("describe_stacks").paginate()
        return cls(
            {
                stack["StackName"]: {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
                for page in stacks
                for stack in page["Stacks"]
            }
        )

    def __getitem__(self, key: str) -> str:
        stack, output = key.split(".")
        return self.outputs[stack][output]


def run(cloud: LaptopCloud, options: RunOptions, *, build: Path) -> RunRecord:
    """Everything from an empty cloud to two answered predictions; raises RunFailed with one clear sentence."""
    progress = Progress()
    record = RunRecord(steps=progress.steps)
    if options.watch_seconds is not None:
        require_disks()
    try:
        with progress.step("start", "starting the laptop cloud on 127.0.0.1"):
            cloud.start()
        with progress.step("deploy", "deploying with the CDK CLI: six stacks"):
            deploy(cloud, say=progress.say, app=app_for(options))
        deployment = Deployment.of(cloud)
        if isinstance(options.insights, Path):
            with progress.step("load", f"loading {options.insights} into the insights table"):
                progress.say(load_insights(cloud, deployment, options.insights))
        with progress.step("train", f"starting TrainModels with {json.dumps(options.execution_input())}"):
            execution = train(cloud, deployment, options, progress)
        record.execution = execution_record(execution)
        record.models = models_record(execution)
        require_success(execution, record.models)
        with progress.step("predict", "asking both routes for a device of the table"):
            predict(cloud, deployment, execution, record)
        if options.watch_seconds is not None:
            with progress.step("watch", "this machine's own disks"):
                watch_this_host(cloud, deployment, record, options.watch_seconds, build=build, say=progress.say)
    finally:
        record.write(build / "run.json")
        write_report(cloud, record, build / "report")
    return record


def app_for(options: RunOptions) -> App:
    """The laptop's deployment; its API and its sign-in know the page's origin."""
    return App(context=("stage=local", f"allowed_origins={page_origin(options.dashboard_port)}"))


def load_insights(cloud: LaptopCloud, deployment: Deployment, path: Path) -> str:
    """Put the file into the bucket and have IngestInsights, the fleet's writer, load it; returns a sentence."""
    bucket, key = deployment["IopsData.BucketName"], f"incoming/{path.name}"
    cloud.client("s3").upload_file(str(path), bucket, key)
    # boto3 waits 60 s and asks again: on a busy machine several would load the same file at once, until it gives up.
    patient = Config(read_timeout=LONGEST_LAMBDA_SECONDS + 30, retries={"total_max_attempts": 1})
    answer = cloud.client("lambda", config=patient).invoke(
        FunctionName=deployment["IopsTraining.IngestInsightsName"],
        Payload=json.dumps({"bucket": bucket, "key": key}),
    )
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RunFailed(f"{path} could not be loaded: {result.get('errorMessage', result)}")
    quarantine = f", {result['refused']} refused (see {result['quarantine']})" if result["refused"] else ""
    return f"{result['rows']} insights loaded{quarantine}"


def train(cloud: LaptopCloud, deployment: Deployment, options: RunOptions, progress: Progress) -> Execution:
    """Run TrainModels to its end and record each state's seconds."""
    tuning = TuningProgress(cloud.client("sagemaker"), progress.say)
    execution = run_execution(
        cloud.client("stepfunctions"),
        state_machine_arn=deployment["IopsTraining.TrainModelsArn"],
        execution_input=options.execution_input(),
        say=lambda state: progress.say(f"  {state}"),
        meanwhile=tuning.announce,
    )
    for state, seconds in execution.steps:
        progress.record(f"train/{state}", seconds)
    return execution


def execution_record(execution: Execution) -> dict[str, Any]:
    failure = {"error": execution.error, "cause": execution.cause} if execution.status != "SUCCEEDED" else {}
    return {"arn": execution.arn, "status": execution.status, "output": execution.output, **failure}


def models_record(execution: Execution) -> dict[str, Any]:
    """The models of an execution's output in the shape of run.json."""
    models: dict[str, Any] = execution.output.get("models", {})
    names = ("status", "version", "metrics", "gate", "endpoint", "report", "cause")
    return {kind: {name: model.get(name) for name in names if name in model} for kind, model in models.items()}


def require_success(execution: Execution, models: Mapping[str, Mapping[str, Any]]) -> None:
    if execution.status != "SUCCEEDED":
        raise RunFailed(f"TrainModels {execution.status}: {execution.cause or execution.error}")
    for kind in KINDS:
        model = models.get(kind, {})
        if model.get("status") == "rejected":
            reasons = "; ".join(model["gate"]["reasons"])
            raise RunFailed(f"the gate refused the {kind} model, what was live stays live: {reasons}")
        if model.get("status") != "promoted":
            raise RunFailed(
                f"the {kind} model is {model.get('status', 'missing')}: {model.get('cause', 'no cause given')}"
            )


def require_disks() -> None:
    """Said before anything is deployed; raises RunFailed where there is nothing to watch."""
    try:
        Machine().disks()
    except NoDisks as error:
        raise RunFailed(f"INSIGHTS=this-host has no disk to watch: {error}; run another INSIGHTS here") from error


def watch_this_host(
    cloud: LaptopCloud, deployment: Deployment, record: RunRecord, seconds: int, *, build: Path, say: Say
) -> None:
    """This machine's disks into the table by their collector, and both predictions for each; a disk of too few rows keeps the
    API's refusal and a note."""
    table = deployment["IopsData.InsightsTableName"]
    try:
        seen = watch(Machine(), table=table, seconds=seconds, environment=cloud.environment(), build=build, say=say)
    except (NoDisks, WatchFailed) as error:
        raise RunFailed(f"this machine's disks could not be watched: {error}") from error
    record.watched = seen
    url = cloud.reachable_url(deployment["IopsApi.ApiUrl"])
    sign_in = sign_in_of(cloud, deployment)
    token = sign_in.user_token(sign_in.new_password())
    for disk in seen["disks"]:
        disk["rows"], disk["idle_rows"] = stored_rows(cloud.client("dynamodb"), table, disk["device_id"])
        body = {"device_id": disk["device_id"]}
        answers = [_answered(url, f"/api/predict/{kind}", body, token) for kind in KINDS]
        disk["predictions"] = [answer.as_record() for answer in answers]
        disk["note"] = _note(answers)
        say(f"  {described(disk)}")


def _note(answers: Sequence[Answer]) -> str | None:
    """Why a watched disk has no predictions; RunFailed where the API refused it for anything but its few rows."""
    for answer in answers:
        if answer.status in (404, 409):
            return f"not scored: {answer.body['detail']}"
        require_status(answer, 200)
    return None


def predict(cloud: LaptopCloud, deployment: Deployment, execution: Execution, record: RunRecord) -> None:
    """Ask both routes, with a token and once without; raises RunFailed on anything but 200, 200 and 401."""
    url = cloud.reachable_url(deployment["IopsApi.ApiUrl"])
    sign_in = sign_in_of(cloud, deployment)
    token = sign_in.user_token(sign_in.new_password())
    body = {"device_id": device_to_ask(cloud, deployment, execution.output)}
    answers = [_answered(url, f"/api/predict/{kind}", body, token) for kind in KINDS]
    stranger = post(url, "/api/predict/risk", body, token=None)
    record.predictions = [answer.as_record() for answer in answers]
    record.without_token = stranger.as_record()
    for answer, expected in [*((answer, 200) for answer in answers), (stranger, 401)]:
        require_status(answer, expected)


def _answered(url: str, route: str, body: Mapping[str, Any], token: str) -> Answer:
    """As a client asks: a 503 (a cold start on a busy machine, say) names the seconds after which to ask again."""
    answer = post(url, route, body, token=token)
    for _ in range(FURTHER_TRIES):
        if answer.status != 503:
            break
        time.sleep(float(answer.headers.get("Retry-After", 1)))
        answer = post(url, route, body, token=token)
    return answer


def sign_in_of(cloud: LaptopCloud, deployment: Deployment) -> SignIn:
    return SignIn(
        cognito=cloud.client("cognito-idp"),
        url=cloud.reachable_url(deployment["IopsApi.SignInUrl"]),
        user_pool_id=deployment["IopsApi.UserPoolId"],
        dashboard_client_id=deployment["IopsApi.DashboardClientId"],
        service_client_id=deployment["IopsApi.ServiceClientId"],
    )


def page_config(cloud: LaptopCloud, deployment: Deployment) -> PageConfig:
    """What the page of this deployment must know, with addresses that a browser of this machine reaches."""
    return PageConfig(
        api_url=cloud.reachable_url(deployment["IopsApi.ApiUrl"]),
        sign_in_url=cloud.reachable_url(deployment["IopsApi.SignInUrl"]),
        client_id=deployment["IopsApi.DashboardClientId"],
    )


def require_status(answer: Answer, expected: int) -> None:
    if answer.status != expected:
        raise RunFailed(f"POST {answer.route} answered {answer.status} instead of {expected}: {answer.body}")


def device_to_ask(cloud: LaptopCloud, deployment: Deployment, output: Mapping[str, Any]) -> str:
    """A device of the test split, so that the predictions shown are for one that no model was trained on."""
    s3, bucket = cloud.client("s3"), deployment["IopsData.BucketName"]
    run_id = output["run_id"]
    splits = json.load(s3.get_object(Bucket=bucket, Key=f"features/{run_id}/splits.json")["Body"])
    manifest = json.load(s3.get_object(Bucket=bucket, Key=f"raw/{run_id}/manifest.json")["Body"])
    test_groups = {group for group, split in splits.items() if split == "test"}
    devices = sorted(device for segment in manifest["segments"] for device in segment["devices"])
    return next(device for device in devices if device.rpartition("/")[0] in test_groups or device in test_groups)


def summary(record: RunRecord, build: Path) -> str:
    """The closing lines: what was trained, how good, what is live, and the two answers."""
    lines = [*plan_lines(record.execution.get("output", {}).get("plan") or {}), "", "what is live"]
    for kind, model in record.models.items():
        metrics = ", ".join(
            f"{name} {value:.3f}" for name, value in model["metrics"].items() if isinstance(value, float)
        )
        lines.append(f"  {kind:12} version {model['version']} behind {model['endpoint']}: {metrics}")
    lines.append("answered predictions")
    for answer in record.predictions:
        lines.append(
            f"  POST {answer['route']} {answer['status']} in {answer['milliseconds']:.0f} ms: {brief(answer['body'])}"
        )
    lines.append(f"  without a token: {record.without_token['status']}")
    lines += _watched_lines(record.watched)
    lines.append(f"report {build / 'report' / 'index.html'}, record {build / 'run.json'}")
    return "\n".join(lines)


def _watched_lines(watched: Mapping[str, Any]) -> list[str]:
    if not watched:
        return []
    lines = [f"this machine's disks, watched for {watched['seconds']} s ({CAUTION})"]
    for disk in watched["disks"]:
        lines.append(f"  {described(disk)}")
        lines += [f"    {brief(answer['body'])}" for answer in disk["predictions"] if answer["status"] == 200]
    return lines


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """A line of what the jobs were given, where that is more than one instance of each."""
    processing, training = plan.get("processing_instances", 1), plan.get("training_instances", 1)
    paged = plan.get("external_memory", False)
    if processing == training == 1 and not paged:
        return []
    rows = ", its rows paged from disk" if paged else ""
    return [f"plan: processing on {processing} x {plan['processing_instance_type']}, "
            f"training on {training} x {plan['training_instance_type']}{rows}"]  # fmt: skip


def brief(body: Mapping[str, Any]) -> str:
    """One prediction in a line."""
    if "risk_level" in body:
        return f"{body['device_id']} is at {body['risk_level']} risk (confidence {body['confidence']:.2f})"
    interval = body["interval"]
    score, lower, upper = body["performance_score"], interval["lower"], interval["upper"]
    return f"{body['device_id']} will score {score:.1f} ({lower:.1f} to {upper:.1f})"
