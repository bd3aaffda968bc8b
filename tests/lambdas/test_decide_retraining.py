"""The decision on a Step Functions that keeps executions, and what is left of it: an execution, a record, a metric."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.decide_retraining import handler as adapter
from lambdas.decide_retraining.decide_retraining import RetrainingEnvironment
from lambdas.decide_retraining.trainings import Trainings

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:TrainModels"
EVENT_ID = "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92"


class Machine:
    """TrainModels' executions, newest first; a started one runs until it is ended."""

    def __init__(self, make_refusal: Any) -> None:
        self.executions: list[dict[str, Any]] = []
        self.make_refusal = make_refusal

    def start_execution(self, **request: Any) -> dict[str, Any]:
        if any(request["name"] == known["name"] for known in self.executions):
            raise self.make_refusal("ExecutionAlreadyExists", "StartExecution")
        return self.add(request["name"], request["input"])

    def add(self, name: str, given: str, *, ago: timedelta = timedelta(0), status: str = "RUNNING") -> dict[str, Any]:
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
        began = datetime.now(UTC) - ago
        made = {"executionArn": arn, "name": name, "status": status, "startDate": began, "input": given}
        self.executions.insert(0, made)
        return made

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        assert request["stateMachineArn"] == MACHINE
        for execution in list(self.executions):
            yield {"executions": [{name: value for name, value in execution.items() if name != "input"}]}

    def describe_execution(self, **request: Any) -> dict[str, Any]:
        return next(known for known in self.executions if known["executionArn"] == request["executionArn"])

    def end_all(self) -> None:
        for execution in self.executions:
            execution["status"] = "SUCCEEDED"


class Alarms:
    def __init__(self) -> None:
        self.ringing: dict[str, str] = {}

    def describe_alarms(self, **request: Any) -> dict[str, Any]:
        assert request["StateValue"] == "ALARM"
        found = [name for name in request["AlarmNames"] if name in self.ringing]
        return {"MetricAlarms": [{"AlarmName": name, "StateReason": self.ringing[name]} for name in found]}


class Switch:
    value = "on"

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        assert request == {"Name": "/iops-insights/retraining"}
        return {"Parameter": {"Value": self.value}}


class Deployment:
    def __init__(self, cloud: Any, make_refusal: Any) -> None:
        self.cloud = cloud
        self.machine, self.alarms, self.switch = Machine(make_refusal), Alarms(), Switch()

    def client(self, service: str) -> Any:
        found = {"s3": self.cloud.s3, "ssm": self.switch, "stepfunctions": self.machine, "cloudwatch": self.alarms}
        return found[service]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in sorted(self.cloud.objects("retraining/").items())]


