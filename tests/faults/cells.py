"""Places x faults, read from a deployed definition so that a new task gets its cells by itself, and a choice of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.faults.book import Fault, What

FUNCTION_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "garbage", "denied", "twice")
CALL_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "denied", "twice")
EXECUTION_FAULTS: Final[tuple[What, ...]] = ("throttled", "crashes", "denied", "twice")
"""Of an execution that is waited for: it has a limit of its own, before that of the task."""
JOB_FAULTS: Final[tuple[What, ...]] = ("throttled", "times_out", "crashes", "lost", "disk_full", "denied")
WITHOUT_CALLS: Final = ("summarize_run", "describe_failure")
"""Functions that ask AWS for nothing, so that no permission can be missing; describe_failure does for some failures alone,
and tells what it was given when it is refused (tests/lambdas/test_describe_failure.py)."""
JOBS: Final = {
    "Generate": "generate",
    "Engineer": "engineer",
    "Merge": "merge",
    "Tune": "train",
    "Evaluate": "evaluate",
}
"""What a job's container is told first, by how its task's name begins."""
EVERY_TIME: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Place:
    """A task of a workflow: `function` is the Lambda's folder and `role_session` its deployed name, or `action` the call
    that it makes and perhaps `waits` for. `begins_at` is the state of the workflow itself that it stands in."""

    machine: str
    task: str
    begins_at: str = ""
    function: str = ""
    role_session: str = ""
    action: str = ""
    job: str = ""
    waits: bool = False

    @property
    def faults(self) -> tuple[What, ...]:
        """Those that apply."""
        if self.job:
            return JOB_FAULTS
        if self.function:
            return tuple(what for what in FUNCTION_FAULTS if what != "denied" or self.function not in WITHOUT_CALLS)
        return EXECUTION_FAULTS if self.waits else CALL_FAULTS

    @property
    def group(self) -> str:
        """What answers in the same way."""
        if self.job or self.function:
            return "job" if self.job else "function"
        if self.waits:
            return "execution"
        return "update" if self.action == "cloudformation:UpdateStack" else "call"


@dataclass(frozen=True, kw_only=True)
class Cell:
    place: Place
    what: What

    @property
    def id(self) -> str:
        return f"{self.place.machine}-{self.place.task}-{self.what}"

    @property
    def covers(self) -> set[tuple[str, str]]:
        """The function or the action that its place calls, and the fault of its group of places."""
        return {("called", self.place.function or self.place.action), (self.place.group, self.what)}

    def faults(self) -> list[Fault]:
        """As the injector has them: of a call the first that the task makes; a task that times out is given a second, and
        its call answers later."""
        place, name, caller = self.place, f"{self.id}-call", f" {self.place.task} "
        if self.what == "denied":
            return [denied(self.id, caller=f"/{place.role_session} " if place.function else caller)]
        if place.function:
            return [Fault(id=self.id, where="function", name=place.function, what=self.what)]
        if place.job and self.what != "throttled":
            return [Fault(id=self.id, where="job", name=place.job, what=self.what)]
        call = Fault(id=name, where="call", name="*", what=self.what, caller=caller)
        if self.what != "times_out":
            return [call]
        return [Fault(id=self.id, where="task", name=place.task, what="times_out"), call]


def denied(cell: str, *, caller: str) -> Fault:
    """A permission stays away until somebody gives it, however often it is asked for."""
    return Fault(id=cell, where="call", name="*", what="denied", caller=caller, times=EVERY_TIME)


@dataclass(frozen=True)
class Deployed:
    """A function as the definitions name it: its folder in lambdas/, and its name."""

    folder: str
    name: str


def places_of(machine: str, definition: Mapping[str, Any], functions: Mapping[str, Deployed]) -> list[Place]:
    """`functions` by their ARNs. Every task, also those of branches and maps."""
    return [
        _place(machine, task, outer, state, functions)
        for outer, top in definition["States"].items()
        for task, state in _tasks_of(outer, top)
    ]


def _tasks_of(name: str, state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if state["Type"] == "Task":
        yield name, state
    for inner in (*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])):
        for each, inside in inner["States"].items():
            yield from _tasks_of(each, inside)


def _place(machine: str, task: str, outer: str, state: Mapping[str, Any], functions: Mapping[str, Deployed]) -> Place:
    resource = state["Resource"].partition(":::")[2].removesuffix(".sync:2").removesuffix(".sync")
    if resource == "lambda:invoke":
        function = functions[state["Arguments"]["FunctionName"]]
        return Place(machine=machine, task=task, begins_at=outer, function=function.folder, role_session=function.name)
    service, action = resource.removeprefix("aws-sdk:").split(":")
    service = {"sfn": "states"}.get(service, service)
    is_job = resource.startswith("sagemaker:create")
    job = next(job for verb, job in JOBS.items() if task.startswith(verb)) if is_job else ""
    called = f"{service}:{action[0].upper()}{action[1:]}"
    return Place(
        machine=machine, task=task, begins_at=outer, action=called, job=job, waits=".sync" in state["Resource"]
    )


def cells_of(places: Sequence[Place]) -> list[Cell]:
    """All that apply."""
    return [Cell(place=place, what=what) for place in places for what in place.faults]


def rounds(cells: Sequence[Cell]) -> list[list[Cell]]:
    """As few executions as may meet all of them: each meets a fault at every place at most once, of a function or a job
    that several tasks share also once. One of an update is met alone, as the way from there depends on what came of it."""
    made: list[tuple[list[Cell], set[str]]] = []
    alone: list[list[Cell]] = []
    for cell in cells:
        if cell.place.group == "update":
            alone.append([cell])
            continue
        touched = {cell.place.task, cell.place.function or cell.place.job or cell.place.task}
        round_, taken = next((each for each in made if not each[1] & touched), ([], set()))
        if not round_:
            made.append((round_, taken))
        round_.append(cell)
        taken |= touched
    return [*(round_ for round_, _ in made), *alone]
