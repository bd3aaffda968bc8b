"""WatchModels as it is synthesised, walked against jobs and Lambdas in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stacks.walk import Failed, called, definition, install, walk

Templates = Mapping[str, dict[str, Any]]
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/iops-risk/3"


def plan(kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "status": "watched",
        "run_id": "0123456789ab",
        "bucket": "bucket",
        "prefix": f"monitoring/{kind}/period/",
        "report": f"s3://bucket/monitoring/{kind}/period/report.html",
        "start": "2026-03-01T10:00:00.000Z",
        "end": "2026-03-02T10:00:00.000Z",
        "outcomes_since": "2026-02-23T10:00:00.000Z",
        "model_version": PACKAGE,
        "model_uri": "s3://bucket/models/model.tar.gz",
        "captured": [
            {
                "name": "captured-0",
                "uri": "s3://bucket/monitoring/data-capture/e/live/2026/03/02/",
                "path": "live/2026/03/02",
            },
            {
                "name": "captured-1",
                "uri": "s3://bucket/monitoring/data-capture/e/live/2026/03/01/",
                "path": "live/2026/03/01",
            },
        ],
    }


@dataclass
class World:
    """What every integration answers; `parts` is how many invocations collecting takes."""

    skipped: tuple[str, ...] = ()
    parts: int = 1
    failing: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        name = called(resource, arguments)
        given = arguments.get("Payload", arguments)
        self.asked.append((name, given))
        if name in self.failing:
            raise Failed(*self.failing[name])
        return {"Payload": self.answer(name, given)} if "Payload" in arguments else {}

    def answer(self, name: str, given: dict[str, Any]) -> Any:
        if name == "PrepareWatch":
            kind = given["kind"]
            return {"kind": kind, "status": "skipped", "reason": "none"} if kind in self.skipped else plan(kind)
        if name == "CollectOutcomes":
            number = given["part"] + 1
            return {"done": number >= self.parts, "start_key": {"device_id": {"S": "d"}}, "part": number, "lines": 1}
        if name == "PublishWatch":
            return {"kind": given["plan"]["kind"], "status": "watched", "drift_detected": False}
        if name == "JudgeExperiment":
            return {"decision": None, "reason": "no experiment runs"}
        return {"error": given["error"], "cause": f"described: {given['cause']}"}

    def of(self, name: str) -> list[dict[str, Any]]:
        return [given for asked, given in self.asked if asked == name]


@pytest.fixture
def machine(templates: Templates) -> dict[str, Any]:
    return definition(templates["IopsTraining"], "WatchModels")


def test_both_models_are_watched_and_published(machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    install(monkeypatch, world.call)
    assert walk(machine, {}) == {
        "models": [
            {
                "kind": kind,
                "status": "watched",
                "drift_detected": False,
                "experiment": {"decision": None, "reason": "no experiment runs"},
            }
            for kind in ("risk", "performance")
        ]
    }
    asked = {given["kind"]: given for given in world.of("PrepareWatch")}
    assert asked["risk"]["started_at"] == "2026-03-02T10:00:00.000Z"
    assert asked["risk"]["input"] == {}


def test_the_job_gets_the_model_the_outcomes_and_each_captured_day(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(skipped=("performance",))
    install(monkeypatch, world.call)
    walk(machine, {})
    (job,) = world.of("sagemaker:createProcessingJob.sync")
    inputs = {
        one["S3Input"]["LocalPath"].removeprefix("/opt/ml/processing/input/"): one["S3Input"]["S3Uri"]
        for one in job["ProcessingInputs"]
    }
    assert inputs == {
        "model": "s3://bucket/models/model.tar.gz",
        "outcomes": "s3://bucket/monitoring/risk/period/outcomes/",
        "captured/live/2026/03/02": "s3://bucket/monitoring/data-capture/e/live/2026/03/02/",
        "captured/live/2026/03/01": "s3://bucket/monitoring/data-capture/e/live/2026/03/01/",
    }
    assert job["ProcessingJobName"] == "iops-watch-risk-0123456789ab-0"
    arguments = job["AppSpecification"]["ContainerArguments"]
    assert arguments[:3] == ["watch", "--kind", "risk"]
    assert dict(zip(arguments[3::2], arguments[4::2], strict=True)) == {
        "--start": "2026-03-01T10:00:00.000Z",
        "--end": "2026-03-02T10:00:00.000Z",
        "--model-version": PACKAGE,
        "--report-uri": "s3://bucket/monitoring/risk/period/report.html",
    }


def test_an_experiment_is_judged_by_the_outcomes_that_were_collected(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(skipped=("performance",))
    install(monkeypatch, world.call)
    walk(machine, {})
    assert world.of("JudgeExperiment") == [
        {"kind": "risk", "outcomes_uri": "s3://bucket/monitoring/risk/period/outcomes/"}
    ]


def test_collecting_goes_on_where_it_stopped(machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(skipped=("performance",), parts=3)
    install(monkeypatch, world.call)
    walk(machine, {})
    assert [given["part"] for given in world.of("CollectOutcomes")] == [0, 1, 2]
    assert [given["start_key"] for given in world.of("CollectOutcomes")] == [None, *[{"device_id": {"S": "d"}}] * 2]


def test_a_kind_without_a_live_model_is_skipped_and_says_so(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(skipped=("risk", "performance"))
    install(monkeypatch, world.call)
    assert [model["status"] for model in walk(machine, {})["models"]] == ["skipped", "skipped"]
    assert world.of("sagemaker:createProcessingJob.sync") == []


def test_a_failed_job_fails_the_execution_with_its_reason(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(
        skipped=("performance",), failing={"sagemaker:createProcessingJob.sync": ("States.TaskFailed", "no disk")}
    )
    install(monkeypatch, world.call)
    with pytest.raises(Failed) as failed:
        walk(machine, {})
    assert "risk: described: no disk" in str(failed.value.cause)


def test_where_nobody_can_describe_it_the_raw_cause_is_told(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = {name: ("States.TaskFailed", f"{name} broke") for name in ("PublishWatch", "DescribeFailure")}
    world = World(failing=failing)
    install(monkeypatch, world.call)
    with pytest.raises(Failed) as failed:
        walk(machine, {})
    assert "risk: PublishWatch broke; performance: PublishWatch broke" in str(failed.value.cause)
