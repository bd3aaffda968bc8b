from __future__ import annotations

import json
from typing import Any

import pytest

from local.options import InvalidOption
from local.rollback import RollbackFailed, RollbackOptions, roll_back

RISK = RollbackOptions(kind="risk")


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
