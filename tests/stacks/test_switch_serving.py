"""SwitchServing as it is synthesised, walked against two stacks in memory, and when the schedule starts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from stacks.serving_hours import ServingHours
from stacks.workflows.steps import expression
from stacks.workflows.switch_serving import what_is_asked
from tests.conftest import Assembly
from tests.stacks.walk import Failed, called, definition, install, walk

Templates = Mapping[str, dict[str, Any]]
# Also what tests/stacks/test_budget.py looks at, as a synthesis takes long.
WITH_HOURS_AND_BUDGET = {
    "stage": "dev",
    "serving_hours": "Mon-Fri 06:00-20:00",
    "monthly_budget_usd": "400",
    "notification_email": "operators@example.com",
    "source_buckets": "telemetry-of-others",
}
# The walked execution starts on 2026-03-02, a Monday, at 10:00 UTC.
STACKS = {"IopsRiskEndpoint": "risk", "IopsPerformanceEndpoint": "performance"}


@dataclass
class World:
    """Both endpoint stacks; `ends_as` and `refusals` say what goes wrong with the risk endpoint's."""

    serving: dict[str, str] = field(default_factory=lambda: dict.fromkeys(STACKS, "on"))
    busy_looks: int = 0
    ends_as: str = "UPDATE_COMPLETE"
    refusals: list[tuple[str, str]] = field(default_factory=list)
    missing: bool = False
    updates: list[dict[str, Any]] = field(default_factory=list)
    described: list[dict[str, Any]] = field(default_factory=list)

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        name = called(resource, arguments).rpartition(":")[2]
        if "Payload" in arguments:
            self.described.append(arguments["Payload"])
            return {"Payload": {"error": arguments["Payload"]["error"], "cause": "the container said: no"}}
        return getattr(self, name)(**arguments)

    def describeStacks(self, StackName: str) -> dict[str, Any]:  # noqa: N802
        is_risk = StackName == "IopsRiskEndpoint"
        if is_risk and self.missing:
            raise Failed("CloudFormation.CloudFormationException", "Stack IopsRiskEndpoint does not exist")
        status = self.ends_as if is_risk and self.updates else "UPDATE_COMPLETE"
        if is_risk and self.busy_looks:
            self.busy_looks -= 1
            status = "UPDATE_IN_PROGRESS"
        parameters = {"LivePackage": "arn:package/1", "Serving": self.serving[StackName], "Scaling": "on"}
        return {
            "Stacks": [
                {
                    "StackStatus": status,
                    "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                }
            ]
        }

    def updateStack(self, **request: Any) -> dict[str, Any]:  # noqa: N802
        if request["StackName"] == "IopsRiskEndpoint" and self.refusals:
            raise Failed(*self.refusals.pop(0))
        self.updates.append(request)
        [changed] = [p["ParameterValue"] for p in request["Parameters"] if "ParameterValue" in p]
        self.serving[request["StackName"]] = changed
        return {"StackId": "arn"}


@pytest.fixture
def switch(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(given: Mapping[str, Any], world: World, template: Mapping[str, Any] = templates["IopsTraining"]) -> Any:
        install(monkeypatch, world.call)
        return walk(definition(template, "SwitchServing"), given)

    return run


def test_both_stacks_keep_all_but_the_parameter(switch: Callable[..., Any]):
    world = World()
    told = switch({"serving": "off"}, world)

    assert told["endpoints"] == [
        {"kind": "risk", "serving": "off", "result": "switched"},
        {"kind": "performance", "serving": "off", "result": "switched"},
    ]
    assert {update["StackName"] for update in world.updates} == set(STACKS)
    for update in world.updates:
        assert update["UsePreviousTemplate"] is True
        assert update["RoleARN"].startswith("EndpointUpdateRole")
        assert update["Parameters"] == [
            {"ParameterKey": "LivePackage", "UsePreviousValue": True},
            {"ParameterKey": "Serving", "ParameterValue": "off"},
            {"ParameterKey": "Scaling", "UsePreviousValue": True},
        ]


def test_what_is_as_asked_already_is_left_alone_and_kinds_may_be_named(switch: Callable[..., Any]):
    world = World(serving={"IopsRiskEndpoint": "off", "IopsPerformanceEndpoint": "on"})

    assert switch({"serving": "off", "kinds": ["risk"]}, world)["endpoints"] == [
        {"kind": "risk", "serving": "off", "result": "unchanged"}
    ]
    assert world.updates == []


def test_a_busy_stack_is_waited_for_before_and_after_the_look(switch: Callable[..., Any]):
    busy = ("CloudFormation.CloudFormationException", "Stack is in UPDATE_IN_PROGRESS state and can not be updated.")
    world = World(busy_looks=2, refusals=[busy])

    assert [one["result"] for one in switch({"serving": "off"}, world)["endpoints"]] == ["switched", "switched"]


def test_one_that_cannot_come_back_fails_with_its_reason_and_does_not_hold_up_the_other(switch: Callable[..., Any]):
    world = World(serving=dict.fromkeys(STACKS, "off"), ends_as="UPDATE_ROLLBACK_COMPLETE")

    with pytest.raises(Failed) as failed:
        switch({"serving": "on"}, world)

    assert (failed.value.error, failed.value.cause) == ("ServingNotSwitched", "risk: the container said: no")
    assert world.serving["IopsPerformanceEndpoint"] == "on"
    [asked] = world.described
    assert asked["endpoint_name"] == "iops-risk-predictor"
    assert asked["cause"] == "the stack IopsRiskEndpoint ended as UPDATE_ROLLBACK_COMPLETE"
    assert asked["client_request_token"].startswith("s-walk-")


def test_a_stack_that_is_not_there_is_a_reason_too(switch: Callable[..., Any]):
    with pytest.raises(Failed) as failed:
        switch({"serving": "on", "kinds": ["risk"]}, World(missing=True))
    assert failed.value.error == "ServingNotSwitched"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "field serving has the value nothing; write"),
        ({"serving": "yes"}, "field serving has the value yes; write"),
        ({"serving": "as-planned"}, "as-planned needs the setting serving_hours"),
        ({"serving": "on", "kinds": ["disks"]}, "leave it out, or name risk, performance"),
        ({"serving": "on", "kinds": []}, "leave it out, or name risk, performance"),
    ],
)
def test_a_wrong_request_changes_nothing_and_says_what_to_write(
    switch: Callable[..., Any], given: dict[str, Any], said: str
):
    world = World()
    with pytest.raises(Failed) as failed:
        switch(given, world)
    assert failed.value.error == "InvalidRequest"
    assert said in failed.value.cause
    assert world.updates == []


