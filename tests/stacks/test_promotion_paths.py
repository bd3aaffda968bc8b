"""PromoteModel as it is synthesised, walked against an endpoint and a stack in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stacks.walk import Failed, called, definition, install, walk

Templates = Mapping[str, dict[str, Any]]

OLD, NEW = "arn:package/iops-risk/1", "arn:package/iops-risk/2"


@dataclass
class World:
    """One endpoint with its stack; the flags say what goes wrong."""

    live: str | None = "config-0"
    package: str = OLD
    configs: dict[str, list[str]] = field(default_factory=lambda: {"config-0": ["model-0"]})
    statuses: list[str] = field(default_factory=lambda: ["UPDATE_COMPLETE"])
    update_error: tuple[str, str] | None = None
    update_ends_as: str = "UPDATE_COMPLETE"
    roll_back_ends_as: str = "UPDATE_COMPLETE"
    alarm_rolls_back: bool = False
    answers_match: bool = True
    verification_error: str | None = None
    stack_config: str | None = "config-0"
    updates: list[dict[str, Any]] = field(default_factory=list)
    described: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    plans: int = 0

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        """What the task's resource answers, or the error that Step Functions would name."""
        name = called(resource, arguments).rpartition(":")[2]
        if "Payload" in arguments:
            return {"Payload": getattr(self, name)(arguments["Payload"])}
        return getattr(self, name)(**arguments)

    def PreparePromotion(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.plans += 1
        return {
            "kind": request["kind"],
            "stack_name": "IopsRiskEndpoint",
            "endpoint_name": "iops-risk-predictor",
            "target_package": NEW,
            "previous_package": self.package,
            "previous_endpoint_config": self.live,
            "golden_uri": "s3://bucket/golden.json",
            "parameters": [{"ParameterKey": "LivePackage", "ParameterValue": NEW}],
            "rollback_parameters": [{"ParameterKey": "LivePackage", "ParameterValue": self.package}],
        }

    def VerifyEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert request["expected_package"] == NEW
        if self.verification_error:
            raise Failed("ModelError", self.verification_error)
        return {"matched": self.answers_match, "checked": 32, "worst_difference": 0.3, "reason": "row 4 differs"}

    def DescribeFailure(self, caught: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.described.append(caught)
        return {"error": caught["error"], "cause": f"described: {caught['cause']}"}

    def updateStack(self, **request: Any) -> dict[str, Any]:  # noqa: N802
        if self.update_error is not None:
            raise Failed(*self.update_error)
        self.updates.append(request)
        goes_forward = len(self.updates) == 1
        ends_as = self.update_ends_as if goes_forward else self.roll_back_ends_as
        self.statuses = ["UPDATE_IN_PROGRESS", ends_as]
        [parameter] = request["Parameters"]
        if ends_as == "UPDATE_COMPLETE" and parameter["ParameterValue"]:
            name = f"config-{len(self.updates)}"
            self.configs[name] = [f"model-{len(self.updates)}"]
            self.stack_config = name
            self.live = self.live if self.alarm_rolls_back and goes_forward else name
        elif ends_as == "UPDATE_COMPLETE":
            self.live = self.stack_config = None
        return {"StackId": "stack"}

    def describeStacks(self, StackName: str) -> dict[str, Any]:  # noqa: N802
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        outputs = [{"OutputKey": "EndpointName", "OutputValue": "iops-risk-predictor"}]
        if self.stack_config:
            outputs.append({"OutputKey": "EndpointConfigName", "OutputValue": self.stack_config})
        return {"Stacks": [{"StackStatus": status, "Outputs": outputs}]}

    def describeEndpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N802
        if self.live is None:
            raise Failed("SageMaker.SageMakerException", "Could not find endpoint")
        return {"EndpointStatus": "InService", "EndpointConfigName": self.live}

    def describeEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N802
        if EndpointConfigName not in self.configs:
            raise Failed("SageMaker.SageMakerException", "Could not find endpoint configuration")
        variants = [{"ModelName": model} for model in self.configs[EndpointConfigName]]
        return {"EndpointConfigName": EndpointConfigName, "ProductionVariants": variants}

    def deleteEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N802
        self.deleted.append(EndpointConfigName)
        return {}

    def deleteModel(self, ModelName: str) -> dict[str, Any]:  # noqa: N802
        self.deleted.append(ModelName)
        return {}


Promote = Callable[[World], Any]


@pytest.fixture
def promote(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Promote:
    """Runs the definition to its end: its output, or the error and cause that it fails with."""
    machine = definition(templates["IopsTraining"], "PromoteModel")

    def run(world: World) -> Any:
        install(monkeypatch, world.call)
        return walk(machine, {"kind": "risk", "version": 2, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "parent"})

    return run


def failure(promote: Promote, world: World) -> tuple[str, str]:
    with pytest.raises(Failed) as raised:
        promote(world)
    return raised.value.error, raised.value.cause


def test_a_right_answering_endpoint_is_promoted_and_what_it_replaced_is_deleted(promote: Promote):
    world = World()

    output = promote(world)

    assert output["status"] == "promoted"
    assert (output["live_package"], output["previous_package"]) == (NEW, OLD)
    assert world.deleted == ["config-0", "model-0"]
    [update] = world.updates
    assert update["UsePreviousTemplate"] is True
    assert update["RoleARN"].startswith("EndpointUpdate")


def test_a_model_that_the_new_configuration_shares_with_the_old_one_is_kept(promote: Promote):
    world = World(configs={"config-0": ["model-0", "model-1"]})

    promote(world)

    assert world.deleted == ["config-0", "model-0"]


def test_a_first_promotion_replaces_nothing(promote: Promote):
    world = World(live=None, stack_config=None, configs={}, package="")

    output = promote(world)

    assert output["status"] == "promoted"
    assert output["replaced"] == []
    assert world.deleted == []


def test_a_package_that_is_live_already_is_verified_and_left_alone(promote: Promote):
    cause = "No updates are to be performed. (Service: CloudFormation, Status Code: 400)"
    world = World(
        package=NEW,
        update_error=("CloudFormation.CloudFormationException", cause),
        # An update that failed long ago says nothing about this one.
        statuses=["UPDATE_ROLLBACK_COMPLETE"],
    )

    assert promote(world)["status"] == "unchanged"
    assert world.deleted == []


def test_a_busy_stack_is_waited_for_and_planned_against_again(promote: Promote):
    world = World(statuses=["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"])

    assert promote(world)["status"] == "promoted"
    assert world.plans == 3


def test_an_update_that_cloudformation_took_back_fails_with_the_stacks_reason(promote: Promote):
    world = World(update_ends_as="UPDATE_ROLLBACK_COMPLETE")

    assert failure(promote, world)[0] == "PromotionRolledBack"
    [caught] = world.described
    assert caught["stack_name"] == "IopsRiskEndpoint"
    assert caught["client_request_token"] == world.updates[0]["ClientRequestToken"]
    assert len(world.updates) == 1


def test_a_refused_update_fails_with_its_own_cause(promote: Promote):
    world = World(update_error=("CloudFormation.CloudFormationException", "is not authorized to perform"))

    assert failure(promote, world) == (
        "CloudFormation.CloudFormationException",
        "described: is not authorized to perform",
    )
    assert world.described[0]["state"] == "UpdateStack"


def test_an_endpoint_that_an_alarm_rolled_back_takes_its_stack_back_too(promote: Promote):
    world = World(alarm_rolls_back=True)

    error, cause = failure(promote, world)

    assert error == "PromotionRefused"
    assert "InService with configuration config-0, its stack says config-1" in cause
    assert f"Live is {OLD}" in cause
    assert world.updates[1]["Parameters"][0]["ParameterValue"] == OLD
    assert "config-0" in world.deleted
    assert "config-2" not in world.deleted


def test_other_answers_than_the_golden_ones_take_the_model_back(promote: Promote):
    world = World(answers_match=False)

    error, cause = failure(promote, world)

    assert error == "PromotionRefused"
    assert "row 4 differs" in cause
    assert world.live == "config-2"
    assert world.deleted == ["config-0", "model-0", "config-1", "model-1"]


def test_an_endpoint_that_cannot_be_asked_takes_the_model_back(promote: Promote):
    error, cause = failure(promote, World(verification_error="the container is out of memory"))

    assert error == "PromotionRefused"
    assert "VerifyEndpoint failed: ModelError: the container is out of memory" in cause


def test_a_refused_first_promotion_ends_with_no_endpoint(promote: Promote):
    world = World(live=None, stack_config=None, configs={}, package="", answers_match=False)

    _, cause = failure(promote, world)

    assert "Live is no model" in cause
    assert world.live is None


def test_a_roll_back_that_fails_says_both_reasons_and_what_to_do(promote: Promote):
    world = World(answers_match=False, roll_back_ends_as="UPDATE_ROLLBACK_FAILED")

    error, cause = failure(promote, world)

    assert error == "RollBackFailed"
    for words in ("row 4 differs", "UPDATE_ROLLBACK_FAILED", "run PromoteModel"):
        assert words in cause
