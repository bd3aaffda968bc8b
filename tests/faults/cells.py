"""Places x faults, read from a deployed definition so that a new task gets its cells by itself, and a choice of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.faults.book import Fault, What

FUNCTION_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "garbage", "twice")
CALL_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "twice")
JOB_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "disk_full")
JOBS: Final = {
    "Generate": "generate",
    "Engineer": "engineer",
    "Merge": "merge",
    "Tune": "train",
    "Evaluate": "evaluate",
}
"""What a job's container is told first, by how its task's name begins."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A task of a workflow: `function` is the Lambda's folder, or `action` the call that it makes."""

    machine: str
    task: str
    function: str = ""
    action: str = ""
    job: str = ""

    @property
    def faults(self) -> tuple[What, ...]:
        """Those that apply."""
        return JOB_FAULTS if self.job else FUNCTION_FAULTS if self.function else CALL_FAULTS

    @property
    def group(self) -> str:
        if self.job:
            return "job"
        return "function" if self.function else self.action.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Cell:
    place: Place
    what: What

    @property
    def id(self) -> str:
        return f"{self.place.machine}-{self.place.task}-{self.what}"

    def faults(self) -> list[Fault]:
        """As the injector has them; a task that times out is given a second, and its call answers later."""
        place, name = self.place, f"{self.id}-call"
        if place.function:
            return [Fault(id=self.id, where="function", name=place.function, what=self.what)]
        if place.job and self.what != "throttled":
            return [Fault(id=self.id, where="job", name=place.job, what=self.what)]
        call = Fault(id=name, where="call", name=place.action, what=self.what, caller=f" {place.task} ")
        if self.what != "times_out":
            return [call]
        return [Fault(id=self.id, where="task", name=place.task, what="times_out"), call]


def tasks_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Task, also those of branches and maps, by name."""
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            yield name, state
        for inner in (*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])):
            yield from tasks_of(inner)


def places_of(machine: str, definition: Mapping[str, Any], folders: Mapping[str, str]) -> list[Place]:
    """`folders`: the folder in lambdas/ of each function's ARN."""
    return [_place(machine, name, state, folders) for name, state in tasks_of(definition)]


def _place(machine: str, name: str, state: Mapping[str, Any], folders: Mapping[str, str]) -> Place:
    resource = state["Resource"].partition(":::")[2].removesuffix(".sync:2").removesuffix(".sync")
    if resource == "lambda:invoke":
        return Place(machine=machine, task=name, function=folders[state["Arguments"]["FunctionName"]])
    service, action = resource.removeprefix("aws-sdk:").split(":")
    service = {"sfn": "states"}.get(service, service)
    is_job = resource.startswith("sagemaker:create")
    job = next(job for verb, job in JOBS.items() if name.startswith(verb)) if is_job else ""
    return Place(machine=machine, task=name, action=f"{service}:{action[0].upper()}{action[1:]}", job=job)


def cells_of(places: Sequence[Place]) -> list[Cell]:
    """All that apply."""
    return [Cell(place=place, what=what) for place in places for what in place.faults]


def pairwise(cells: Sequence[Cell]) -> list[Cell]:
    """The fewest, in order, by which every place meets a fault, and every group of places every fault that applies to it:
    the cell with most of what is missing comes next."""
    missing = set(itertools.chain.from_iterable(_covered(cell) for cell in cells))
    chosen: list[Cell] = []
    while missing:
        best = max(cells, key=lambda cell: len(_covered(cell) & missing))
        chosen.append(best)
        missing -= _covered(best)
    return chosen


def _covered(cell: Cell) -> set[tuple[str, str]]:
    return {("place", cell.place.task), (cell.place.group, cell.what)}
