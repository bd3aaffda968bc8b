"""TrainModels as it is synthesised, walked against jobs and Lambdas in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambdas.prepare_run.plan import jobs_plan
from lambdas.prepare_run.planning import Planning
from lambdas.prepare_run.rates import Rates
from tests.stacks.walk import Failed, called, definition, install, walk

Templates = Mapping[str, dict[str, Any]]
RUN_ID = "0123456789ab"
TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:000000000000:table/insights/export/0123-abcd"


def export_of(failing: str) -> str | None:
    return "point_in_time" if failing.startswith("aws-sdk:dynamodb:") else None


SMALL = jobs_plan(10, Planning(), Rates.read()).to_json()
"""One instance of each job, as PrepareRun plans a small run."""


@dataclass
class World:
    """What every integration answers; the fields say what goes wrong, and what was asked."""

    source: Mapping[str, Any] = field(default_factory=lambda: {"kind": "dynamodb", "device_prefix": None})
    models: Mapping[str, bool] = field(default_factory=lambda: {"risk": True, "performance": True})
    promote: bool = True
    passes: Mapping[str, bool] = field(default_factory=lambda: {"risk": True, "performance": True})
    has_splits: bool = False
    live: str = ""
    plan: Mapping[str, Any] | None = None
    failing: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    export: str | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    table_export_answers: list[str] = field(default_factory=lambda: ["IN_PROGRESS", "COMPLETED"])

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        """An entry of `failing` is the called name, or the name and the kind."""
        name = called(resource, arguments)
        self.asked.append((name, arguments))
        for key, error in self.failing.items():
            action, _, kind = key.partition(" ")
            if name == action and kind in json.dumps(arguments):
                raise Failed(*error)
        if "Payload" in arguments:
            return {"Payload": self.answer(name, arguments["Payload"])}
        return self.answer(name, arguments)

    def answer(self, name: str, given: dict[str, Any]) -> Any:
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "PrepareRun": self.run,
            "ExportInsights": lambda e: {
                "segment": e["segment"],
                "done": e.get("batch", 0) > 0,
                "start_key": {"device_id": "d"},
                "batch": 1,
                "rows": 5,
            },
            "aws-sdk:dynamodb:exportTableToPointInTime": lambda _: {"ExportDescription": {"ExportArn": TABLE_EXPORT}},
            "aws-sdk:dynamodb:describeExport": self.table_export,
            "aws-sdk:s3:listObjectsV2": self.listing,
            "WriteManifest": lambda e: {
                "manifest": "s3://bucket/raw/manifest.json",
                "rows": 10,
                "plan": {**SMALL, "rows": 10, "under": e["planning"], **(self.plan or {})},
            },
            "IngestInsights": lambda _: {"rows": 5, "refused": 0},
            "aws-sdk:sagemaker:describeHyperParameterTuningJob": lambda e: {
                "BestTrainingJob": {"TrainingJobName": f"{e['HyperParameterTuningJobName']}-003-abcdef"}
            },
            "aws-sdk:cloudformation:describeStacks": lambda e: {
                "Stacks": [{"Parameters": self.parameters(e["StackName"])}]
            },
            "aws-sdk:sagemaker:describeModelPackage": lambda e: {
                "InferenceSpecification": {"Containers": [{"ModelDataUrl": f"s3://bucket/{e['ModelPackageName']}"}]}
            },
            "JudgeModel": self.judgement,
            "aws-sdk:sagemaker:createModelPackage": lambda e: {
                "ModelPackageArn": f"arn:package/{e['ModelPackageGroupName']}/4"
            },
            "states:startExecution.sync:2": lambda e: {"Output": {"endpoint_name": f"endpoint-{e['Input']['kind']}"}},
            "SummarizeRun": lambda e: {
                "run_id": e["run"]["run_id"],
                "models": e["models"],
                "manifest": e["manifest"],
                "plan": e["plan"],
            },
            "DescribeFailure": lambda e: {"error": e["error"], "cause": f"{e['state']}: {e['cause']}"},
        }
        return answers.get(name, lambda _: {})(given)

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["redrive_count"] == 0
        return {
            "run_id": RUN_ID,
            "bucket": "bucket",
            "raw_prefix": f"raw/{RUN_ID}/",
            "features_prefix": f"features/{RUN_ID}/",
            "source": self.source,
            "models": self.models,
            "tuning": {"max_jobs": 50, "max_parallel_jobs": 5},
            "gate": {"min_accuracy": 0.9},
            "promote": self.promote,
            "split": "device",
            "trigger": "drift",
            "reason": "psi 0.4",
            "segments": [{"segment": number, "total_segments": 2} for number in range(2)],
            "export": {"method": self.export or "scan", "segments": 2},
            "plan": {**SMALL, "rows": 7, **(self.plan or {})},
            "planning": {"chosen": {"segments": 2}},
        }

    def table_export(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request == {"ExportArn": TABLE_EXPORT}
        status = self.table_export_answers.pop(0)
        description = {"ExportArn": TABLE_EXPORT, "ExportStatus": status, "ExportTime": "2026-03-02T10:00:00Z"}
        failed = {"FailureMessage": "the bucket is gone"} if status == "FAILED" else {}
        return {"ExportDescription": description | failed}

    def get_object(self, **request: Any) -> dict[str, Any]:
        """The list of the data files, as the Distributed Map reads it."""
        self.asked.append(("ItemReader", request))
        lines = [{"itemCount": 7, "md5Checksum": "x", "dataFileS3Key": f"data/{n}.json.gz"} for n in range(3)]
        return {"Body": io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())}

    def listing(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["Prefix"] == "features/splits.json":
            return {"KeyCount": 1, "Contents": [{"Key": request["Prefix"]}]} if self.has_splits else {"KeyCount": 0}
        return {"KeyCount": 1, "Contents": [{"Key": f"{request['Prefix']}00000.json"}]}

    def parameters(self, stack: str) -> list[dict[str, str]]:
        return [
            {"ParameterKey": "ChallengerPackage", "ParameterValue": "a-challenger"},
            {"ParameterKey": "LivePackage", "ParameterValue": f"{self.live}-{stack}" if self.live else ""},
        ]

    def judgement(self, request: dict[str, Any]) -> dict[str, Any]:
        kind = request["kind"]
        return {
            "passed": self.passes[kind],
            "reasons": ["accuracy 0.93 >= 0.90: passed"],
            "metrics": {"accuracy": 0.93},
            "report": "s3://bucket/report.html",
            "golden": "s3://bucket/golden.json",
            "metrics_uri": "s3://bucket/metrics.json",
            "card": '{"intended_uses": {}}',
            "lineage": {"trigger": "drift", "code_version": "0a1b"},
        }

    def requests(self, name: str) -> list[dict[str, Any]]:
        return [arguments for asked, arguments in self.asked if asked == name]

    def jobs(self) -> dict[str, dict[str, Any]]:
        requests = self.requests("sagemaker:createProcessingJob.sync")
        return {request["ProcessingJobName"]: request for request in requests}


Train = Callable[[World], Any]


@pytest.fixture
def train(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Train:
    machine = definition(templates["IopsTraining"], "TrainModels")

    def run(world: World) -> Any:
        install(monkeypatch, world.call, s3=world)
        return walk(machine, {})

    return run


def outcomes(output: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {outcome["kind"]: outcome for outcome in output["models"]}


def test_the_plan_of_what_was_exported_replaces_the_first_and_is_in_the_output(train: Train):
    exported = train(World())
    assert exported["plan"] == {**SMALL, "rows": 10, "under": {"chosen": {"segments": 2}}}
    files = train(World(source={"kind": "s3", "uri": "s3://bucket/incoming/"}))
    assert files["plan"] == {**SMALL, "rows": 7}


def test_an_empty_input_trains_and_promotes_both_models(train: Train):
    world = World()

    models = outcomes(train(world))

    for kind in ("risk", "performance"):
        assert models[kind] == {
            "kind": kind,
            "status": "promoted",
            "metrics": {"accuracy": 0.93},
            "gate": {"passed": True, "reasons": ["accuracy 0.93 >= 0.90: passed"]},
            "report": "s3://bucket/report.html",
            "model_package_arn": f"arn:package/iops-{kind}/4",
            "endpoint": f"endpoint-{kind}",
        }


def test_an_export_hands_on_until_every_segment_is_done(train: Train):
    world = World()

    train(world)

    asked = [request["Payload"] for request in world.requests("ExportInsights")]
    handed_on = {"device_id": "d"}
    assert sorted(((e["segment"], e.get("batch"), e.get("start_key"), e.get("rows")) for e in asked), key=str) == [
        (0, 1, handed_on, 5),
        (0, None, None, None),
        (1, 1, handed_on, 5),
        (1, None, None, None),
    ]
    assert all(
        set(event) >= {"run_id", "bucket", "raw_prefix", "source", "segment", "total_segments"} for event in asked
    )


def test_a_point_in_time_export_is_waited_for_and_each_of_its_files_exported(train: Train):
    world = World(export="point_in_time")

    assert outcomes(train(world))["risk"]["status"] == "promoted"

    [started] = world.requests("aws-sdk:dynamodb:exportTableToPointInTime")
    assert (started["ClientToken"], started["S3Prefix"]) == (RUN_ID, f"exports/{RUN_ID}/table")
    [listed] = world.requests("ItemReader")
    key = f"exports/{RUN_ID}/table/AWSDynamoDB/0123-abcd/manifest-files.json"
    assert listed == {"Bucket": "bucket", "Key": key}
    asked = [request["Payload"] for request in world.requests("ExportInsights")]
    firsts = sorted((e["segment"], e["data_file"]["dataFileS3Key"]) for e in asked if "batch" not in e)
    assert firsts == [(0, "data/0.json.gz"), (1, "data/1.json.gz"), (2, "data/2.json.gz")]
    assert len(asked) == 6


def test_a_table_export_that_fails_ends_the_run_with_dynamodbs_reason(train: Train):
    with pytest.raises(Failed) as raised:
        train(World(export="point_in_time", table_export_answers=["IN_PROGRESS", "FAILED"]))

    assert raised.value.error == "TableExportFailed"
    assert raised.value.cause == f"DescribeTableExport: {TABLE_EXPORT} failed: the bucket is gone"


def test_what_was_ingested_by_the_run_itself_is_scanned_whatever_was_planned(train: Train):
    source = {"kind": "synthetic", "records": 2000, "seed": 7, "device_prefix": "synthetic-7-"}
    world = World(source=source, export="point_in_time")

    train(world)

    assert world.requests("aws-sdk:dynamodb:exportTableToPointInTime") == []
    assert {request["Payload"]["segment"] for request in world.requests("ExportInsights")} == {0, 1}


@dataclass
class Flaky(World):
    """One segment's function is killed so often."""

    kills: int = 0

    def answer(self, name: str, given: dict[str, Any]) -> Any:
        if name == "ExportInsights" and given["segment"] == 1 and self.kills:
            self.kills -= 1
            raise Failed("Runtime.ExitError", "RequestId: 52fdfc07 Error: Runtime exited with error: signal: killed")
        return super().answer(name, given)


