"""The roll-back alarms of the synthesised endpoint stacks against the waits of their deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

Templates = Mapping[str, dict[str, Any]]
METRIC_DELAY_SECONDS = 60
STACKS = ("IopsRiskEndpoint", "IopsPerformanceEndpoint")


def only(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    [found] = [r["Properties"] for r in template["Resources"].values() if r["Type"] == kind]
    return found


def guarded(template: Mapping[str, Any]) -> dict[str, Any]:
    """The deployment's guardrails: everywhere but where the variants change (test_experiment_parameters.py)."""
    condition, guardrails, nothing = only(template, "AWS::SageMaker::Endpoint")["DeploymentConfig"]["Fn::If"]
    assert (condition, nothing) == ("IsGuarded", {"Ref": "AWS::NoValue"})
    found: dict[str, Any] = guardrails
    return found


def alarms(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The alarms that the endpoint's deployment names, by logical id."""
    ids = [alarm["AlarmName"]["Ref"] for alarm in guarded(template)["AutoRollbackConfiguration"]["Alarms"]]
    return {name: template["Resources"][name]["Properties"] for name in ids}


def seconds_to_alarm(alarm: Mapping[str, Any]) -> int:
    """From a fault's first moment, at worst: it begins just too late for its own period to breach, the data points
    follow each other, and the last one takes a minute to arrive."""
    return alarm["Period"] * (1 + alarm["DatapointsToAlarm"]) + METRIC_DELAY_SECONDS


@pytest.mark.parametrize("stack", STACKS)
def test_every_roll_back_alarm_can_ring_within_the_bake_and_within_the_canarys_wait(templates: Templates, stack: str):
    policy = guarded(templates[stack])["BlueGreenUpdatePolicy"]
    _, canary, at_once = policy["TrafficRoutingConfiguration"]["Fn::If"]

    found = alarms(templates[stack])
    assert {alarm["MetricName"] for alarm in found.values()} == {"Invocation5XXErrors", "ModelLatency"}
    for alarm in found.values():
        assert seconds_to_alarm(alarm) <= policy["TerminationWaitInSeconds"]
        assert seconds_to_alarm(alarm) <= canary["WaitIntervalInSeconds"]
    assert canary["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 50}
    assert at_once["Type"] == "ALL_AT_ONCE"
    # SageMaker's own limit must leave the instances time to start.
    waits = canary["WaitIntervalInSeconds"] + policy["TerminationWaitInSeconds"]
    assert policy["MaximumExecutionTimeoutInSeconds"] >= waits + 1200


@pytest.mark.parametrize("stack", STACKS)
def test_an_alarm_sees_the_new_configurations_fleet_alone_and_no_data_is_no_alarm(templates: Templates, stack: str):
    template = templates[stack]
    [config] = [name for name, r in template["Resources"].items() if r["Type"] == "AWS::SageMaker::EndpointConfig"]

    for alarm in alarms(template).values():
        dimensions = {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]}
        assert dimensions["EndpointConfigName"] == {
            "Fn::If": ["IsLive", {"Fn::GetAtt": [config, "EndpointConfigName"]}, "none"]
        }
        assert dimensions["VariantName"] == "live"
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"]


def test_a_promotion_may_point_the_roll_back_alarms_elsewhere_and_remove_none(templates: Templates):
    statements = [
        statement
        for name, resource in templates["IopsTraining"]["Resources"].items()
        if resource["Type"] == "AWS::IAM::Policy" and name.startswith("EndpointUpdate")
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
    ]

    def resources(action: str) -> str:
        return str([s["Resource"] for s in statements if action in str(s["Action"])])

    assert "alarm:IopsRiskEndpoint-ServerErrors" in resources("cloudwatch:PutMetricAlarm")
    assert "IopsRiskEndpoint" not in resources("cloudwatch:DeleteAlarms")


def test_a_model_is_told_the_digest_of_its_golden_file(templates: Templates):
    models = [r["Properties"] for r in templates["IopsRiskEndpoint"]["Resources"].values() if "Model" in r["Type"]]
    environments = [container["Environment"] for m in models if "Containers" in m for container in m["Containers"]]

    assert {"Ref": "GoldenDigest"} in [environment.get("GOLDEN_SHA256") for environment in environments]
