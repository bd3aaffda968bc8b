"""`make rollback KIND=risk`: the model that was live before comes back, by one execution of PromoteModel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insights.schema import KINDS
from local.execution import Execution, run_execution
from local.options import InvalidOption
from local.target import MakeClient, find_cloud, stack_output, target_of


class RollbackFailed(RuntimeError):
    """There is nothing to go back to; the message is the one clear sentence."""


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
        if kind not in KINDS:
            raise InvalidOption("KIND", kind, f"give one of {', '.join(KINDS)}")
        if version != "previous" and not (version.isdecimal() and int(version) >= 1):
            raise InvalidOption(
                "VERSION", version, "give a version number from 1, or leave it out for the previous one"
            )
        return cls(
            kind=kind,
            version=int(version) if version.isdecimal() else version,
            reason=environment.get("REASON", ""),
            target=target_of(environment),
        )

    def execution_input(self, requested_by: str) -> dict[str, Any]:
        """What a person would type into the console for the same."""
        return {"kind": self.kind, "version": self.version, "reason": self.reason, "requested_by": requested_by}


def roll_back(options: RollbackOptions, client: MakeClient, *, say: Callable[[str], None]) -> Execution:
    """Run PromoteModel to its end; raises RollbackFailed with the execution's cause."""
    execution = run_execution(
        client("stepfunctions"),
        state_machine_arn=stack_output(client("cloudformation"), "IopsTraining", "PromoteModelArn"),
        execution_input=options.execution_input(client("sts").get_caller_identity()["Arn"]),
        say=say,
    )
    if execution.status != "SUCCEEDED":
        raise RollbackFailed(f"{execution.status} {execution.error}: {execution.cause} (execution {execution.arn})")
    return execution


def run_command(environment: Mapping[str, str], build: Path) -> str:
    """The whole command; the sentence that says what it did. Raises InvalidOption, NoTarget, RollbackFailed."""
    options = RollbackOptions.from_environment(environment)
    where, client = find_cloud(options.target, environment, build)
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