def test_a_killed_segment_is_retried_alone(train: Train):
    world = Flaky(kills=3)

    assert outcomes(train(world))["risk"]["status"] == "promoted"

    asked = [request["Payload"]["segment"] for request in world.requests("ExportInsights")]
    assert (asked.count(0), asked.count(1)) == (2, 2 + 3)


def test_a_segment_that_fails_for_good_fails_the_run_which_asks_for_its_cause(train: Train):
    world = Flaky(kills=99)

    with pytest.raises(Failed) as raised:
        train(world)

    assert raised.value.error == "States.ExceedToleratedFailureThreshold"
    [asked] = world.requests("DescribeFailure")
    assert (asked["Payload"]["state"], asked["Payload"]["execution"]) == ("ExportInsights", "arn:execution")


def test_a_synthetic_run_generates_loads_and_then_exports(train: Train):
    world = World(source={"kind": "synthetic", "records": 2000, "seed": 7, "device_prefix": "synthetic-7-"})

    train(world)

    generate = world.jobs()[f"iops-generate-{RUN_ID}-0"]
    assert generate["AppSpecification"]["ContainerArguments"] == ["generate", "--records", "2000", "--seed", "7"]
    [ingested] = world.requests("IngestInsights")
    assert ingested["Payload"] == {"bucket": "bucket", "key": f"raw/{RUN_ID}/generated/part-00000.json"}
    assert world.requests("ExportInsights")


