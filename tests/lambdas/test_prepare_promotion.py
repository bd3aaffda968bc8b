from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.prepare_promotion import handler as adapter
from lambdas.prepare_promotion.prepare_promotion import (
    GoldenUnreadable,
    PromotionEnvironment,
    StackMissing,
    prepare_promotion,
)
from lambdas.prepare_promotion.promotion_input import InvalidPromotion
from tests.lambdas.conftest import client_of

GROUP_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk"
GOLDEN = "s3://iops-bucket/models/0123456789ab/risk/evaluation/golden.json"
GOLDEN_KEY = GOLDEN.removeprefix("s3://iops-bucket/")
# printf '{"rows": [], "predictions": []}' | sha256sum
GOLDEN_FILE, GOLDEN_DIGEST = (
    b'{"rows": [], "predictions": []}',
    "13f4ee9587be54192ec63369a4e6bf2cc54ddde5ccd4e73729a46d0dcad49427",
)
PARAMETERS = (
    "LivePackage",
    "GoldenDigest",
    "ChallengerPackage",
    "ChallengerMode",
    "ChallengerShare",
    "ChallengerGoldenDigest",
    "ChallengerSince",
    "TrafficShift",
    "Scaling",
    "Serving",
)
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
VARIABLES = {
    "RISK_STACK_NAME": "IopsRiskEndpoint",
    "PERFORMANCE_STACK_NAME": "IopsPerformanceEndpoint",
    "RISK_ENDPOINT_NAME": "iops-risk-predictor",
    "PERFORMANCE_ENDPOINT_NAME": "iops-performance-predictor",
    "RISK_PACKAGE_GROUP": "iops-risk",
    "PERFORMANCE_PACKAGE_GROUP": "iops-performance",
    "BUCKET_NAME": "iops-bucket",
}
ENVIRONMENT = PromotionEnvironment(**{name.lower(): value for name, value in VARIABLES.items()})


class Registry:
    """SageMaker with packages 1-4 of iops-risk: 3 is rejected, 4 was registered by hand."""

    def __init__(self, client: Any) -> None:
        self.client = client
        client.create_model_package_group(ModelPackageGroupName="iops-risk")
        for approval, golden in (("Approved", True), ("Approved", True), ("Rejected", True), ("Approved", False)):
            client.create_model_package(
                ModelPackageGroupName="iops-risk",
                ModelApprovalStatus=approval,
                CustomerMetadataProperties={"kind": "risk"} | ({"golden_uri": GOLDEN} if golden else {}),
                InferenceSpecification={
                    "Containers": [{"Image": "image", "ModelDataUrl": "s3://iops-bucket/model.tar.gz"}],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["application/json"],
                },
            )


class Stacks:
    """CloudFormation with the stacks that were deployed."""

    def __init__(self) -> None:
        self.parameters: dict[str, dict[str, str]] = {}

    def deploy(self, live: str = "", challenger: str = "", mode: str = "off", serving: str = "on") -> None:
        digests = ("digest-of-the-live" if live else "", "digest-of-the-challenger" if challenger else "")
        since = "2026-02-20T09:00:00.000Z" if challenger else ""
        values = (live, digests[0], challenger, mode, "10", digests[1], since, "canary", "on", serving)
        self.parameters["IopsRiskEndpoint"] = dict(zip(PARAMETERS, values, strict=True))
        self.parameters["IopsPerformanceEndpoint"] = dict.fromkeys(PARAMETERS, "")

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        if StackName not in self.parameters:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}},
                "DescribeStacks",
            )
        listed = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters[StackName].items()]
        return {"Stacks": [{"StackName": StackName, "StackStatus": "UPDATE_COMPLETE", "Parameters": listed}]}


@pytest.fixture
def registry(cloud: Any, aws_client: Any) -> Any:
    cloud.put(GOLDEN_KEY, GOLDEN_FILE)
    return Registry(aws_client("sagemaker")).client


@pytest.fixture
def stacks() -> Stacks:
    return Stacks()


def prepared(registry: Any, stacks: Stacks, given: object) -> dict[str, Any]:
    return prepare_promotion(
        given,
        environment=ENVIRONMENT,
        sagemaker=registry,
        cloudformation=stacks,
        s3=client_of("s3"),
        now=lambda: NOW,
    )


