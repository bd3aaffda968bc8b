"""`make rollback KIND=risk`: the model that was live before comes back, by one execution of PromoteModel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloud import LaptopCloud
from local.execution import Execution, run_execution
from local.options import InvalidOption

KINDS = ("risk", "performance")
TARGETS = ("laptop", "aws")
STACK, OUTPUT = "IopsTraining", "PromoteModelArn"
NAMED_CREDENTIALS = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Whoever sets one of these may mean AWS although a laptop cloud is up."""

MakeClient = Callable[[str], Any]


class RollbackFailed(RuntimeError):
    """There is nothing to go back to, or nowhere; the message is the one clear sentence."""


@dataclass(frozen=True, kw_only=True)
class RollbackOptions:
    """version: "previous" or a number; target: where, if both a laptop cloud and AWS are within reach."""

    kind: str
    version: str | int = "previous"
    reason: str = ""
    target: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RollbackOptions:
        kind, version = environment.get("KIND", ""), environment.get("VERSION") or "previous"
        target = environment.get("TARGET", "")
        if kind not in KINDS:
            raise InvalidOption("KIND", kind, f"give one of {', '.join(KINDS)}")
        if version != "previous" and not (version.isdecimal() and int(version) >= 1):
            raise InvalidOption(
                "VERSION", version, "give a version number from 1, or leave it out for the previous one"
            )
        if target and target not in TARGETS:
            raise InvalidOption("TARGET", target, f"give one of {', '.join(TARGETS)}, or leave it out")
        return cls(
            kind=kind,
            version=int(version) if version.isdecimal() else version,
            reason=environment.get("REASON", ""),
            target=target,
        )

    def execution_input(self, requested_by: str) -> dict[str, Any]:
        """What a person would type into the console for the same."""
        return {"kind": self.kind, "version": self.version, "reason": self.reason, "requested_by": requested_by}


def find_cloud(options: RollbackOptions, environment: Mapping[str, str], build: Path) -> tuple[str, MakeClient]:
    """Where to roll back, in words and as a maker of clients; raises RollbackFailed where that is not clear."""
    import boto3

    if url := environment.get("AWS_ENDPOINT_URL"):
        return url, boto3.client
    laptop = LaptopCloud(build / "cloud")
    is_up = laptop.is_running() and laptop.is_healthy()
    if is_up and not options.target and any(environment.get(name) for name in NAMED_CREDENTIALS):
        raise RollbackFailed("a laptop cloud is up and AWS credentials are set; say TARGET=laptop or TARGET=aws")
    if is_up and options.target != "aws":
        return f"the laptop cloud {laptop.endpoint_url}", laptop.client
    if options.target == "laptop":
        raise RollbackFailed("no laptop cloud is up; start one with `make up` and roll back from another terminal")
    if boto3.session.Session().get_credentials() is None:
        raise RollbackFailed(
            "no laptop cloud is up and there are no AWS credentials; start a laptop cloud with `make up`, or set "
            "AWS_PROFILE (and AWS_REGION) for the account whose model shall go back"
        )
    return "AWS", boto3.client


def roll_back(options: RollbackOptions, client: MakeClient, *, say: Callable[[str], None]) -> Execution:
    """Run PromoteModel to its end; raises RollbackFailed with the execution's cause."""
    execution = run_execution(
        client("stepfunctions"),
        state_machine_arn=_state_machine(client("cloudformation")),
        execution_input=options.execution_input(client("sts").get_caller_identity()["Arn"]),
        say=say,
    )
    if execution.status != "SUCCEEDED":
        raise RollbackFailed(f"{execution.status} {execution.error}: {execution.cause} (execution {execution.arn})")
    return execution


def _state_machine(cloudformation: Any) -> str:
    from botocore.exceptions import ClientError

    try:
        [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    except ClientError as error:
        raise RollbackFailed(f"stack {STACK} cannot be read there ({error}); is the app deployed?") from error
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}
    if OUTPUT not in outputs:
        raise RollbackFailed(f"stack {STACK} has no output {OUTPUT}; deploy the present version of the app")
    return str(outputs[OUTPUT])


def run_command(environment: Mapping[str, str], build: Path) -> str:
    """The whole command; the sentence that says what it did. Raises InvalidOption, RollbackFailed."""
    options = RollbackOptions.from_environment(environment)
    where, client = find_cloud(options, environment, build)
    started, said = time.monotonic(), ""

    def say(state: str) -> None:
        nonlocal said
        if state != said:  # a state that looks again and again is said once
            print(f"[{time.monotonic() - started:6.1f} s]   {state}", flush=True)
        said = state

    print(f"rolling {options.kind} back to version {options.version} on {where}", flush=True)
    output = roll_back(options, client, say=say).output
    seconds = time.monotonic() - started
    before, live = output["previous_package"], output["live_package"]
    what = f"{live} was live already" if output["status"] == "unchanged" else f"from {before} to {live}"
    record = output["recorded"] or f"NOT RECORDED ({output['unrecorded']})"
    return f"{options.kind}: {what} in {seconds:.1f} s; record: {record}"