def test_a_run_on_files_goes_straight_to_features(train: Train):
    world = World(source={"kind": "s3", "uri": "s3://other/incoming/"})

    output = train(world)

    assert output["manifest"] == {}
    assert world.requests("ExportInsights") == []
    [raw] = world.jobs()[f"iops-engineer-{RUN_ID}-0"]["ProcessingInputs"]
    assert raw["S3Input"]["S3Uri"] == "s3://other/incoming/"


def uris(job: Mapping[str, Any]) -> dict[str, str]:
    return {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in job["ProcessingInputs"]}


def output_uri(job: Mapping[str, Any]) -> str:
    [output] = job["ProcessingOutputConfig"]["Outputs"]
    uri: str = output["S3Output"]["S3Uri"]
    return uri


def cluster(job: Mapping[str, Any]) -> tuple[int, str, int]:
    made = job["ProcessingResources"]["ClusterConfig"]
    return made["InstanceCount"], made["InstanceType"], made["VolumeSizeInGB"]


def test_one_instance_makes_the_features_by_itself(train: Train):
    world = World()

    train(world)

    job = world.jobs()[f"iops-engineer-{RUN_ID}-0"]
    assert cluster(job) == (1, "ml.m5.xlarge", 30)
    assert uris(job) == {
        "raw": f"s3://bucket/raw/{RUN_ID}/export-batch-",
        "manifest": f"s3://bucket/raw/{RUN_ID}/manifest.json",
    }
    assert output_uri(job) == f"s3://bucket/features/{RUN_ID}/"
    arguments = ["--split", "device", "--tables", "csv", "--train-parts", "1"]
    assert job["AppSpecification"]["ContainerArguments"] == ["engineer", *arguments]
    assert f"iops-merge-{RUN_ID}-0" not in world.jobs()


