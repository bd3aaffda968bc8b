import json
from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from local.permissions.audit import (
    RecordedCall,
    RoleAction,
    collect_roles,
    denied_calls,
    granted_actions,
    is_allowed,
    needed_actions,
    read_calls,
    read_roles,
    unneeded_actions,
    without_action,
    write_roles,
)

READER = "arn:aws:iam::000000000000:role/reader"
BUCKET = "arn:aws:s3:::bucket"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject*", "s3:DeleteObject"], "Resource": f"{BUCKET}/*"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": BUCKET,
            "Condition": {"StringLike": {"s3:prefix": "raw/*"}},
        },
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": f"{BUCKET}/kept"},
    ],
}
ROLES = {READER: [POLICY]}


def call(action: str, resource: str, **context: str) -> RecordedCall:
    return RecordedCall(
        READER, action, resource, "Allow", {key.replace("_", ":"): value for key, value in context.items()}
    )


def test_every_allowed_action_string_is_granted_once() -> None:
    assert granted_actions(ROLES) == [
        RoleAction(READER, "s3:DeleteObject"),
        RoleAction(READER, "s3:GetObject*"),
        RoleAction(READER, "s3:ListBucket"),
    ]


def test_taking_an_action_out_leaves_denials_and_the_original_alone() -> None:
    before = json.dumps(POLICY)
    reduced = without_action([POLICY], "s3:DeleteObject")[0]["Statement"]
    assert [statement["Action"] for statement in reduced] == [["s3:GetObject*"], ["s3:ListBucket"], "s3:DeleteObject"]
    assert json.dumps(POLICY) == before


def test_a_call_is_judged_with_wildcards_conditions_and_denials() -> None:
    assert is_allowed(call("s3:GetObjectVersion", f"{BUCKET}/a"), [POLICY])
    assert is_allowed(call("s3:ListBucket", BUCKET, s3_prefix="raw/1"), [POLICY])
    assert not is_allowed(call("s3:ListBucket", BUCKET, s3_prefix="models/"), [POLICY])
    assert is_allowed(call("s3:DeleteObject", f"{BUCKET}/a"), [POLICY])
    assert not is_allowed(call("s3:DeleteObject", f"{BUCKET}/kept"), [POLICY])


def test_an_action_is_needed_when_a_recorded_call_fails_without_it() -> None:
    calls = [call("s3:GetObject", f"{BUCKET}/a"), call("s3:ListBucket", BUCKET, s3_prefix="raw/1")]
    assert needed_actions(calls, ROLES) == {RoleAction(READER, "s3:GetObject*"), RoleAction(READER, "s3:ListBucket")}
    assert unneeded_actions(calls, ROLES) == [RoleAction(READER, "s3:DeleteObject")]


def test_an_action_that_another_grant_covers_is_not_needed() -> None:
    roles = {READER: [*ROLES[READER], {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}]}
    assert needed_actions([call("s3:GetObject", f"{BUCKET}/a")], roles) == set()


def test_calls_of_unknown_roles_and_refused_calls_prove_nothing() -> None:
    refused = RecordedCall(READER, "s3:GetObject", f"{BUCKET}/a", "ImplicitDeny")
    assert needed_actions([refused], ROLES) == set()
    assert denied_calls([refused, call("s3:GetObject", f"{BUCKET}/a")]) == [refused]


@pytest.mark.usefixtures("make_role")
def test_a_running_cloud_records_calls_and_gives_its_roles(
    laptop: LaptopCloud, make_role: object, tmp_path: Path
) -> None:
    assert callable(make_role)
    arn = make_role("audited", "states.amazonaws.com", {"Action": ["s3:ListBucket", "s3:PutObject"], "Resource": "*"})
    laptop.client("s3").create_bucket(Bucket="audited-bucket")
    states = laptop.client("stepfunctions")
    listing = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:listObjectsV2",
        "Parameters": {"Bucket": "audited-bucket"},
        "End": True,
    }
    machine = states.create_state_machine(
        name="audited", definition=json.dumps({"StartAt": "L", "States": {"L": listing}}), roleArn=arn
    )
    run = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    while states.describe_execution(executionArn=run)["status"] == "RUNNING":
        pass
    write_roles(tmp_path / "roles.json", collect_roles(laptop.client("iam"), prefixes=("audited",)))
    calls, roles = read_calls(laptop.settings.calls_file), read_roles(tmp_path / "roles.json")
    assert roles.keys() == {arn}
    assert needed_actions(calls, roles) == {RoleAction(arn, "s3:ListBucket")}
    assert unneeded_actions(calls, roles) == [RoleAction(arn, "s3:PutObject")]