@pytest.mark.parametrize(
    ("hours", "serving"),
    [
        ("Mon-Fri 06:00-20:00", "on"),
        ("Mon 10:00-11:00", "on"),
        ("Mon 09:00-10:00", "off"),
        ("Tue-Sun 00:00-24:00", "off"),
        ("Sat-Sun 00:00-24:00, Mon 00:00-10:01", "on"),
        ("Sat-Sun 00:00-24:00, Mon 00:00-10:00", "off"),
    ],
)
def test_as_planned_is_what_the_hours_say_of_that_minute(monkeypatch: pytest.MonkeyPatch, hours: str, serving: str):
    asked = expression(what_is_asked(ServingHours.parse(hours)))
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "Begin",
        "States": {"Begin": {"Type": "Pass", "Output": asked, "End": True}},
    }
    install(monkeypatch, World().call)

    assert walk(machine, {"serving": "as-planned"}) == {"serving": serving, "kinds": ["risk", "performance"]}


def rules(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Events::Rule" and "OffHoursSwitchServing" in json.dumps(resource["Properties"]):
            properties = resource["Properties"]
            yield properties["ScheduleExpression"], json.loads(properties["Targets"][0]["Input"])


def test_the_schedule_switches_at_the_hours_and_without_hours_there_is_none(
    synthesise: Callable[..., Assembly], templates: Templates
):
    assembly = synthesise(**WITH_HOURS_AND_BUDGET)
    assert assembly.returncode == 0, assembly.output  # cdk-nag too
    template = assembly.templates["IopsTraining"]

    assert dict(rules(template)) == {
        "cron(0 6 ? * MON,TUE,WED,THU,FRI *)": {"serving": "on"},
        "cron(0 20 ? * MON,TUE,WED,THU,FRI *)": {"serving": "off"},
    }
    assert list(rules(templates["IopsTraining"])) == []


def test_a_resting_endpoint_is_gone_with_its_scaling_and_its_package_is_kept(templates: Templates):
    template = templates["IopsRiskEndpoint"]
    conditions = template["Conditions"]
    given = {"Fn::Not": [{"Fn::Equals": [{"Ref": "LivePackage"}, ""]}]}

    assert template["Parameters"]["Serving"]["Default"] == "on"
    assert conditions["IsLive"] == {"Fn::And": [given, {"Fn::Equals": [{"Ref": "Serving"}, "on"]}]}
    served = [
        resource
        for resource in template["Resources"].values()
        if resource["Type"].startswith(("AWS::SageMaker::", "AWS::ApplicationAutoScaling::"))
    ]
    assert len(served) > 4
    for resource in served:
        assert '{"Ref": "Serving"}, "on"' in json.dumps(conditions[resource["Condition"]])
    [note] = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SSM::Parameter" and resource["Properties"]["Name"].endswith("/live-package")
    ]
    assert note["Value"] == {"Fn::If": ["IsLive", {"Ref": "LivePackage"}, {"Fn::If": ["IsResting", "resting", "none"]}]}
