"""What a workflow does with a processing job that failed: once more if its worker was lost, and else not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stacks import test_training_paths, test_watch_paths
from tests.stacks.test_training_paths import PLAN, RUN_ID, outcomes
from tests.stacks.walk import Failed, definition, install, walk

Templates = Mapping[str, dict[str, Any]]
JOB = "sagemaker:createProcessingJob.sync"
INSTANCE_LOST = {"FailureReason": "InternalServerError: We encountered an internal error. Please try again."}
KILLED = {"FailureReason": "AlgorithmError: , exit code: 137"}
REFUSED = {"FailureReason": "AlgorithmError: no rows, exit code: 2", "ExitMessage": "no rows"}
SAID_BEFORE_IT_WAS_KILLED = {"FailureReason": "AlgorithmError: , exit code: 137", "ExitMessage": "no room on the disk"}
CRASHED = {"FailureReason": "AlgorithmError: , exit code: 139"}
STOPPED = {"ProcessingJobStatus": "Stopped"}


@dataclass
class Ends:
    """Jobs whose names hold a step's end by these answers of DescribeProcessingJob, one an attempt, and then well."""

    of: Mapping[str, list[Mapping[str, str]]]
    error: str = "States.TaskFailed"
    names: list[str] = field(default_factory=list)

    def meet(self, name: str) -> None:
        self.names.append(name)
        for step, answers in self.of.items():
            if f"-{step}-" in name and answers:
                described = {"ProcessingJobName": name, "ProcessingJobStatus": "Failed", **answers.pop(0)}
                raise Failed(self.error, json.dumps(described))

    def attempts(self, step: str) -> list[str]:
        return [name for name in self.names if f"-{step}-" in name]


@dataclass
class Training(test_training_paths.World):
    ends: Ends = field(default_factory=lambda: Ends({}))

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        if resource.endswith(JOB):
            self.ends.meet(arguments["ProcessingJobName"])
        return super().call(resource, arguments)


@dataclass
class Watching(test_watch_paths.World):
    ends: Ends = field(default_factory=lambda: Ends({}))

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        if resource.endswith(JOB):
            self.ends.meet(arguments["ProcessingJobName"])
        return super().call(resource, arguments)


Train = Callable[[Ends], dict[str, Any]]


@pytest.fixture
def train(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Train:
    """A run of several instances of a synthetic fleet, which has a job of each kind."""
    machine = definition(templates["IopsTraining"], "TrainModels")
    source = {"kind": "synthetic", "records": 2000, "seed": 7, "device_prefix": "synthetic-7-"}

    def run(ends: Ends) -> dict[str, Any]:
        world = Training(ends=ends, plan=PLAN, source=source)
        install(monkeypatch, world.call, s3=world)
        return outcomes(walk(machine, {}))

    return run


@pytest.mark.parametrize("end", [INSTANCE_LOST, KILLED])
def test_each_job_whose_worker_was_lost_is_started_once_more_under_a_name_of_its_own(
    train: Train, end: Mapping[str, str]
):
    steps = ("generate", "engineer", "merge", "evaluate-risk", "evaluate-performance")
    ends = Ends({step: [end] for step in steps})

    models = train(ends)

    assert {model["status"] for model in models.values()} == {"promoted"}
    for step in steps:
        name = f"iops-{step}-{RUN_ID}-0"
        assert ends.attempts(step) == [name, f"{name}-again"]


@pytest.mark.parametrize("step", ["generate", "engineer", "merge"])
def test_a_job_whose_worker_is_lost_again_ends_the_run_with_its_cause(train: Train, step: str):
    ends = Ends({step: [INSTANCE_LOST, INSTANCE_LOST]})

    with pytest.raises(Failed, match="We encountered an internal error"):
        train(ends)

    assert len(ends.attempts(step)) == 2


def test_an_evaluation_whose_worker_is_lost_again_fails_its_model_alone(train: Train):
    models = train(Ends({"evaluate-risk": [KILLED, KILLED]}))

    assert (models["risk"]["status"], models["performance"]["status"]) == ("failed", "promoted")
    assert models["risk"]["cause"].startswith("EvaluateRisk: ")


@pytest.mark.parametrize("end", [REFUSED, SAID_BEFORE_IT_WAS_KILLED, CRASHED, STOPPED])
def test_a_job_that_said_why_or_crashed_or_was_stopped_is_not_started_again(train: Train, end: Mapping[str, str]):
    ends = Ends({"engineer": [end]})

    with pytest.raises(Failed) as raised:
        train(ends)

    assert raised.value.cause.startswith("EngineerFeatures: ")
    assert len(ends.attempts("engineer")) == 1


def test_a_refused_request_that_names_an_internal_error_is_no_lost_worker(train: Train):
    ends = Ends({"engineer": [INSTANCE_LOST]}, error="SageMaker.ValidationException")

    with pytest.raises(Failed):
        train(ends)

    assert len(ends.attempts("engineer")) == 1


def test_a_watch_job_whose_worker_was_lost_is_started_once_more(templates: Templates, monkeypatch: pytest.MonkeyPatch):
    world = Watching(ends=Ends({"watch-risk": [KILLED], "watch-performance": [REFUSED]}))
    install(monkeypatch, world.call)

    with pytest.raises(Failed, match="performance: described"):
        walk(definition(templates["IopsTraining"], "WatchModels"), {})

    assert [len(world.ends.attempts(f"watch-{kind}")) for kind in ("risk", "performance")] == [2, 1]
