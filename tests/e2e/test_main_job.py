"""The whole system on the laptop cloud, as `make up` starts it: the tests stand in the order of a deployment's life and share
one, until Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from collectors.agent import Machine, NoDisks
from insights.schema import timestamp_text
from local.api_client import USERNAME, get, post
from local.cloud import LaptopCloud
from local.deploy import deploy, destroy
from local.execution import Execution, run_execution
from local.permissions import audit
from local.processes import free_port, port_is_taken
from local.run import Deployment, RunRecord, sign_in_of, watch_this_host
from tests.e2e.left_behind import processes_left
from tests.e2e.permissions import DeployedRoles, Templates, check
from tests.local.watching import Metrics, patiently

pytestmark = pytest.mark.e2e
REPOSITORY = Path(__file__).resolve().parents[2]

OPTIONS = {
    "INSIGHTS": "synthetic",
    "RECORDS": "3000",
    "SEED": "2",
    "TUNING_JOBS": "3",
    "TUNING_PARALLEL": "2",
    "GATE_MIN_ACCURACY": "0.5",
    "GATE_MAX_RMSE": "40",
    "GATE_MIN_COVERAGE": "0",
    "GATE_MAX_COVERAGE": "1",
}
"""Small, and a gate that a model of so few rows passes: what is tested is the way, not the quality."""


@dataclass(frozen=True)
class Up:
    """`make up` in a folder of its own, and what it printed until it stayed up or ended."""

    process: subprocess.Popen[str]
    printed: str
    page_port: int

    def told(self, name: str) -> str:
        """The rest of the line that begins with `name`, with those that it goes on in."""
        found = re.search(rf"^{name} +((?:.*\\\n)*.*)$", self.printed, re.MULTILINE)
        assert found is not None, self.printed
        return found[1]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "build"


@pytest.fixture(scope="module")
def cloud(build: Path) -> LaptopCloud:
    """Started by `up`."""
    return LaptopCloud(build / "cloud", port=0, record_calls=True)


@pytest.fixture(scope="module")
def up(cloud: LaptopCloud, build: Path) -> Iterator[Up]:
    page_port = free_port()
    ours = {
        "CLOUD_PORT": cloud.settings.port,
        "CLOUD_RECORD_CALLS": 1,
        "DASHBOARD_PORT": page_port,
        "PYTHONPATH": REPOSITORY,
    }
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "local", "up"],
        cwd=build.parent,
        env={**os.environ, **OPTIONS, **{name: str(value) for name, value in ours.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("staying up"):
            break
    yield Up(process, "".join(lines), page_port)
    process.terminate()
    process.wait(60)
    cloud.stop()


@pytest.fixture(scope="module")
def record(up: Up, build: Path) -> RunRecord:
    assert "staying up" in up.printed, up.printed
    return RunRecord(**json.loads((build / "run.json").read_text()))


@pytest.fixture(scope="module")
def deployment(cloud: LaptopCloud, record: RunRecord) -> Deployment:
    return Deployment.of(cloud)


def execute(cloud: LaptopCloud, deployment: Deployment, machine: str, given: dict[str, Any]) -> Execution:
    return run_execution(
        cloud.client("stepfunctions"),
        state_machine_arn=deployment[f"IopsTraining.{machine}Arn"],
        execution_input=given,
    )


def live_package(cloud: LaptopCloud, kind: str) -> str:
    stack = cloud.client("cloudformation").describe_stacks(StackName=f"Iops{kind.capitalize()}Endpoint")["Stacks"][0]
    return next(p["ParameterValue"] for p in stack["Parameters"] if p["ParameterKey"] == "LivePackage")


def live_configuration(cloud: LaptopCloud, kind: str) -> str:
    endpoint = cloud.client("sagemaker").describe_endpoint(EndpointName=f"iops-{kind}-predictor")
    assert endpoint["EndpointStatus"] == "InService"
    return endpoint["EndpointConfigName"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed here")
def test_what_make_up_prints_works_as_it_stands(up: Up, record: RunRecord, cloud: LaptopCloud, deployment: Deployment):
    """Page, user, token in the curl line; the device of the line is one that the model was never trained on."""
    page, (user, password) = up.told("page"), up.told("user").split()
    config = get(page, "/config.json", token=None)
    asked = subprocess.run(["bash", "-c", f"{up.told('ask')} --silent"], check=True, capture_output=True, text=True)
    token = sign_in_of(cloud, deployment).user_token(password)

    assert page == f"http://127.0.0.1:{up.page_port}/"
    assert get(page, "/", token=None).status == 200
    assert config.body["api_url"].rstrip("/") == up.told("API")
    assert json.loads(asked.stdout)["device_id"] == record.predictions[0]["body"]["device_id"]
    assert user == USERNAME
    assert get(up.told("API"), "/api/models", token=token).status == 200


def test_the_main_job_ends_in_two_answered_predictions_and_refuses_a_stranger(record: RunRecord):
    assert record.execution["status"] == "SUCCEEDED"
    assert [(answer["route"], answer["status"]) for answer in record.predictions] == [
        ("/api/predict/risk", 200),
        ("/api/predict/performance", 200),
    ]
    assert record.without_token["status"] == 401


def test_run_json_is_as_documented(record: RunRecord, build: Path):
    written = json.loads((build / "run.json").read_text())
    jsonschema.validate(written, json.loads(Path("docs/run.schema.json").read_text()))
    assert {"start", "deploy", "train", "predict"} <= {step["name"] for step in written["steps"]}
    assert (build / "report" / "index.html").stat().st_size > 0
    assert (build / "report" / "risk.html").stat().st_size > 0


def test_a_prediction_names_the_live_model_and_was_stored(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    body = record.predictions[0]["body"]
    table = cloud.client("dynamodb")
    stored = table.query(
        TableName=deployment["IopsData.PredictionsTableName"],
        KeyConditionExpression="device_id = :device",
        ExpressionAttributeValues={":device": {"S": body["device_id"]}},
    )["Items"]

    assert body["model_version"] == live_package(cloud, "risk")
    told = {prediction["body"]["prediction_id"] for prediction in record.predictions}
    assert told <= {item["predicted_at_id"]["S"] for item in stored}


def test_the_export_lost_nothing_and_a_generated_insight_is_there_once(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    s3, bucket = cloud.client("s3"), deployment["IopsData.BucketName"]
    prefix = f"raw/{record.execution['output']['run_id']}/"
    objects = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}export-batch-")
    rows = [
        (row["device_id"], row["timestamp"])
        for page in objects
        for entry in page["Contents"]
        for row in json.load(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"])
    ]
    manifest = json.load(s3.get_object(Bucket=bucket, Key=f"{prefix}manifest.json")["Body"])

    assert len(rows) == len(set(rows)) == 3000 == manifest["rows"]


def test_step_functions_logs_no_telemetry(record: RunRecord, cloud: LaptopCloud, deployment: Deployment):
    """Executions are logged with their data (stacks/workflows/machine.py): plans, places and counts, and no row's."""
    states = cloud.client("stepfunctions")
    machine = deployment["IopsTraining.TrainModelsArn"]
    [execution] = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
    logged = json.dumps([event for page in pages for event in page["events"]], default=str)
    devices = cloud.client("dynamodb").scan(TableName=deployment["IopsData.DevicesTableName"])["Items"]

    assert record.execution["output"]["run_id"] in logged
    assert len(devices) > 10
    assert [device["device_id"]["S"] for device in devices if device["device_id"]["S"] in logged] == []