PLAN = {
    "rows": 3_000_000,
    "processing_instances": 3,
    "processing_instance_type": "ml.m5.4xlarge",
    "processing_volume_gb": 200,
    "training_instances": 2,
}


def test_several_instances_share_the_objects_and_a_second_job_merges_what_they_leave(train: Train):
    world = World(source={"kind": "synthetic", "records": 2000, "seed": 7, "device_prefix": "s"}, plan=PLAN)

    train(world)

    engineer, merge = (world.jobs()[f"iops-{step}-{RUN_ID}-0"] for step in ("engineer", "merge"))
    assert cluster(engineer) == (3, "ml.m5.4xlarge", 200)
    assert cluster(merge) == (1, "ml.m5.4xlarge", 200)
    distributions = {e["InputName"]: e["S3Input"].get("S3DataDistributionType") for e in engineer["ProcessingInputs"]}
    assert distributions == {"raw": "ShardedByS3Key", "manifest": None, "oracle": None}
    assert uris(engineer)["oracle"] == f"s3://bucket/raw/{RUN_ID}/generated/oracle.npz"
    assert output_uri(engineer) == uris(merge)["shards"] == f"s3://bucket/features/shards/{RUN_ID}/"
    assert output_uri(merge) == f"s3://bucket/features/{RUN_ID}/"
    arguments = ["--split", "device", "--tables", "none", "--train-parts", "2"]
    assert merge["AppSpecification"]["ContainerArguments"] == ["merge", *arguments]
    [kept] = world.requests("aws-sdk:s3:copyObject")
    assert kept["CopySource"] == f"bucket/features/{RUN_ID}/splits.json"


