"""Old versions leave registry and bucket and come back, in an in-memory AWS with a versioned bucket."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.objects import ObjectMissing
from lambdas.restore_package.restore_package import NothingToRestore, restore_package
from lambdas.retire_packages.retention import Package, retired, within_reach
from lambdas.retire_packages.retire_packages import Registry, RetentionEnvironment, retire_packages

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk"
ENVIRONMENT = RetentionEnvironment(
    bucket_name="iops-bucket",
    promote_model_arn="arn:aws:states:us-east-1:123456789012:stateMachine:PromoteModel",
    risk_package_group="iops-risk",
    performance_package_group="iops-performance",
    risk_stack_name="IopsRiskEndpoint",
    performance_stack_name="IopsPerformanceEndpoint",
    kept_versions=2,
)


def package(version: int, approval: str = "Approved") -> Package:
    return Package(arn=f"{ARN}/{version}", version=version, approval=approval)


def versions(packages: list[Package]) -> list[int]:
    return [one.version for one in packages]


def test_the_newest_of_each_approval_stay_and_the_protected_ones() -> None:
    packages = [package(n, "Rejected" if n % 2 else "Approved") for n in range(1, 11)]
    assert versions(retired(packages, kept=2, protected=set())) == [1, 2, 3, 4, 5, 6]
    assert versions(retired(packages, kept=2, protected={f"{ARN}/2", f"{ARN}/5"})) == [1, 3, 4, 6]
    assert retired(packages, kept=5, protected=set()) == []


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.integers(1, 12))
def test_nothing_protected_or_among_the_newest_ever_goes(numbers: set[int], protected: set[int], kept: int) -> None:
    gone = versions(retired(map(package, numbers), kept=kept, protected={f"{ARN}/{n}" for n in protected}))
    assert set(gone) == set(sorted(numbers)[:-kept]) - protected
    assert gone == sorted(gone)


def test_a_way_back_of_ten_promotions_stays_open() -> None:
    """Newest first; a refused one opens none."""
    promoted = [{"outcome": "promoted", "from": f"{ARN}/{n - 1}", "to": f"{ARN}/{n}"} for n in range(30, 10, -1)]
    refused = {"outcome": "refused", "from": f"{ARN}/1", "to": 2}
    first = {"outcome": "promoted", "from": None, "to": f"{ARN}/9"}
    assert within_reach([refused, *promoted]) == {f"{ARN}/{n}" for n in range(20, 31)}
    assert within_reach([first]) == {f"{ARN}/9"}


class Registered:
    """SageMaker's registry of one group: numbers are given once; `made` has the requests."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []

    def create_model_package(self, **request: Any) -> dict[str, Any]:
        self.made.append(request)
        arn = f"{ARN}/{len(self.made)}"
        request.pop("ClientToken", None)
        self.packages[arn] = {**request, "ModelPackageArn": arn, "ModelPackageVersion": len(self.made)}
        return {"ModelPackageArn": arn}

    def describe_model_package(self, **request: Any) -> dict[str, Any]:
        return self.packages[request["ModelPackageName"]]

    def delete_model_package(self, **request: Any) -> None:
        del self.packages[request["ModelPackageName"]]

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        found = [p for p in self.packages.values() if p["ModelPackageGroupName"] == request["ModelPackageGroupName"]]
        return [{"ModelPackageSummaryList": found}]


class Stacks:
    def __init__(self) -> None:
        self.parameters = {"LivePackage": "", "ChallengerPackage": "", "ChallengerMode": "off"}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        listed = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return {"Stacks": [{"Parameters": listed}]}


class Promotions:
    running: tuple[dict[str, Any], ...] = ()

    def list_executions(self, **request: Any) -> dict[str, Any]:
        assert request["statusFilter"] == "RUNNING"
        return {"executions": list(self.running)}


class World:
    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.registered, self.stacks, self.promotions = Registered(), Stacks(), Promotions()
        cloud.s3.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"})

    def register(self, number: int) -> str:
        run = f"run{number:09d}"
        key = f"models/{run}/risk/job/output/model.tar.gz"
        self.cloud.put(key, f"model {number}".encode())
        self.cloud.put(f"models/{run}/risk/evaluation/golden.json", b"{}")
        self.cloud.put(f"models/{run}/performance/evaluation/golden.json", b"{}")
        arn = self.registered.create_model_package(
            ModelPackageGroupName="iops-risk",
            ModelPackageDescription="accuracy 0.93 >= 0.90: passed",
            ModelApprovalStatus="Approved",
            InferenceSpecification={"Containers": [{"Image": "training:1", "ModelDataUrl": f"s3://iops-bucket/{key}"}]},
            CustomerMetadataProperties={"kind": "risk", "run_id": run, "manifest_sha256": "beef"},
            ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Approved"},
        )["ModelPackageArn"]
        return str(arn)

    def retire(self, seconds: float = 600) -> dict[str, Any]:
        registry = Registry(
            sagemaker=self.registered,
            cloudformation=self.stacks,
            stepfunctions=self.promotions,
            s3=self.cloud.s3,
        )
        return retire_packages(environment=ENVIRONMENT, registry=registry, now=NOW, remaining_seconds=lambda: seconds)

    def restore(self, version: int) -> dict[str, Any]:
        asked = {"kind": "risk", "version": version}
        return restore_package(asked, bucket=self.cloud.bucket, s3=self.cloud.s3, sagemaker=self.registered)