def test_a_gate_that_refuses_leaves_the_live_model_alone_and_says_why(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    before = live_package(cloud, "risk"), live_configuration(cloud, "risk")

    execution = execute(
        cloud,
        deployment,
        "TrainModels",
        {
            "models": ["risk"],
            "tuning": {"max_jobs": 2, "max_parallel_jobs": 2},
            "gate": {"min_accuracy": 0.999},
            "source": {"kind": "synthetic", "records": 3000, "seed": 2},
        },
    )

    model = execution.output["models"]["risk"]
    assert execution.status == "SUCCEEDED", execution.cause
    assert model["status"] == "rejected"
    assert any("0.999" in reason for reason in model["gate"]["reasons"])
    assert any("ahead of the live model" in reason for reason in model["gate"]["reasons"])
    assert execution.output["models"]["performance"]["status"] == "skipped"
    assert (live_package(cloud, "risk"), live_configuration(cloud, "risk")) == before


def test_a_second_model_goes_live_and_the_older_version_comes_back_through_promotion_alone(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    first = live_package(cloud, "performance")
    execution = execute(
        cloud,
        deployment,
        "TrainModels",
        {
            "models": ["performance"],
            "tuning": {"max_jobs": 2, "max_parallel_jobs": 2},
            "gate": {"max_rmse": 50, "min_coverage": 0, "max_coverage": 1, "max_loss_to_live": 1},
            "source": {"kind": "synthetic", "records": 3000, "seed": 2},
        },
    )
    assert execution.status == "SUCCEEDED", execution.cause
    second = live_package(cloud, "performance")
    assert second != first

    back = execute(
        cloud,
        deployment,
        "PromoteModel",
        {"kind": "performance", "version": "previous", "reason": "trying the way back"},
    )

    assert back.status == "SUCCEEDED", back.cause
    assert live_package(cloud, "performance") == first


def test_promoting_what_does_not_exist_is_refused_with_its_name(cloud: LaptopCloud, deployment: Deployment):
    execution = execute(cloud, deployment, "PromoteModel", {"kind": "risk", "version": 99})

    assert execution.status == "FAILED"
    assert "99" in execution.cause


def test_wrong_execution_input_fails_at_once_and_names_the_field(cloud: LaptopCloud, deployment: Deployment):
    execution = execute(cloud, deployment, "TrainModels", {"tunning": {"max_jobs": 3}})

    assert execution.status == "FAILED"
    assert "tunning" in execution.cause


def test_deploying_again_changes_nothing_that_is_live(record: RunRecord, cloud: LaptopCloud):
    kinds = ("risk", "performance")
    before = [(live_package(cloud, kind), live_configuration(cloud, kind)) for kind in kinds]

    deploy(cloud)

    assert [(live_package(cloud, kind), live_configuration(cloud, kind)) for kind in kinds] == before


def captured(cloud: LaptopCloud, deployment: Deployment, kind: str) -> list[str]:
    prefix = f"monitoring/data-capture/iops-{kind}-predictor/"
    listed = cloud.client("s3").list_objects_v2(Bucket=deployment["IopsData.BucketName"], Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def test_what_the_endpoints_answered_is_captured_for_drift(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    """A share of the requests is captured and buffered for ten seconds, so requests go on until some have arrived."""
    runtime = cloud.client("sagemaker-runtime")
    deadline = time.monotonic() + 90
    while missing := [kind for kind in ("risk", "performance") if not captured(cloud, deployment, kind)]:
        assert time.monotonic() < deadline, f"no capture of {missing} arrived"
        for kind in missing:
            runtime.invoke_endpoint(
                EndpointName=f"iops-{kind}-predictor", ContentType="text/csv", Body=",".join(["1"] * 25)
            )
        time.sleep(0.1)


def test_the_other_routes_answer_too(record: RunRecord, cloud: LaptopCloud, deployment: Deployment):
    """One call of each, so that the recorded calls hold what every function of the API needs."""
    url, sign_in = cloud.reachable_url(deployment["IopsApi.ApiUrl"]), sign_in_of(cloud, deployment)
    token, predicted = sign_in.service_token(), record.predictions[0]["body"]
    device = {"device_id": predicted["device_id"]}
    feedback = {**device, "prediction_id": predicted["prediction_id"], "risk_level": "low"}

    answers = [
        post(url, "/api/predict/risk", {"items": [device, device]}, token=token),
        post(url, "/api/feedback", feedback, token=token),
        get(url, "/api/devices", token=token),
        get(url, "/api/insights", token=token, **device),
        get(url, "/api/predictions", token=token, **device),
        get(url, "/api/models", token=token),
        get(url, "/api/health", token=None),
    ]

    assert [(answer.route, answer.status) for answer in answers if answer.status != 200] == []


def test_what_has_happened_so_far_is_in_the_metrics_that_alarms_watch(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    """A refused execution, a prediction, and what the function that answered it says of itself."""
    metrics = Metrics(cloud.client("cloudwatch"))
    executions = metrics.of("AWS/States", StateMachineArn=deployment["IopsTraining.TrainModelsArn"])
    calls = metrics.of("AWS/ApiGateway", ApiName="iops-insights")
    said = metrics.of("IopsInsights", service="predict", Kind="risk")
    written = {
        "ExecutionsStarted": lambda: executions("ExecutionsStarted"),
        "ExecutionsFailed": lambda: executions("ExecutionsFailed"),
        "ExecutionTime": lambda: executions("ExecutionTime", statistic="Maximum"),
        "Count": lambda: calls("Count"),
        "Latency": lambda: calls("Latency", statistic="Maximum"),
        "IntegrationLatency": lambda: calls("IntegrationLatency", statistic="Maximum"),
        "Predictions": lambda: said("Predictions"),
    }

    patiently(lambda: all(look() for look in written.values()))

    assert [name for name, look in written.items() if not look()] == []


def invoke(cloud: LaptopCloud, deployment: Deployment, output: str, event: dict[str, Any]) -> Any:
    """The function's answer; `output` is the training stack's that has its name."""
    called = cloud.client("lambda").invoke(FunctionName=deployment[f"IopsTraining.{output}"], Payload=json.dumps(event))
    answer = json.loads(called["Payload"].read())
    assert "FunctionError" not in called, answer
    return answer


def test_what_is_no_insight_goes_to_quarantine(record: RunRecord, cloud: LaptopCloud, deployment: Deployment):
    bucket, key = deployment["IopsData.BucketName"], "incoming/wrong.jsonl"
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b'{"device_id": "a"}\n')

    told = invoke(cloud, deployment, "IngestInsightsName", {"bucket": bucket, "key": key})

    assert (told["rows"], told["refused"]) == (0, 1)
    assert told["quarantine"].removeprefix(f"s3://{bucket}/") in objects_below(cloud, deployment, "quarantine/")


def ingest(cloud: LaptopCloud, deployment: Deployment, rows: list[dict[str, Any]]) -> None:
    bucket, key = deployment["IopsData.BucketName"], "incoming/followed.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    assert invoke(cloud, deployment, "IngestInsightsName", {"bucket": bucket, "key": key})["rows"] == len(rows)


def test_what_followed_a_prediction_is_joined_to_it_and_labels_its_row(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    """Eighteen intervals until now; the first twelve are predicted from before the other six are there."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5 * 19)
    rows = [
        {
            "device_id": "followed",
            "timestamp": timestamp_text(began + timedelta(minutes=5 * n)),
            "interval_seconds": 300,
            "read_iops": 100,
            "write_iops": 50,
            "bandwidth_mbps": 2.5,
            "p99_latency_ms": 5 if n < 15 else 11,
            "latency_slo_ms": 10,
        }
        for n in range(18)
    ]
    url, token = cloud.reachable_url(deployment["IopsApi.ApiUrl"]), sign_in_of(cloud, deployment).service_token()
    ingest(cloud, deployment, rows[:12])
    told = post(url, "/api/predict/risk", {"device_id": "followed"}, token=token).body
    invoke(cloud, deployment, "JoinOutcomesName", {})
    (waiting,) = get(url, "/api/predictions", token=token, device_id="followed").body["predictions"]
    ingest(cloud, deployment, rows[12:])
    account = invoke(cloud, deployment, "JoinOutcomesName", {})
    (judged,) = get(url, "/api/predictions", token=token, device_id="followed").body["predictions"]
    labelled = get(url, "/api/insights", token=token, device_id="followed").body["insights"][11]

    assert waiting == told
    assert account["risk"]["OutcomesJoined"] == 1
    assert (judged["outcome"]["risk_level"], judged["outcome"]["source"]) == ("high", "insights")
    assert (labelled["timestamp"], labelled["risk_level"], labelled["label_source"]) == (told["as_of"], "high", "auto")

    said = {"device_id": "followed", "prediction_id": told["prediction_id"], "risk_level": "medium"}
    assert post(url, "/api/feedback", said, token=token).status == 200
    labelled = get(url, "/api/insights", token=token, device_id="followed").body["insights"][11]
    assert (labelled["risk_level"], labelled["label_source"]) == ("medium", "operator")


def test_drift_soon_after_a_training_is_refused_and_recorded(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    alarm = json.loads(Path("tests/lambdas/events/drift_alarm.json").read_text())

    (decided,) = invoke(cloud, deployment, "DecideRetrainingName", alarm)["decisions"]
    again = invoke(cloud, deployment, "DecideRetrainingName", {"trigger": "recheck"})

    assert decided["execution"] is None
    assert "less than 24 h" in decided["decisions"]["performance"]["reason"]
    listed = cloud.client("s3").list_objects_v2(Bucket=deployment["IopsData.BucketName"], Prefix="retraining/")
    assert [entry["Key"].endswith(f"{alarm['id']}.json") for entry in listed["Contents"]] == [True]
    assert again == {"decisions": []}


@contextmanager
def ending_with_the_manifest(cloud: LaptopCloud, deployment: Deployment, method: str) -> Iterator[None]:
    """TrainModels until its manifest is written, exporting by `method`."""
    client, arn = cloud.client("stepfunctions"), deployment["IopsTraining.TrainModelsArn"]
    whole = client.describe_state_machine(stateMachineArn=arn)["definition"]
    definition = json.loads(whole)
    definition["States"]["PrepareRun"]["Assign"]["run"] = (
        f"{{% $merge([$states.result.Payload, {{'export': {{'method': '{method}'}}}}]) %}}"
    )
    manifest = definition["States"]["WriteManifest"]
    manifest["End"] = bool(manifest.pop("Next"))
    client.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))
    try:
        yield
    finally:
        client.update_state_machine(stateMachineArn=arn, definition=whole)


def test_a_point_in_time_export_gives_the_account_of_a_scan(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    accounts = {}
    for method in ("scan", "point_in_time"):
        with ending_with_the_manifest(cloud, deployment, method):
            execution = execute(
                cloud, deployment, "TrainModels", {"source": {"kind": "dynamodb", "device_prefix": "synthetic-2-"}}
            )
        assert execution.status == "SUCCEEDED", execution.cause
        accounts[method] = execution.output
    same = ("rows", "labelled", "devices", "devices_in_several_objects", "counts", "quarantined", "newest_at")
    scanned, exported = ({name: account[name] for name in same} for account in accounts.values())

    assert exported == scanned
    assert (scanned["rows"], scanned["devices_in_several_objects"]) == (3000, 0)


def objects_below(cloud: LaptopCloud, deployment: Deployment, prefix: str) -> set[str]:
    pages = cloud.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=deployment["IopsData.BucketName"], Prefix=prefix)
    return {entry["Key"] for page in found for entry in page.get("Contents", [])}


def test_a_version_has_its_card_and_its_lineage_is_retired_and_comes_back(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment
):
    """The second risk model was rejected; a newer rejected one makes it the oldest where one of each is kept."""
    sagemaker, functions = cloud.client("sagemaker"), cloud.client("lambda")
    rejected = live_package(cloud, "risk").rpartition("/")[0] + "/2"
    before = sagemaker.describe_model_package(ModelPackageName=rejected)
    card = json.loads(before["ModelCard"]["ModelCardContent"])
    lineage = before["CustomerMetadataProperties"]
    assert {"max_depth", "eta"} <= {
        entry["name"] for entry in card["training_details"]["training_job_details"]["hyper_parameters"]
    }
    assert "0.999" in card["evaluation_details"][0]["evaluation_observation"]
    assert card["additional_information"]["custom_details"]["code_version"] == lineage["code_version"]
    assert len(lineage["manifest_sha256"]) == 64

    copied = ("ModelPackageGroupName", "ModelApprovalStatus", "InferenceSpecification")
    sagemaker.create_model_package(**{name: before[name] for name in copied})
    prefix = f"models/{lineage['run_id']}/risk/"
    files = objects_below(cloud, deployment, prefix)
    name = deployment["IopsTraining.RetirePackagesName"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"KEPT_VERSIONS": "1"}}
    )
    retired = invoke(cloud, deployment, "RetirePackagesName", {})
    gone = objects_below(cloud, deployment, prefix)
    restored = invoke(cloud, deployment, "RestorePackageName", {"kind": "risk", "version": 2})

    assert retired == {"is_done": True, "reason": "", "retired": {"risk": [2], "performance": []}}
    assert (gone, objects_below(cloud, deployment, prefix)) == (set(), files)
    after = sagemaker.describe_model_package(ModelPackageName=restored["model_package_arn"])
    for member in ("CustomerMetadataProperties", "ModelCard", "InferenceSpecification", "ModelMetrics"):
        assert after[member] == before[member]


def has_disks() -> bool:
    try:
        return bool(Machine().disks())
    except NoDisks:
        return False


@pytest.mark.skipif(not has_disks(), reason="there are no whole disks to watch here")
def test_this_machines_disks_are_watched_into_the_table_and_scored(
    record: RunRecord, cloud: LaptopCloud, deployment: Deployment, build: Path
):
    """As INSIGHTS=this-host does after its training; three rows are the fewest that a device is scored by."""
    seen, said = RunRecord(steps=record.steps), list[str]()

    watch_this_host(cloud, deployment, seen, 5, build=build, say=said.append)

    jsonschema.validate(
        vars(replace(record, watched=seen.watched)), json.loads(Path("docs/run.schema.json").read_text())
    )
    assert [disk["disk"] for disk in seen.watched["disks"]] == Machine().disks()
    for disk in seen.watched["disks"]:
        assert (disk["rows"] >= 3, disk["note"]) == (True, None), said
        assert [answer["body"]["device_id"] for answer in disk["predictions"]] == [disk["device_id"]] * 2
    assert list(build.glob("watch-*")) == []


@pytest.fixture(scope="module")
def roles(cloud: LaptopCloud, record: RunRecord) -> DeployedRoles:
    """Every role's policies, taken while they exist."""
    return DeployedRoles.of(cloud)


def test_no_role_was_refused_anything(cloud: LaptopCloud, roles: DeployedRoles):
    """An AuthError is a warm function's session that has run out, and says nothing of its role."""
    calls = audit.denied_calls(audit.read_calls(cloud.settings.calls_file))
    refused = [call for call in calls if call.decision != "AuthError"]
    assert [(call.role, call.action, call.resource) for call in refused] == []


def test_destroying_leaves_no_endpoint_no_scalable_target_and_no_running_job(cloud: LaptopCloud, roles: DeployedRoles):
    destroy(cloud)

    sagemaker = cloud.client("sagemaker")
    scaling = cloud.client("application-autoscaling")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"] == []
    assert sagemaker.list_processing_jobs(StatusEquals="InProgress")["ProcessingJobSummaries"] == []
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert cloud.client("cloudformation").describe_stacks()["Stacks"] in ([], None) or all(
        not stack["StackName"].startswith("Iops")
        for stack in cloud.client("cloudformation").describe_stacks()["Stacks"]
    )


def test_removing_any_one_action_that_this_run_is_to_prove_would_have_failed_a_call(
    cloud: LaptopCloud, roles: DeployedRoles, templates: Templates
):
    """From the first deployment to the last role's last call while everything was destroyed."""
    check("main_job", cloud, roles, templates)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks the processes up in /proc")
def test_ctrl_c_stops_everything(up: Up, cloud: LaptopCloud):
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(60) == 0
    assert processes_left(cloud.settings.state_dir) == []
    assert [port for port in (cloud.settings.port, up.page_port) if port_is_taken(port)] == []