def test_devices_keep_their_splits_from_the_second_run_on(train: Train):
    world = World(has_splits=True)

    train(world)

    inputs = world.jobs()[f"iops-engineer-{RUN_ID}-0"]["ProcessingInputs"]
    assert [entry["InputName"] for entry in inputs] == ["raw", "manifest", "previous"]
    [kept] = world.requests("aws-sdk:s3:copyObject")
    assert kept == {
        "Bucket": "bucket",
        "Key": "features/splits.json",
        "CopySource": f"bucket/features/{RUN_ID}/splits.json",
    }


def test_the_best_trial_is_evaluated_and_registered_with_what_is_known_of_it(train: Train):
    world = World()

    train(world)

    model = f"s3://bucket/models/{RUN_ID}/risk/risk-{RUN_ID}-0-003-abcdef/output/model.tar.gz"
    inputs = world.jobs()[f"iops-evaluate-risk-{RUN_ID}-0"]["ProcessingInputs"]
    assert {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in inputs} == {
        "model": model,
        "features": f"s3://bucket/features/{RUN_ID}/",
    }
    package = next(
        request
        for request in world.requests("aws-sdk:sagemaker:createModelPackage")
        if request["ModelPackageGroupName"] == "iops-risk"
    )
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == model
    assert package["CustomerMetadataProperties"] == {
        "kind": "risk",
        "run_id": RUN_ID,
        "golden_uri": "s3://bucket/golden.json",
        "report_uri": "s3://bucket/report.html",
        "metrics_uri": "s3://bucket/metrics.json",
        "metric_accuracy": "0.93",
        "trigger": "drift",
        "code_version": "0a1b",
    }
    assert package["ModelCard"] == {"ModelCardContent": '{"intended_uses": {}}', "ModelCardStatus": "Approved"}
    judged = next(r["Payload"] for r in world.requests("JudgeModel") if r["Payload"]["kind"] == "risk")
    assert judged["run"]["model_data"] == model
    assert judged["run"]["training_job"] == f"risk-{RUN_ID}-0-003-abcdef"
    assert (judged["run"]["trigger"], judged["run"]["reason"]) == ("drift", "psi 0.4")


def evaluation_inputs(world: World, kind: str) -> dict[str, str]:
    inputs = world.jobs()[f"iops-evaluate-{kind}-{RUN_ID}-0"]["ProcessingInputs"]
    return {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in inputs}


def test_a_newcomer_is_evaluated_beside_the_live_model_of_its_kind(train: Train):
    world = World(live="live")

    train(world)

    assert evaluation_inputs(world, "risk")["live"] == "s3://bucket/live-IopsRiskEndpoint"
    assert evaluation_inputs(world, "performance")["live"] == "s3://bucket/live-IopsPerformanceEndpoint"


def test_an_endpoint_stack_that_is_not_deployed_has_no_live_model(train: Train):
    missing = {"aws-sdk:cloudformation:describeStacks": ("CloudFormation", "Stack with id x does not exist")}
    world = World(live="live", failing=missing, promote=False)

    assert {outcome["status"] for outcome in train(world)["models"]} == {"registered"}
    assert "live" not in evaluation_inputs(world, "risk")


