"""How the matrix comes to a task: executions that enter it by themselves or because another fault was met first, begun
at the start or, to save what came before, at a state with what it was entered with."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from local.execution import Execution, run_execution
from local.faults.book import Book, Fault
from local.faults.tasks import ENTRIES_FILE
from tests.e2e.served_models import ServedModels
from tests.faults.cells import Deployed, Place, places_of

BEGINS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "FindPreviousSplits": ("FindPreviousSplits", ("raw_prefix",)),
    "EngineerFeatures": ("FindPreviousSplits", ("raw_prefix",)),
    "MergeFeatures": ("FindPreviousSplits", ("raw_prefix",)),
    "KeepSplits": ("FindPreviousSplits", ("raw_prefix",)),
    "TrainEachModel": ("TrainEachModel", ("raw_prefix", "features_prefix")),
    "Summarize": ("Summarize", ("raw_prefix", "features_prefix")),
    "Notify": ("Notify", ("raw_prefix", "features_prefix")),
}
"""Where an execution begins that is to fail at or in a state of TrainModels, and which places of its run it reads that an
earlier execution has written; everything else is new, by a run id of its own. The others begin at the start: what comes
before is quick, or has a Distributed Map, which a machine may start of itself alone."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Executions of `machine` with `given`, which meet `before` first; `passes_by` are tasks that another way tries."""

    name: str
    machine: str
    given: Callable[[ServedModels], Mapping[str, Any]]
    before: tuple[Fault, ...] = ()
    passes_by: tuple[str, ...] = ()
    begins_at: str = ""


@dataclass
class Walked:
    """A way after its first, clean execution."""

    way: Way
    clean: Execution
    reached: frozenset[str]
    entries: Mapping[str, Mapping[str, Any]]
    """What each state was first entered with: its input and the variables."""


@dataclass
class Walker:
    """Executes ways on one deployment."""

    served: ServedModels
    book: Book
    walked: dict[str, Walked] = field(default_factory=dict)
    machines: dict[tuple[str, str], str] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    """How often each fault of the last execution has struck."""

    def walk(self, way: Way, *, entries_of: str = "") -> Walked:
        """The clean execution; a way that begins elsewhere does so with the entries of another."""
        offset = self._entries_file.stat().st_size if self._entries_file.exists() else 0
        entries = self.walked[entries_of].entries if entries_of else {}
        clean = self._execute(way, entries, way.begins_at, ())
        entered = self._entered_since(offset)
        first = {entry["state"]: entry for entry in reversed(entered) if entry["execution"] == clean.arn}
        self.walked[way.name] = Walked(way, clean, frozenset(entry["state"] for entry in entered), entries or first)
        return self.walked[way.name]

    def meet(self, walked: Walked, faults: tuple[Fault, ...], *, places: Sequence[Place] = ()) -> Execution:
        """The same execution with faults; if it is about certain places alone, begun as near to the first as may be."""
        begins = walked.way.begins_at
        if places and not begins:
            order = ["", *BEGINS]
            begins = min((BEGINS.get(place.begins_at, ("",))[0] for place in places), key=order.index)
        return self._execute(walked.way, walked.entries, begins, faults)

    def _execute(
        self, way: Way, entries: Mapping[str, Mapping[str, Any]], begins_at: str, faults: tuple[Fault, ...]
    ) -> Execution:
        """Every fault under an id of its own, as one strikes only so often as it says, whenever it was armed."""
        execution = uuid.uuid4().hex
        armed = {fault.id: replace(fault, id=f"{fault.id} {execution}") for fault in (*way.before, *faults)}
        self.book.arm(list(armed.values()))
        try:
            state, kept = BEGINS.get(begins_at, ("", ()))
            if not state:
                return self.served.execute(way.machine, way.given(self.served))
            return self._from(way.machine, state, of_a_new_run(entries[state], kept))
        finally:
            self.book.arm([])
            self.struck = {name: self.book.struck(fault.id) for name, fault in armed.items()}

    def _from(self, machine: str, state: str, entry: Mapping[str, Any]) -> Execution:
        if (machine, state) not in self.machines:
            self.machines[machine, state] = self._made(machine, state, tuple(entry["variables"]))
        return run_execution(
            self.served.cloud.client("stepfunctions"),
            state_machine_arn=self.machines[machine, state],
            execution_input={"input": entry["input"], "variables": entry["variables"]},
        )

    def _made(self, machine: str, state: str, variables: tuple[str, ...]) -> str:
        """The deployed machine with another beginning."""
        described = self.described(machine)
        definition = copy.deepcopy(described["definition"])
        definition["States"]["BeginHere"] = {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Assign": {name: f"{{% $states.input.variables.{name} %}}" for name in variables},
            "Output": "{% $states.input.input %}",
            "Next": state,
        }
        definition["StartAt"] = "BeginHere"
        made = self.served.cloud.client("stepfunctions").create_state_machine(
            name=f"{machine}From{state}", definition=json.dumps(definition), roleArn=described["roleArn"]
        )
        return str(made["stateMachineArn"])

    def described(self, machine: str) -> dict[str, Any]:
        states = self.served.cloud.client("stepfunctions")
        arn = self.served.deployment[f"IopsTraining.{machine}Arn"]
        described: dict[str, Any] = states.describe_state_machine(stateMachineArn=arn)
        return {**described, "definition": json.loads(described["definition"])}

    def places(self, machine: str) -> list[Place]:
        """Those of the machine as it is deployed."""
        return places_of(machine, self.described(machine)["definition"], self._functions())

    def _functions(self) -> Mapping[str, Deployed]:
        pages = self.served.cloud.client("lambda").get_paginator("list_functions").paginate()
        functions = [function for page in pages for function in page["Functions"]]
        return {
            each["FunctionArn"]: Deployed(each["Handler"].split(".")[1], each["FunctionName"])
            for each in functions
            if each["Handler"].count(".") > 1
        }

    @property
    def _entries_file(self) -> Path:
        return self.served.cloud.settings.state_dir / ENTRIES_FILE

    def _entered_since(self, offset: int) -> list[dict[str, Any]]:
        with self._entries_file.open() as file:
            file.seek(offset)
            return [json.loads(line) for line in file]


def of_a_new_run(entry: Mapping[str, Any], kept: tuple[str, ...]) -> dict[str, Any]:
    """What a state is entered with, of a run with another id that reads `kept` places of the old one."""
    run = entry["variables"]["run"]
    new = uuid.uuid4().hex[: len(run["run_id"])]
    renamed: dict[str, Any] = json.loads(json.dumps(entry).replace(run["run_id"], new))
    renamed["variables"]["run"].update({name: run[name] for name in kept})
    if "raw_prefix" in kept:
        renamed["variables"]["manifest"] = entry["variables"]["manifest"]
    return renamed
