"""Walks a synthesised state machine to its end in this process, with the interpreter of the laptop cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.services import stepfunctions

from local.states import distributed_map, engine

Call = Callable[[str, Any], Any]
Failed = stepfunctions._ExecutionError


def definition(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The definition with each reference replaced by the logical id that it names."""
    for resource in template["Resources"].values():
        if resource.get("Properties", {}).get("StateMachineName") == name:
            parts = resource["Properties"]["DefinitionString"]["Fn::Join"][1]
            return json.loads("".join(part if isinstance(part, str) else _logical_id(part) for part in parts))
    raise AssertionError(f"no state machine {name}")


def _logical_id(reference: Mapping[str, Any]) -> str:
    [target] = reference.values()
    if isinstance(target, Mapping):  # an output of another stack
        return str(target["OutputName"])
    return target if isinstance(target, str) else target[0]


def install(monkeypatch: pytest.MonkeyPatch, call: Call, *, s3: Any = None) -> None:
    """`call` stands for every integration, `s3` for the client by which a Distributed Map reads; waits take no time."""
    sfn = stepfunctions
    clients = SimpleNamespace(get=lambda service, role: s3)
    monkeypatch.setattr(distributed_map, "authorize", lambda *_, **__: None)
    distributed = partial(_distributed, clients)
    monkeypatch.setattr(sfn, "_run_map_items", engine.map_items(sfn._run_map_items, distributed))
    monkeypatch.setattr(sfn, "_invoke_resource", call)
    monkeypatch.setattr(sfn, "_scaled_sleep", lambda seconds: None)
    monkeypatch.setattr(sfn, "_run_sub_machine", engine.sub_machine)
    for name, wrap in (
        ("_run_parallel_branches", engine.parallel),
        ("_execute_choice", engine.choice),
        ("_apply_output_path", engine.output_path),
        ("_error_matches", engine.error_matches),
    ):
        monkeypatch.setattr(sfn, name, wrap(getattr(sfn, name)))


def _distributed(clients: Any, *given: Any) -> Any:
    return distributed_map.DistributedMap(clients, *given).run()


def walk(machine: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The output; raises Failed with the error and the cause of a Fail state."""
    context = {
        "QueryLanguage": machine["QueryLanguage"],
        "Execution": {
            "Id": "arn:execution",
            "Name": "walk",
            "Input": given,
            "StartTime": "2026-03-02T10:00:00.000Z",
            "RedriveCount": 0,
            "RoleArn": "role",
        },
        "StateMachine": {"Id": "arn:machine", "Name": "walked"},
        "variables": {},
    }
    execution = {
        "executionArn": "arn:execution",
        "stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:Walked",
        "status": "RUNNING",
        "events": [],
    }
    return stepfunctions._run_sub_machine(machine["States"], machine["StartAt"], given, execution, context)


def called(resource: str, arguments: Mapping[str, Any]) -> str:
    """The action or, of a Lambda, the construct's name in its logical id: FunctionsPrepareRun..., WatchingPrepareWatch..."""
    action = resource.partition(":::")[2]
    if action == "lambda:invoke":
        name = str(arguments["FunctionName"])
        return name.removeprefix("Functions").removeprefix("Watching").partition("Function")[0]
    return action