@pytest.mark.parametrize(
    ("failing", "state"),
    [
        ("aws-sdk:cloudformation:describeStacks", "FindLive"),
        ("aws-sdk:sagemaker:describeModelPackage", "LocateLive"),
    ],
)
def test_a_live_model_that_cannot_be_found_out_is_no_silent_absence(train: Train, failing: str, state: str):
    models = outcomes(train(World(live="live", failing={failing: ("AccessDenied", "not authorized")})))

    assert models["risk"]["status"] == "failed"
    assert models["risk"]["cause"] == f"{state}Risk: not authorized"


def test_a_rejected_model_is_registered_as_such_and_not_promoted(train: Train):
    world = World(passes={"risk": False, "performance": True})

    models = outcomes(train(world))

    assert (models["risk"]["status"], models["performance"]["status"]) == ("rejected", "promoted")
    statuses = {
        request["ModelPackageGroupName"]: request["ModelApprovalStatus"]
        for request in world.requests("aws-sdk:sagemaker:createModelPackage")
    }
    assert statuses == {"iops-risk": "Rejected", "iops-performance": "Approved"}


def test_what_is_not_to_be_promoted_is_registered_only(train: Train):
    world = World(promote=False)

    assert {outcome["status"] for outcome in train(world)["models"]} == {"registered"}
    assert world.requests("states:startExecution.sync:2") == []


def test_a_model_that_was_not_asked_for_is_skipped(train: Train):
    models = outcomes(train(World(models={"risk": True, "performance": False})))

    assert models["performance"] == {"kind": "performance", "status": "skipped"}


def test_one_models_failure_leaves_the_other_alone_and_is_described(train: Train):
    world = World(
        failing={"sagemaker:createHyperParameterTuningJob.sync risk": ("States.TaskFailed", "all trials failed")}
    )

    models = outcomes(train(world))

    assert models["risk"] == {"kind": "risk", "status": "failed", "cause": "TuneRisk: all trials failed"}
    assert models["performance"]["status"] == "promoted"


def test_a_failed_promotion_keeps_what_is_known_of_the_model(train: Train):
    world = World(failing={"states:startExecution.sync:2 performance": ("States.TaskFailed", "row 4 differs")})

    outcome = outcomes(train(world))["performance"]

    assert outcome["status"] == "failed"
    assert outcome["cause"] == "PromotePerformance: row 4 differs"
    assert outcome["model_package_arn"] == "arn:package/iops-performance/4"
    assert outcome["gate"]["passed"] is True


@pytest.mark.parametrize(
    ("failing", "state"),
    [
        ("PrepareRun", "PrepareRun"),
        ("aws-sdk:dynamodb:exportTableToPointInTime", "StartTableExport"),
        ("aws-sdk:dynamodb:describeExport", "DescribeTableExport"),
        ("WriteManifest", "WriteManifest"),
        ("sagemaker:createProcessingJob.sync engineer", "EngineerFeatures"),
        ("sagemaker:createProcessingJob.sync iops-merge", "MergeFeatures"),
        ("SummarizeRun", "Summarize"),
    ],
)
def test_any_other_failure_ends_the_run_with_the_described_cause(train: Train, failing: str, state: str):
    plan = PLAN if state == "MergeFeatures" else None
    with pytest.raises(Failed) as raised:
        train(World(failing={failing: ("InvalidThing", "the reason")}, plan=plan, export=export_of(failing)))

    assert raised.value.error == "InvalidThing"
    assert raised.value.cause == f"{state}: the reason"


def test_without_a_description_the_raw_cause_is_told(train: Train):
    failing = {"PrepareRun": ("InvalidRunInput", "field models"), "DescribeFailure": ("Lambda.Unknown", "no luck")}

    with pytest.raises(Failed) as raised:
        train(World(failing=failing))

    assert (raised.value.error, raised.value.cause) == ("InvalidRunInput", "field models")


def test_a_notification_that_cannot_be_sent_does_not_fail_the_run(train: Train):
    output = train(World(failing={"sns:publish": ("SNS.SnsException", "topic is gone")}))

    assert output["notification_failure"] == "topic is gone"
    assert output["run_id"] == RUN_ID
