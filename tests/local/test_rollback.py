from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.cloud import LaptopCloud
from local.options import InvalidOption
from local.rollback import RollbackFailed, RollbackOptions, find_cloud, roll_back

RISK = RollbackOptions(kind="risk")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of whoever runs the tests, no instance to ask for any, and a port that no cloud listens on."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaptopCloud, "is_running", lambda self: True)
    monkeypatch.setattr(LaptopCloud, "is_healthy", lambda self: True)


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "KIND=: give one of risk, performance"),
        ({"KIND": "risk", "VERSION": "newest"}, "VERSION=newest: give a version number"),
        ({"KIND": "risk", "VERSION": "0"}, "VERSION=0"),
        ({"KIND": "risk", "TARGET": "prod"}, "TARGET=prod: give one of laptop, aws"),
    ],
)
def test_a_wrong_option_is_refused_by_name_value_and_remedy(environment: dict[str, str], text: str):
    with pytest.raises(InvalidOption, match=text):
        RollbackOptions.from_environment(environment)


def test_the_command_asks_what_a_person_would_type_into_the_console():
    options = RollbackOptions.from_environment({"KIND": "risk", "VERSION": "3", "REASON": "too slow"})

    assert options.execution_input("arn:ana") == {
        "kind": "risk",
        "version": 3,
        "reason": "too slow",
        "requested_by": "arn:ana",
    }
    assert RISK.execution_input("arn:ana")["version"] == "previous"


def test_without_a_laptop_cloud_and_without_credentials_it_says_what_to_do(tmp_path: Path):
    with pytest.raises(RollbackFailed, match="`make up`, or set AWS_PROFILE"):
        find_cloud(RISK, {}, tmp_path)
    with pytest.raises(RollbackFailed, match="start one with `make up`"):
        find_cloud(RollbackOptions(kind="risk", target="laptop"), {}, tmp_path)


def test_a_given_endpoint_url_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    where, client = find_cloud(RISK, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, tmp_path)

    assert where == "http://127.0.0.1:1"
    assert client("sts").meta.endpoint_url == "http://127.0.0.1:1"


@pytest.mark.usefixtures("is_up")
def test_a_laptop_cloud_that_is_up_is_asked_unless_aws_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    named = {"AWS_ACCESS_KEY_ID": "key"}

    assert find_cloud(RISK, {}, tmp_path)[0].startswith("the laptop cloud http://127.0.0.1:")
    with pytest.raises(RollbackFailed, match="TARGET=laptop or TARGET=aws"):
        find_cloud(RISK, named, tmp_path)
    assert find_cloud(RollbackOptions(kind="risk", target="aws"), named, tmp_path)[0] == "AWS"
    assert find_cloud(RollbackOptions(kind="risk", target="laptop"), named, tmp_path)[0].startswith("the laptop cloud")


class Account:
    """An account with the training stack, whose PromoteModel ends as it is told."""

    def __init__(self, **ended: Any) -> None:
        self.ended = ended
        self.given: dict[str, Any] = {}

    def __call__(self, service: str) -> Account:
        return self

    def describe_stacks(self, StackName: str) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": "PromoteModelArn", "OutputValue": "arn:machine"}]}]}

    def get_caller_identity(self) -> Any:
        return {"Arn": "arn:ana"}

    def start_execution(self, *, stateMachineArn: str, input: str) -> Any:
        self.given = {"machine": stateMachineArn, **json.loads(input)}
        return {"executionArn": "arn:execution"}

    def describe_execution(self, executionArn: str) -> Any:
        return {"executionArn": executionArn, **self.ended}

    def get_paginator(self, _: str) -> Account:
        return self

    def paginate(self, **_: Any) -> Any:
        return [{"events": []}]


def test_it_starts_the_stacks_promotion_in_the_callers_name():
    account = Account(status="SUCCEEDED", output=json.dumps({"live_package": "arn:1"}))

    execution = roll_back(RISK, account, say=lambda _: None)

    assert execution.output == {"live_package": "arn:1"}
    assert account.given["machine"] == "arn:machine"
    assert account.given["requested_by"] == "arn:ana"


def test_a_refusal_is_given_with_its_cause():
    account = Account(status="FAILED", error="InvalidPromotion", cause="nothing was live before")

    with pytest.raises(RollbackFailed, match="InvalidPromotion: nothing was live before"):
        roll_back(RISK, account, say=lambda _: None)