def by_key(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    assert all(entry.keys() - {"ParameterKey"} in ({"ParameterValue"}, {"UsePreviousValue"}) for entry in parameters)
    return {entry["ParameterKey"]: entry.get("ParameterValue", entry.get("UsePreviousValue")) for entry in parameters}


def test_the_first_promotion_fills_the_live_package_and_keeps_the_rest(registry: Any, stacks: Stacks) -> None:
    stacks.deploy()
    plan = prepared(registry, stacks, {"kind": "risk", "version": 1})
    assert plan | {"parameters": None, "rollback_parameters": None} == {
        "kind": "risk",
        "action": "promote",
        "stack_name": "IopsRiskEndpoint",
        "endpoint_name": "iops-risk-predictor",
        "target_package": f"{GROUP_ARN}/1",
        "live_after": f"{GROUP_ARN}/1",
        "previous_package": None,
        "previous_endpoint_config": None,
        "verify": {"variant": "live", "package": f"{GROUP_ARN}/1", "golden_uri": GOLDEN},
        "traffic_shift": "all-at-once",
        "experiment": None,
        "ends_experiment_first": False,
        "failed_as": f"{GROUP_ARN}/1 was not promoted",
        "rests_again": False,
        "parameters": None,
        "rollback_parameters": None,
        "reason": "",
    }
    kept = {**dict.fromkeys(PARAMETERS[2:], True), "TrafficShift": "all-at-once"}
    assert by_key(plan["parameters"]) == {"LivePackage": f"{GROUP_ARN}/1", "GoldenDigest": GOLDEN_DIGEST, **kept}
    assert by_key(plan["rollback_parameters"]) == {"LivePackage": "", "GoldenDigest": "", **kept}


@pytest.mark.parametrize("version", [1, 2])
def test_a_resting_endpoint_is_put_up_to_be_verified_and_what_is_taken_back_rests(
    registry: Any, stacks: Stacks, version: int
) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1", serving="off")
    plan = prepared(registry, stacks, {"kind": "risk", "version": version})
    assert plan["rests_again"] is True
    assert by_key(plan["parameters"])["Serving"] == "on"
    assert by_key(plan["parameters"])["LivePackage"] == f"{GROUP_ARN}/{version}"
    back = by_key(plan["rollback_parameters"])
    assert (back["Serving"], back["LivePackage"]) == ("off", f"{GROUP_ARN}/1")


def serve_with(registry: Any, instance_count: int) -> None:
    """An endpoint of so many instances."""
    registry.create_model(
        ModelName="m",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/Serving",
        PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://iops-bucket/model.tar.gz"},
    )
    variant = {"VariantName": "live", "ModelName": "m", "InstanceType": "ml.m5.large"}
    registry.create_endpoint_config(
        EndpointConfigName="IopsRiskEndpoint-1",
        ProductionVariants=[variant | {"InitialInstanceCount": instance_count, "InitialVariantWeight": 1}],
    )
    registry.create_endpoint(EndpointName="iops-risk-predictor", EndpointConfigName="IopsRiskEndpoint-1")


def test_a_later_promotion_knows_what_to_go_back_to(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    serve_with(registry, 1)
    plan = prepared(registry, stacks, {"kind": "risk", "version": 2})
    assert plan["previous_package"] == f"{GROUP_ARN}/1"
    assert plan["previous_endpoint_config"] == "IopsRiskEndpoint-1"
    back = by_key(plan["rollback_parameters"])
    assert (back["LivePackage"], back["GoldenDigest"]) == (f"{GROUP_ARN}/1", "digest-of-the-live")


@pytest.mark.parametrize(("instance_count", "shift"), [(1, "all-at-once"), (2, "canary"), (3, "canary")])
def test_traffic_shifts_by_a_canary_where_there_are_two_instances_and_comes_back_at_once(
    registry: Any, stacks: Stacks, instance_count: int, shift: str
) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    serve_with(registry, instance_count)
    plan = prepared(registry, stacks, {"kind": "risk", "version": 2})
    assert plan["traffic_shift"] == by_key(plan["parameters"])["TrafficShift"] == shift
    assert by_key(plan["rollback_parameters"])["TrafficShift"] == "all-at-once"


def test_a_person_chooses_how_traffic_shifts_where_the_endpoint_can(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    serve_with(registry, 2)
    asked = {"kind": "risk", "version": 2, "traffic_shift": "all-at-once"}
    assert by_key(prepared(registry, stacks, asked)["parameters"])["TrafficShift"] == "all-at-once"


def test_a_canary_of_one_instance_is_refused_with_the_reason(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    serve_with(registry, 1)
    with pytest.raises(InvalidPromotion, match="half of the instances and iops-risk-predictor has 1; scale it to two"):
        prepared(registry, stacks, {"kind": "risk", "version": 2, "traffic_shift": "canary"})


def test_of_the_model_that_is_live_already_nothing_changes(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    plan = prepared(registry, stacks, {"kind": "risk", "version": 1})
    parameters = by_key(plan["parameters"])
    assert parameters.pop("LivePackage") == f"{GROUP_ARN}/1"
    assert set(parameters.values()) == {True}


def test_a_package_whose_golden_file_is_gone_cannot_go_live(registry: Any, stacks: Stacks, cloud: Any) -> None:
    stacks.deploy()
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=GOLDEN_KEY)
    with pytest.raises(GoldenUnreadable, match=r"golden\.json does not exist"):
        prepared(registry, stacks, {"kind": "risk", "version": 1})


def recorded(cloud: Any, *promotions: tuple[int | None, int, str, bool]) -> None:
    """Records as PromoteModel leaves them: from, to, outcome, whether it was a roll back; oldest first."""
    for hour, (before, after, outcome, is_roll_back) in enumerate(promotions):
        record = {
            "outcome": outcome,
            "from": before and f"{GROUP_ARN}/{before}",
            "to": f"{GROUP_ARN}/{after}",
            "is_roll_back": is_roll_back,
        }
        cloud.put(f"promotions/risk/2026-03-02T{hour:02}-00-00.000Z-{hour}.json", json.dumps(record).encode())


@pytest.mark.parametrize(
    ("promotions", "live", "version"),
    [
        ([(None, 1, "promoted", False), (1, 2, "promoted", False)], 2, 1),
        ([(None, 2, "promoted", False), (2, 1, "promoted", False), (1, 4, "rolled_back", False)], 1, 2),
        # 5 was taken away by going back to 2: going back once more leads to 1, not to 5 again.
        ([(1, 2, "promoted", False), (2, 5, "promoted", False), (5, 2, "promoted", True)], 2, 1),
    ],
)
def test_previous_is_what_the_live_model_took_over_from(
    registry: Any, stacks: Stacks, cloud: Any, promotions: Any, live: int, version: int
) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/{live}")
    recorded(cloud, *promotions)
    plan = prepared(registry, stacks, {"kind": "risk", "version": "previous", "reason": "slow"})
    assert plan["target_package"] == f"{GROUP_ARN}/{version}"
    assert plan["previous_package"] == f"{GROUP_ARN}/{live}"


@pytest.mark.parametrize(
    ("promotions", "live", "text"),
    [
        ([], "", "no risk model is live"),
        ([], f"{GROUP_ARN}/2", "no record below s3://iops-bucket/promotions/risk/ tells"),
        ([(None, 1, "promoted", False)], f"{GROUP_ARN}/1", "is the first that was promoted"),
    ],
)
def test_where_nothing_was_live_before_going_back_is_refused(
    registry: Any, stacks: Stacks, cloud: Any, promotions: Any, live: str, text: str
) -> None:
    stacks.deploy(live=live)
    recorded(cloud, *promotions)
    with pytest.raises(InvalidPromotion, match=text):
        prepared(registry, stacks, {"kind": "risk", "version": "previous"})


@pytest.mark.parametrize("mode", ["ab", "shadow"])
def test_a_challenger_that_goes_live_ends_its_experiment_first(registry: Any, stacks: Stacks, mode: str) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1", challenger=f"{GROUP_ARN}/2", mode=mode)
    assert prepared(registry, stacks, {"kind": "risk", "version": 2})["ends_experiment_first"] is True


def test_another_model_may_go_live_and_the_experiment_begins_anew_against_it(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/3", challenger=f"{GROUP_ARN}/2", mode="ab")
    plan = prepared(registry, stacks, {"kind": "risk", "version": 1})
    changed, back = by_key(plan["parameters"]), by_key(plan["rollback_parameters"])
    assert plan["ends_experiment_first"] is False
    assert (changed["ChallengerPackage"], changed["ChallengerMode"]) == (True, True)
    assert changed["ChallengerSince"] == "2026-03-02T10:00:00.000Z"
    assert back["ChallengerSince"] == "2026-02-20T09:00:00.000Z"


START = {"kind": "risk", "version": 2, "challenger": "ab", "share": 25, "reason": "newer"}


def test_an_experiment_begins_beside_the_live_model(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    plan = prepared(registry, stacks, START)
    assert by_key(plan["parameters"]) == {
        "LivePackage": True,
        "GoldenDigest": True,
        "ChallengerPackage": f"{GROUP_ARN}/2",
        "ChallengerMode": "ab",
        "ChallengerShare": "25",
        "ChallengerGoldenDigest": GOLDEN_DIGEST,
        "ChallengerSince": "2026-03-02T10:00:00.000Z",
        "TrafficShift": "unguarded",
        "Scaling": True,
        "Serving": True,
    }
    assert by_key(plan["rollback_parameters"]) == {
        **dict.fromkeys(PARAMETERS, True),
        "ChallengerPackage": "",
        "ChallengerMode": "off",
        "ChallengerShare": "10",
        "ChallengerGoldenDigest": "",
        "ChallengerSince": "",
        "TrafficShift": "unguarded",
    }
    assert (plan["action"], plan["live_after"]) == ("start_experiment", f"{GROUP_ARN}/1")
    assert plan["verify"] == {"variant": "challenger", "package": f"{GROUP_ARN}/2", "golden_uri": GOLDEN}
    assert plan["experiment"] == {
        "challenger": f"{GROUP_ARN}/2",
        "mode": "ab",
        "share_percent": 25,
        "since": "2026-03-02T10:00:00.000Z",
    }


def test_a_shadow_cannot_be_asked_so_the_live_model_is(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    plan = prepared(registry, stacks, {"kind": "risk", "version": 2, "challenger": "shadow"})
    assert plan["verify"] == {"variant": "live", "package": f"{GROUP_ARN}/1", "golden_uri": GOLDEN}
    assert plan["experiment"]["share_percent"] is None


def test_an_experiment_ends_and_leaves_the_live_model(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1", challenger=f"{GROUP_ARN}/2", mode="ab")
    plan = prepared(registry, stacks, {"kind": "risk", "drop_challenger": True, "requested_by": "ana"})
    assert by_key(plan["parameters"]) == {
        **dict.fromkeys(PARAMETERS, True),
        "ChallengerPackage": "",
        "ChallengerMode": "off",
        "ChallengerGoldenDigest": "",
        "ChallengerSince": "",
        "TrafficShift": "unguarded",
    }
    assert by_key(plan["rollback_parameters"])["ChallengerPackage"] == f"{GROUP_ARN}/2"
    assert (plan["action"], plan["live_after"]) == ("end_experiment", f"{GROUP_ARN}/1")
    assert plan["experiment"] == {
        "challenger": f"{GROUP_ARN}/2",
        "mode": "ab",
        "share_percent": 10,
        "since": "2026-02-20T09:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("live", "challenger", "mode", "given", "text"),
    [
        (0, 0, "off", START, "no model is live that it could challenge"),
        (2, 0, "off", START, "it is live already"),
        (1, 4, "ab", START, "iops-risk/4 is the challenger (ab); end that experiment first"),
        (1, 2, "shadow", START, "iops-risk/2 is the challenger (shadow)"),
        (1, 0, "off", {"kind": "risk", "drop_challenger": True}, "no experiment runs"),
    ],
)
def test_what_is_no_experiment_is_refused_with_the_remedy(
    registry: Any, stacks: Stacks, live: int, challenger: int, mode: str, given: dict[str, Any], text: str
) -> None:
    packages = [f"{GROUP_ARN}/{version}" if version else "" for version in (live, challenger)]
    stacks.deploy(live=packages[0], challenger=packages[1], mode=mode)
    with pytest.raises(InvalidPromotion) as refused:
        prepared(registry, stacks, given)
    assert text in str(refused.value)


def test_a_stack_of_an_older_version_is_named(registry: Any, stacks: Stacks) -> None:
    stacks.deploy(live=f"{GROUP_ARN}/1")
    del stacks.parameters["IopsRiskEndpoint"]["ChallengerSince"]
    with pytest.raises(StackMissing, match="no parameter ChallengerSince; deploy the present version"):
        prepared(registry, stacks, START)


@pytest.mark.parametrize(
    "target",
    [
        {"version": "2"},
        {"version": 2.0},
        {"version": f"{GROUP_ARN}/2"},
        {"model_package_arn": f"{GROUP_ARN}/2"},
        {"version": 2, "Comment": "typed in the console", "reason": "test"},
    ],
)
def test_a_version_may_be_written_in_several_ways(registry: Any, stacks: Stacks, target: dict[str, Any]) -> None:
    stacks.deploy()
    assert prepared(registry, stacks, {"kind": "risk", **target})["target_package"] == f"{GROUP_ARN}/2"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "field input"),
        ({"version": 1}, "field kind has the value None"),
        ({"kind": "rsik", "version": 1}, "field kind has the value 'rsik'"),
        ({"kind": "risk"}, "field version has the value None; give exactly one"),
        ({"kind": "risk", "version": 1, "model_package_arn": f"{GROUP_ARN}/1"}, "give exactly one"),
        ({"kind": "risk", "version": 0}, "field version has the value 0"),
        ({"kind": "risk", "version": True}, "field version has the value True"),
        ({"kind": "risk", "version": "newest"}, "field version has the value 'newest'"),
        ({"kind": "risk", "model_package_arn": "arn:aws:s3:::x"}, "field model_package_arn"),
        ({"kind": "risk", "version": 1, "force": True}, "field force has the value True; no such field"),
        ({"kind": "risk", "version": 1, "reason": 5}, "field reason"),
        ({"kind": "risk", "version": 1, "requested_by": ["ana"]}, "field requested_by"),
        ({"kind": "risk", "version": 1, "traffic_shift": "linear"}, "it must be one of canary, all-at-once"),
        ({"kind": "risk", "version": 2, "challenger": "canary"}, "it must be one of ab, shadow"),
        ({"kind": "risk", "version": "previous", "challenger": "ab"}, "name the version"),
        ({"kind": "risk", "version": 2, "challenger": "ab", "traffic_shift": "canary"}, "takes over nobody's traffic"),
        ({"kind": "risk", "version": 2, "share": 10}, "goes with"),
        ({"kind": "risk", "version": 2, "challenger": "shadow", "share": 10}, "a shadow sees every request"),
        ({"kind": "risk", "version": 2, "challenger": "ab", "share": 51}, "from 1 to 50"),
        ({"kind": "risk", "version": 2, "challenger": "ab", "share": 0.5}, "from 1 to 50"),
        ({"kind": "risk", "version": 2, "challenger": "ab", "share": True}, "from 1 to 50"),
        ({"kind": "risk", "drop_challenger": "yes"}, "it must be true"),
        ({"kind": "risk", "drop_challenger": True, "version": 2}, "leave it out where the challenger is dropped"),
        ({"kind": "risk", "version": 9}, "the newest versions are 4 (Approved), 3 (Rejected), 2 (Approved)"),
        ({"kind": "risk", "version": f"{GROUP_ARN}/9"}, "the newest versions are 4 (Approved), 3 (Rejected)"),
        ({"kind": "risk", "version": 3}, "the package is Rejected, not Approved; approve it"),
        ({"kind": "risk", "version": 4}, "the package has no golden_uri"),
        ({"kind": "performance", "version": 1}, "there is no model in the package group iops-performance"),
        (
            {"kind": "performance", "version": f"{GROUP_ARN}/1"},
            "a performance model is of the package group iops-performance",
        ),
    ],
)
def test_what_must_not_go_live_is_refused_with_the_remedy(
    registry: Any, stacks: Stacks, given: object, text: str
) -> None:
    stacks.deploy()
    with pytest.raises(InvalidPromotion) as refused:
        prepared(registry, stacks, given)
    assert text in str(refused.value)


def test_a_stack_that_is_not_deployed_is_named(registry: Any, stacks: Stacks) -> None:
    with pytest.raises(StackMissing, match="cdk deploy IopsRiskEndpoint"):
        prepared(registry, stacks, {"kind": "risk", "version": 1})


def test_the_handler_reads_the_names_from_the_environment(
    registry: Any, stacks: Stacks, cloud: Any, event: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.deploy()
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    adapter.environment.cache_clear()
    clients = {"sagemaker": registry, "cloudformation": stacks, "s3": cloud.s3}
    monkeypatch.setattr("lambdas.prepare_promotion.prepare_promotion.client", clients.__getitem__)
    plan = adapter.handler(event("prepare_promotion"), context)
    assert plan["target_package"] == f"{GROUP_ARN}/2"
    assert plan["reason"] == "back to the model before the firmware update"