@pytest.fixture
def deployment(cloud: Any, make_refusal: Any, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    made = Deployment(cloud, make_refusal)
    variables = {
        "STATE_MACHINE_ARN": MACHINE,
        "BUCKET_NAME": cloud.bucket,
        "SWITCH_PARAMETER": "/iops-insights/retraining",
        "RISK_DRIFT_ALARM": "iops-drift-risk",
        "PERFORMANCE_DRIFT_ALARM": "iops-drift-performance",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(adapter, "client", made.client)
    adapter.environment.cache_clear()
    return made


def test_a_drift_alarm_starts_a_training_of_its_model_and_leaves_a_record_and_a_metric(
    deployment: Deployment, event: Any, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter.handler(event("drift_alarm"), context)

    (execution,) = deployment.machine.executions
    assert execution["name"] == f"drift-performance-{EVENT_ID}"
    reason = (
        "Threshold Crossed: 1 datapoint [1.0 (02/03/26 03:10:00)] was greater than or equal to the threshold (1.0)."
    )
    assert json.loads(execution["input"]) == {
        "models": ["performance"],
        "trigger": "drift",
        "reason": f"{reason} (alarm iops-drift-performance)",
    }
    (record,) = deployment.records()
    assert record["decisions"] == {"performance": {"is_started": True, "reason": f"started: {reason}"}}
    assert record["execution"] == execution["executionArn"]
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert (line["RetrainingStarted"], line["Kind"], line["service"]) == ([1.0], "performance", "decide_retraining")


def test_an_event_that_comes_twice_starts_one_training_and_is_not_refused_by_it(
    deployment: Deployment, event: Any, context: Any
) -> None:
    first = adapter.handler(event("drift_alarm"), context)["decisions"][0]
    again = adapter.handler(event("drift_alarm"), context)["decisions"][0]
    assert len(deployment.machine.executions) == 1
    assert (again["decisions"], again["execution"]) == (first["decisions"], first["execution"])


def test_a_refusal_is_recorded_and_measured_and_starts_nothing(
    deployment: Deployment, event: Any, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.switch.value = "paused"
    adapter.handler(event("drift_alarm"), context)
    assert deployment.machine.executions == []
    (record,) = deployment.records()
    assert record["decisions"] == {"performance": {"is_started": False, "reason": "retraining is paused by its switch"}}
    assert record["execution"] is None
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert line["RetrainingRefused"] == [1.0]


def test_an_alarm_that_still_rings_after_a_refusal_is_asked_for_again(
    deployment: Deployment, event: Any, context: Any
) -> None:
    deployment.machine.add("by-hand", '{"models": ["risk"]}', ago=timedelta(hours=2))
    adapter.handler(event("drift_alarm"), context)
    assert len(deployment.machine.executions) == 1

    deployment.machine.end_all()
    deployment.alarms.ringing["iops-drift-performance"] = "still drifted"
    adapter.handler({"trigger": "recheck"}, context)
    started = deployment.machine.executions[0]
    assert json.loads(started["input"])["models"] == ["performance"]
    assert json.loads(started["input"])["reason"] == "still drifted (alarm iops-drift-performance)"


def test_a_recheck_without_a_ringing_alarm_decides_nothing(deployment: Deployment, context: Any) -> None:
    assert adapter.handler({"trigger": "recheck"}, context) == {"decisions": []}
    assert deployment.records() == []


def test_the_monthly_run_goes_through_the_same_decision(deployment: Deployment, context: Any) -> None:
    deployment.machine.add("drift-risk", '{"models": ["risk"], "trigger": "drift"}', ago=timedelta(hours=5))
    deployment.machine.end_all()
    adapter.handler({"trigger": "schedule", "reason": "the monthly training"}, context)
    assert json.loads(deployment.machine.executions[0]["input"])["models"] == ["performance"]
    assert deployment.records()[0]["decisions"]["risk"]["is_started"] is False


@pytest.mark.parametrize("given", ["{}", "", "not json", "[1]"])
def test_a_run_whose_input_names_no_models_counts_for_all(deployment: Deployment, given: str) -> None:
    deployment.machine.add("by-hand", given, ago=timedelta(hours=5), status="FAILED")
    (run,) = Trainings(MACHINE, deployment.machine, ("risk", "performance")).of_last_week(now=datetime.now(UTC))
    assert (run.kinds, run.trigger, run.is_running) == (("risk", "performance"), "request", False)


def test_what_began_more_than_a_week_ago_counts_only_while_it_runs(deployment: Deployment) -> None:
    deployment.machine.add("ancient", "{}", ago=timedelta(days=30), status="SUCCEEDED")
    deployment.machine.add("stuck", "{}", ago=timedelta(days=8))
    deployment.machine.add("old", "{}", ago=timedelta(days=8), status="SUCCEEDED")
    deployment.machine.add("new", "{}", ago=timedelta(days=6), status="SUCCEEDED")
    runs = Trainings(MACHINE, deployment.machine, ("risk",)).of_last_week(now=datetime.now(UTC))
    assert [run.name for run in runs] == ["new", "stuck"]


def test_the_model_type_is_what_a_request_without_models_trains() -> None:
    environment = RetrainingEnvironment(
        state_machine_arn=MACHINE,
        bucket_name="bucket",
        switch_parameter="/iops-insights/retraining",
        risk_drift_alarm="a",
        performance_drift_alarm="b",
        model_type="risk",
    )
    assert environment.models == ("risk",)
