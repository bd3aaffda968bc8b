"""PromoteModel as it is synthesised, walked against an endpoint and a stack in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.stacks.walk import Failed, called, definition, install, walk

Templates = Mapping[str, dict[str, Any]]

NO_UPDATES = "No updates are to be performed. (Service: CloudFormation, Status Code: 400)"
IN_PROGRESS = "Stack is in UPDATE_IN_PROGRESS state and can not be updated. (Service: CloudFormation, Status Code: 400)"
LOST = "the answer was lost (Service: CloudFormation, Status Code: 500)"
OLD, NEW = "arn:package/iops-risk/1", "arn:package/iops-risk/2"
ASKED = {"kind": "risk", "version": 2, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "parent"}
EXPERIMENT = {"challenger": NEW, "mode": "ab", "share_percent": 10, "since": "2026-03-02T10:00:00.000Z"}
RECORD_SCHEMA = json.loads(Path("docs/promotion-record.schema.json").read_text())


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
    refused: str | None = None
    record_error: str | None = None
    container_said: str | None = None
    stack_config: str | None = "config-0"
    updates: list[dict[str, Any]] = field(default_factory=list)
    described: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    plans: int = 0
    action: str = "promote"
    verified: str = "live"
    is_challenger: bool = False
    nested_error: str | None = None
    model_error: str | None = None
    nested: list[dict[str, Any]] = field(default_factory=list)
    rests: bool = False
    rest_error: str | None = None
    started: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    stack_error: str | None = None
    """What every look at the stack after an update is refused with."""
    undescribed_from: int = 1000
    """The number, from 0, of the first look at the endpoint, or at a configuration, that is refused."""
    looks: int = 0
    answers: dict[int, tuple[str, str]] = field(default_factory=dict)
    """By the number of an update, from 1: it is made, and yet this is what its request is answered with."""

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        """What the task's resource answers, or the error that Step Functions would name."""
        name = called(resource, arguments).partition(".sync")[0].rpartition(":")[2]
        if "Payload" in arguments:
            return {"Payload": getattr(self, name)(arguments["Payload"])}
        return getattr(self, name)(**arguments)

    def PreparePromotion(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.plans += 1
        if self.refused:
            raise Failed("InvalidPromotion", self.refused)
        return {
            "kind": request["kind"],
            "traffic_shift": "all-at-once",
            "stack_name": "IopsRiskEndpoint",
            "endpoint_name": "iops-risk-predictor",
            "action": self.action,
            "target_package": NEW,
            "live_after": NEW if self.action == "promote" else self.package,
            "previous_package": self.package,
            "previous_endpoint_config": self.live,
            "verify": {"variant": self.verified, "package": NEW, "golden_uri": "s3://bucket/golden.json"},
            "experiment": None if self.action == "promote" else EXPERIMENT,
            "ends_experiment_first": self.is_challenger and not self.nested,
            "failed_as": f"{NEW} was not promoted",
            "rests_again": self.rests,
            "parameters": [{"ParameterKey": "LivePackage", "ParameterValue": NEW}],
            "rollback_parameters": [{"ParameterKey": "LivePackage", "ParameterValue": self.package}],
        }

    def VerifyEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert (request["expected_package"], request["variant"]) == (NEW, self.verified)
        if self.verification_error:
            raise Failed("ModelError", self.verification_error)
        return {"matched": self.answers_match, "checked": 32, "worst_difference": 0.3, "reason": "row 4 differs"}

    def DescribeFailure(self, caught: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.described.append(caught)
        return {
            "error": caught["error"],
            "cause": f"described: {caught['cause']}",
            "container_said": self.container_said,
        }

    def putObject(self, *, Bucket: str, Key: str, Body: dict[str, Any], ContentType: str) -> dict[str, Any]:  # noqa: N802
        if self.record_error:
            raise Failed("S3.S3Exception", self.record_error)
        jsonschema.validate(Body, RECORD_SCHEMA)
        self.records[Key] = Body
        return {"ETag": "1"}

    def updateStack(self, **request: Any) -> dict[str, Any]:  # noqa: N802
        if self.update_error is not None:
            raise Failed(*self.update_error)
        [parameter] = request["Parameters"]
        if self.answers and parameter["ParameterValue"] == self.package:
            raise Failed("CloudFormation.CloudFormationException", NO_UPDATES)
        self.updates.append(request)
        goes_forward = len(self.updates) == 1
        ends_as = self.update_ends_as if goes_forward else self.roll_back_ends_as
        self.statuses = ["UPDATE_IN_PROGRESS", ends_as]
        if ends_as == "UPDATE_COMPLETE" and parameter["ParameterValue"]:
            name = f"config-{len(self.updates)}"
            self.configs[name] = [f"model-{len(self.updates)}"]
            self.stack_config = name
            self.live = self.live if self.alarm_rolls_back and goes_forward else name
        elif ends_as == "UPDATE_COMPLETE":
            self.live = self.stack_config = None
        if self.answers:
            self.package = parameter["ParameterValue"]
        if len(self.updates) in self.answers:
            raise Failed(*self.answers[len(self.updates)])
        return {"StackId": "stack"}

    def describeStacks(self, StackName: str) -> dict[str, Any]:  # noqa: N802
        if self.updates and self.stack_error:
            raise Failed("CloudFormation.CloudFormationException", self.stack_error)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        outputs = [{"OutputKey": "EndpointName", "OutputValue": "iops-risk-predictor"}]
        if self.stack_config:
            outputs.append({"OutputKey": "EndpointConfigName", "OutputValue": self.stack_config})
        return {"Stacks": [{"StackStatus": status, "Outputs": outputs}]}

    def look(self) -> None:
        self.looks += 1
        if self.looks > self.undescribed_from:
            raise Failed("SageMaker.SageMakerException", "is not authorized to perform")

    def describeEndpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N802
        self.look()
        if self.live is None:
            raise Failed("SageMaker.SageMakerException", "Could not find endpoint")
        why = {"FailureReason": "alarm ModelLatency is in ALARM."} if self.alarm_rolls_back else {}
        return {"EndpointStatus": "InService", "EndpointConfigName": self.live, **why}

    def describeEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N802
        self.look()
        if EndpointConfigName not in self.configs:
            raise Failed("SageMaker.SageMakerException", "Could not find endpoint configuration")
        variants = [{"ModelName": model} for model in self.configs[EndpointConfigName]]
        return {"EndpointConfigName": EndpointConfigName, "ProductionVariants": variants}

    def startExecution(self, StateMachineArn: str, Input: dict[str, Any], **named: Any) -> dict[str, Any]:  # noqa: N802
        if not StateMachineArn.endswith(":stateMachine:PromoteModel"):
            return self.switch_serving({"StateMachineArn": StateMachineArn, "Input": Input, **named})
        if self.nested_error:
            raise Failed("States.TaskFailed", self.nested_error)
        self.nested.append(Input)
        return {"Output": {"status": "experiment_ended"}}

    def switch_serving(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.rest_error:
            raise Failed("StepFunctions.AccessDenied", self.rest_error)
        self.started.append(request)
        return {"ExecutionArn": "arn:switch"}

    def deleteEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N802
        self.deleted.append(EndpointConfigName)
        return {}

    def deleteModel(self, ModelName: str) -> dict[str, Any]:  # noqa: N802
        if self.model_error:
            raise Failed("SageMaker.SageMakerException", self.model_error)
        self.deleted.append(ModelName)
        return {}


Promote = Callable[..., Any]


@pytest.fixture
def promote(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Promote:
    """Runs the definition to its end: its output, or the error and cause that it fails with."""
    machine = definition(templates["IopsTraining"], "PromoteModel")

    def run(world: World, given: Mapping[str, Any] = ASKED) -> Any:
        install(monkeypatch, world.call)
        return walk(machine, given)

    return run


def failure(promote: Promote, world: World, given: Mapping[str, Any] = ASKED) -> tuple[str, str]:
    with pytest.raises(Failed) as raised:
        promote(world, given)
    return raised.value.error, raised.value.cause


def record(world: World) -> dict[str, Any]:
    [written] = world.records.values()
    return written


def test_a_promotion_outside_the_serving_hours_has_the_endpoint_rest_again(promote: Promote):
    world = World(rests=True)

    output = promote(world)

    assert (output["status"], output["rest"]) == ("promoted", "arn:switch")
    [started] = world.started
    assert started["StateMachineArn"].startswith("OffHoursSwitchServing")
    assert started["Input"] == {"serving": "off", "kinds": ["risk"]}


def test_one_that_cannot_be_put_to_rest_is_promoted_and_says_that_it_goes_on(promote: Promote):
    output = promote(World(rests=True, rest_error="not authorized"))

    assert (output["status"], output["rest"]) == ("promoted", "it goes on serving: StepFunctions.AccessDenied")


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


def test_a_replaced_model_that_is_gone_already_is_no_trouble_and_one_that_stays_is_named(promote: Promote):
    gone = promote(World(model_error='Could not find model "arn:aws:sagemaker:us-east-1:1:model/model-0".'))
    kept = promote(World(model_error="is not authorized to perform: sagemaker:DeleteModel"))

    assert gone["replaced"] == [{"endpoint_config": "config-0", "models": ["model-0"]}]
    assert kept["status"] == "promoted"
    assert "not authorized" in kept["replaced"][0]["cause"]


@pytest.mark.parametrize("looks", [1, 2])
def test_nothing_is_deleted_while_nobody_says_what_is_live(promote: Promote, looks: int):
    unchanged = World(package=NEW, update_error=("CloudFormation.CloudFormationException", NO_UPDATES))
    unchanged.undescribed_from = looks
    refused = World(answers_match=False, undescribed_from=looks)

    output = promote(unchanged)
    error, cause = failure(promote, refused)

    assert output["status"] == "unchanged"
    why = "nobody could say whether it is live: is not authorized to perform"
    assert output["replaced"] == [{"left": "config-0", "cause": why}]
    assert unchanged.deleted == refused.deleted == []
    assert error == "PromotionRefused"
    assert f"Live is {OLD}, as before. Left behind: config-0, config-1, as {why}." in cause


def test_a_first_promotion_replaces_nothing(promote: Promote):
    world = World(live=None, stack_config=None, configs={}, package="")

    output = promote(world)

    assert output["status"] == "promoted"
    assert output["replaced"] == []
    assert world.deleted == []


def test_a_package_that_is_live_already_is_verified_and_left_alone(promote: Promote):
    world = World(
        package=NEW,
        update_error=("CloudFormation.CloudFormationException", NO_UPDATES),
        # An update that failed long ago says nothing about this one.
        statuses=["UPDATE_ROLLBACK_COMPLETE"],
    )

    assert promote(world)["status"] == "unchanged"
    assert world.deleted == []


def test_a_busy_stack_is_waited_for_and_planned_against_again(promote: Promote):
    world = World(statuses=["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"])

    assert promote(world)["status"] == "promoted"
    assert world.plans == 3


def test_an_update_that_was_asked_for_twice_is_a_promotion_and_what_it_replaced_is_deleted(promote: Promote):
    world = World(answers={1: ("CloudFormation.CloudFormationException", IN_PROGRESS)})

    output = promote(world)

    assert (output["status"], output["previous_package"]) == ("promoted", OLD)
    assert len(world.updates) == 1
    assert world.deleted == ["config-0", "model-0"]


@pytest.mark.parametrize("answer", [("CloudFormation.CloudFormationException", LOST), ("States.Timeout", "")])
def test_taking_back_without_an_answer_is_asked_for_again_until_it_is_done(promote: Promote, answer: tuple[str, str]):
    world = World(answers_match=False, answers={2: answer})

    error, cause = failure(promote, world)

    assert error == "PromotionRefused"
    assert "row 4 differs" in cause
    assert world.live == "config-2"
    assert world.deleted == ["config-0", "model-0", "config-1", "model-1"]


@pytest.mark.parametrize("answers", [{}, {1: ("CloudFormation.CloudFormationException", LOST)}])
def test_an_update_that_may_not_be_followed_leaves_open_what_is_live(
    promote: Promote, answers: dict[int, tuple[str, str]]
):
    world = World(stack_error="is not authorized to perform: cloudformation:DescribeStacks", answers=answers)

    _, cause = failure(promote, world)

    assert "is not authorized to perform: cloudformation:DescribeStacks" in cause
    assert "What is live is not known: see the events of stack IopsRiskEndpoint." in cause
    assert "as before" not in cause
    assert (record(world)["outcome"], record(world)["live"]) == ("unknown", None)


def test_what_another_promotion_has_removed_meanwhile_is_not_left_behind(promote: Promote):
    world = World(configs={})

    output = promote(world)

    assert output["replaced"] == [{"endpoint_config": "config-0", "models": []}]
    assert world.deleted == []


def test_an_update_that_cloudformation_took_back_fails_with_the_stacks_reason(promote: Promote):
    world = World(update_ends_as="UPDATE_ROLLBACK_COMPLETE")

    error, cause = failure(promote, world)

    assert error == "PromotionRolledBack"
    assert f"Live is {OLD}, as before." in cause
    assert (record(world)["outcome"], record(world)["live"]) == ("rolled_back", OLD)
    [caught] = world.described
    assert caught["endpoint_name"] == "iops-risk-predictor"
    assert caught["stack_name"] == "IopsRiskEndpoint"
    assert caught["client_request_token"] == world.updates[0]["ClientRequestToken"]
    assert len(world.updates) == 1


def test_a_refused_update_fails_with_its_own_cause(promote: Promote):
    world = World(update_error=("CloudFormation.CloudFormationException", "is not authorized to perform"))

    error, cause = failure(promote, world)

    assert error == "CloudFormation.CloudFormationException"
    assert cause.startswith(f"described: is not authorized to perform. Live is {OLD}, as before.")
    assert record(world)["outcome"] == "refused"
    assert world.described[0]["state"] == "UpdateStack"


def test_an_endpoint_that_an_alarm_rolled_back_takes_its_stack_back_too(promote: Promote):
    world = World(alarm_rolls_back=True, container_said="refused: too slow.")

    error, cause = failure(promote, world)

    assert error == "PromotionRefused"
    assert "InService with configuration config-0, its stack says config-1: alarm ModelLatency is in ALARM" in cause
    assert f"the container said: refused: too slow. Live is {OLD}, as before." in cause
    assert world.described[0]["since"]
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
    assert world.deleted == ["config-1", "model-1"]


def test_a_roll_back_that_fails_says_both_reasons_and_what_to_do(promote: Promote):
    world = World(answers_match=False, roll_back_ends_as="UPDATE_ROLLBACK_FAILED")

    error, cause = failure(promote, world)

    assert error == "RollBackFailed"
    for words in ("row 4 differs", "UPDATE_ROLLBACK_FAILED", "run PromoteModel"):
        assert words in cause
    assert (record(world)["outcome"], record(world)["live"]) == ("roll_back_failed", None)


def test_an_update_that_cannot_be_taken_back_claims_nothing_about_what_is_live(promote: Promote):
    world = World(update_ends_as="UPDATE_ROLLBACK_FAILED")

    error, cause = failure(promote, world)

    assert error == "RollBackFailed"
    assert "as before" not in cause
    assert (record(world)["outcome"], record(world)["live"]) == ("roll_back_failed", None)


def test_a_promotion_is_recorded_with_who_why_from_and_to(promote: Promote):
    world = World()

    output = promote(world, {"kind": "risk", "version": "previous", "reason": "too slow", "requested_by": "arn:ana"})

    [(key, written)] = world.records.items()
    assert key.startswith("promotions/risk/20")
    assert key.endswith("-walk.json")
    assert output["recorded"].endswith(f"/{key}")
    assert (written["from"], written["to"], written["live"], written["outcome"]) == (OLD, NEW, NEW, "promoted")
    assert (written["requested_by"], written["reason"], written["is_roll_back"]) == ("arn:ana", "too slow", True)
    assert written["execution"] == "arn:execution"


def test_without_a_name_the_record_says_who_knows_it(promote: Promote):
    by_training, by_hand = World(), World()

    promote(by_training)
    promote(by_hand, {"kind": "risk", "version": 2})

    assert record(by_training)["requested_by"] == "parent"
    assert "CloudTrail" in record(by_hand)["requested_by"]
    assert "arn:execution" in record(by_hand)["requested_by"]


@pytest.mark.parametrize(
    ("given", "kind", "target"),
    [
        ({"kind": "risk", "version": 9}, "risk", 9),
        ({"kind": "disk"}, "unknown", None),
        ({}, "unknown", None),
    ],
)
def test_a_refused_request_is_recorded_too(promote: Promote, given: Mapping[str, Any], kind: str, target: Any):
    world = World(refused="field version has the value 9")

    error, cause = failure(promote, world, given)

    [key] = world.records
    assert error == "InvalidPromotion"
    assert key in cause
    assert key.startswith(f"promotions/{kind}/")
    assert (record(world)["outcome"], record(world)["to"]) == ("refused", target)
    assert "field version" in record(world)["cause"]


def test_a_refused_model_is_recorded_with_the_reason_and_what_is_live(promote: Promote):
    world = World(answers_match=False)

    failure(promote, world)

    assert (record(world)["outcome"], record(world)["live"]) == ("rolled_back", OLD)
    assert "row 4 differs" in record(world)["cause"]


def test_a_record_that_cannot_be_written_undoes_nothing_and_is_said(promote: Promote):
    world, refused = World(record_error="denied"), World(record_error="denied", answers_match=False)

    output = promote(world)
    _, cause = failure(promote, refused)

    assert (output["status"], output["recorded"]) == ("promoted", None)
    assert output["unrecorded"] == "S3.S3Exception: denied"
    assert world.live == "config-1"
    assert "The record was not written: S3.S3Exception: denied" in cause


@pytest.mark.parametrize(
    ("action", "verified", "outcome"),
    [("start_experiment", "challenger", "experiment_started"), ("end_experiment", "live", "experiment_ended")],
)
def test_an_experiment_that_begins_or_ends_leaves_the_live_model_and_a_record(
    promote: Promote, action: str, verified: str, outcome: str
):
    world = World(action=action, verified=verified)

    output = promote(world)

    assert (output["status"], output["live_package"], output["experiment"]) == (outcome, OLD, EXPERIMENT)
    assert (record(world)["outcome"], record(world)["live"]) == (outcome, OLD)
    assert record(world)["experiment"] == EXPERIMENT


def test_a_challenger_with_other_answers_than_its_golden_ones_ends_its_experiment(promote: Promote):
    world = World(action="start_experiment", verified="challenger", answers_match=False)

    error, cause = failure(promote, world)

    assert error == "PromotionRefused"
    assert f"Live is {OLD}, as before." in cause
    assert (record(world)["outcome"], record(world)["live"]) == ("rolled_back", OLD)


def test_a_challenger_is_promoted_once_its_experiment_has_ended(promote: Promote):
    world = World(is_challenger=True)

    output = promote(world)

    assert output["status"] == "promoted"
    [asked] = world.nested
    assert (asked["kind"], asked["drop_challenger"]) == ("risk", True)
    assert asked["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == "arn:execution"
    assert world.plans == 2


def test_an_experiment_that_cannot_be_ended_stops_its_challengers_promotion(promote: Promote):
    world = World(is_challenger=True, nested_error="the stack is stuck")

    _, cause = failure(promote, world)

    assert "the stack is stuck" in cause
    assert world.updates == []
    assert (record(world)["outcome"], record(world)["live"]) == ("refused", OLD)