@pytest.fixture
def world(cloud: Any) -> World:
    made = World(cloud)
    for number in range(1, 7):
        made.register(number)
    return made


def test_what_serves_challenges_or_may_be_gone_back_to_stays(world: World) -> None:
    world.stacks.parameters |= {"LivePackage": f"{ARN}/3", "ChallengerPackage": f"{ARN}/1"}
    record = {"outcome": "promoted", "from": f"{ARN}/2", "to": f"{ARN}/3", "live": f"{ARN}/3"}
    world.cloud.put("promotions/risk/2026-02-01-x.json", json.dumps(record).encode())
    assert world.retire() == {"is_done": True, "reason": "", "retired": {"risk": [4], "performance": []}}
    assert sorted(world.registered.packages) == [f"{ARN}/{n}" for n in (1, 2, 3, 5, 6)]


def test_a_retired_versions_own_files_go_with_it_and_no_others(world: World) -> None:
    world.retire()
    kept = {key.split("/")[1] for key in world.cloud.objects("models/") if "/risk/" in key}
    assert kept == {"run000000005", "run000000006"}
    others = [key for key in world.cloud.objects("models/") if "/performance/" in key]
    assert len(others) == 6
    assert world.retire()["retired"] == {"risk": [], "performance": []}


def test_while_a_promotion_runs_nothing_goes(world: World) -> None:
    world.promotions.running = ({"name": "promotion"},)
    assert world.retire()["is_done"] is False
    assert len(world.registered.packages) == 6


def test_a_run_without_time_leaves_the_rest_to_the_next(world: World) -> None:
    assert world.retire(seconds=10) == {
        "is_done": False,
        "reason": "the rest is the next run's",
        "retired": {"risk": []},
    }
    assert world.retire()["retired"]["risk"] == [1, 2, 3, 4]


def test_a_run_that_ended_before_the_registry_was_told_is_repeated_and_can_still_be_restored(world: World) -> None:
    before = dict(world.registered.packages)
    world.retire()
    world.registered.packages[f"{ARN}/1"] = before[f"{ARN}/1"]
    assert world.retire()["retired"]["risk"] == [1]
    assert world.restore(1)["objects"] == 2


def test_a_retired_version_comes_back_with_its_files_card_and_lineage_under_a_new_number(world: World) -> None:
    before = dict(world.registered.packages[f"{ARN}/2"])
    world.retire()
    assert world.restore(2) == {"model_package_arn": f"{ARN}/7", "objects": 2}
    after = world.registered.packages[f"{ARN}/7"]
    assert {**after, "ModelPackageArn": "", "ModelPackageVersion": 0} == {
        **before,
        "ModelPackageArn": "",
        "ModelPackageVersion": 0,
    }
    assert world.cloud.objects("models/run000000002/risk/") == {
        "models/run000000002/risk/evaluation/golden.json": b"{}",
        "models/run000000002/risk/job/output/model.tar.gz": b"model 2",
    }


def test_what_the_bucket_has_let_go_cannot_come_back(world: World) -> None:
    world.retire()
    for found in world.cloud.s3.list_object_versions(Bucket="iops-bucket", Prefix="models/run000000001/")["Versions"]:
        world.cloud.s3.delete_object(Bucket="iops-bucket", Key=found["Key"], VersionId=found["VersionId"])
    with pytest.raises(NothingToRestore, match="30 days"):
        world.restore(1)
    assert f"{ARN}/7" not in world.registered.packages


@pytest.mark.parametrize(
    "asked", [{}, {"kind": "risk"}, {"kind": "latency", "version": 1}, {"kind": "risk", "version": "1"}]
)
def test_a_restore_must_say_which(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(NothingToRestore, match="say which"):
        restore_package(asked, bucket="iops-bucket", s3=world.cloud.s3, sagemaker=world.registered)


def test_a_version_that_was_never_retired_is_not_found(world: World) -> None:
    with pytest.raises(ObjectMissing, match="retired/risk/99"):
        world.restore(99)
