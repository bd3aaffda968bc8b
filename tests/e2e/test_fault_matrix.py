"""The fault matrix of the workflows on one deployment: each cell says what the user sees, and that nothing is lost, left
or there twice. `make test` tries cells that are chosen pairwise, `make faults` (FAULTS=all) every one.

Faults that an execution gets over are met several at once, each at a place of its own; one that ends the execution is met
alone, and with `make faults` the same execution without it follows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.execution import Execution
from local.faults.book import Book, Fault
from tests.e2e.served_models import ServedModels, ServingOptions
from tests.faults.attempts import failed_states
from tests.faults.cells import Cell, Place, cells_of, denied, rounds
from tests.faults.chosen import ALL, chosen
from tests.faults.outcomes import ending_of
from tests.faults.remains import Remains
from tests.faults.telling import tell
from tests.faults.ways import Walked, Walker, Way

pytestmark = pytest.mark.e2e
KINDS = ("risk", "performance") if ALL else ("risk",)
MACHINES = ("TrainModels", "PromoteModel")

RUN: Mapping[str, Any] = {
    "models": list(KINDS),
    "tuning": {"max_jobs": 1, "max_parallel_jobs": 1},
    "gate": {
        "min_accuracy": 0,
        "min_critical_recall": 0,
        "max_rmse": 100,
        "min_coverage": 0,
        "max_coverage": 1,
        "max_loss_to_live": 1,
    },
}
"""Of so few rows whatever beats persistence is promoted: what is tried is the way, not the quality."""
UNREACHED = ("AskContainer", "EndExperiment", "RestAgain")
"""An endpoint that is not as its stack, a running experiment and rest outside the serving hours: test_promotion_paths."""


def another(served: ServedModels) -> str:
    """A model package of the fixture that is not live."""
    live = served.live_package("risk")
    by_hand = [each for each in served.packages("risk") if each["ModelPackageDescription"] == "registered by hand"]
    return next(str(each["ModelPackageArn"]) for each in by_hand if each["ModelPackageArn"] != live)


def promotion_of(package: str) -> Mapping[str, Any]:
    return {"kind": "risk", "model_package_arn": package, "reason": "a cell of the fault matrix"}


SYNTHETIC = Way(
    name="a generated fleet",
    machine="TrainModels",
    given=lambda _: {**RUN, "source": {"kind": "synthetic", "records": 3000, "seed": 2}},
)
POINT_IN_TIME = Way(
    name="a point in time by two instances, refused by the gate",
    machine="TrainModels",
    given=lambda _: {
        **RUN,
        "source": {"kind": "dynamodb", "device_prefix": "synthetic-"},
        "gate": {"min_accuracy": 1},
        "plan": {"export": "point_in_time", "segments": 2, "processing_instances": 2},
    },
)
FAILING_RUN = Way(
    name="a run that fails",
    machine="TrainModels",
    given=SYNTHETIC.given,
    before=(denied("no-splits", caller=" KeepSplits "),),
    begins_at="KeepSplits",
)
FAILING_BRANCH = Way(
    name="a branch that fails",
    machine="TrainModels",
    given=SYNTHETIC.given,
    before=tuple(denied(f"no-best-{kind}", caller=f" Best{kind.title()} ") for kind in KINDS),
    begins_at="TrainEachModel",
)
UNCHANGED = Way(
    name="what is live promoted",
    machine="PromoteModel",
    given=lambda served: promotion_of(served.live_package("risk")),
    passes_by=("UpdateStack",),
)
REPLACED = Way(name="another promoted", machine="PromoteModel", given=lambda served: promotion_of(another(served)))
REFUSED = Way(
    name="a promotion taken back",
    machine="PromoteModel",
    given=REPLACED.given,
    before=(Fault(id="unverified", where="function", name="verify_endpoint", what="crashes"),),
)
FAILING_UPDATE = Way(
    name="a promotion that fails",
    machine="PromoteModel",
    given=REPLACED.given,
    before=(denied("no-update", caller=" UpdateStack "),),
)
UNANSWERED = Way(
    name="an update without an answer",
    machine="PromoteModel",
    given=REPLACED.given,
    before=(Fault(id="unanswered", where="call", name="*", what="crashes", caller=" UpdateStack "),),
)
WAYS = (
    SYNTHETIC, POINT_IN_TIME, FAILING_RUN, FAILING_BRANCH, UNCHANGED, REPLACED, REFUSED, FAILING_UPDATE, UNANSWERED,
)  # fmt: skip
BESIDE_A_RUN = {FAILING_RUN.name: SYNTHETIC.name, FAILING_BRANCH.name: SYNTHETIC.name}
"""Whose entries a way begins with."""


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=KINDS, faults=True, wait_scale=0.02, record_calls=False)


@dataclass
class Matrix:
    """The cells of the deployment, by the way that comes to their places."""

    walker: Walker
    cells: Mapping[str, Sequence[Cell]]
    unreached: frozenset[str]

    @property
    def served(self) -> ServedModels:
        return self.walker.served

    def going_on(self) -> Iterator[tuple[Walked, list[Cell]]]:
        for way, cells in self.cells.items():
            for round_ in rounds([cell for cell in cells if ending_of(cell).goes_on]):
                yield self.walker.walked[way], round_

    def ending(self) -> Iterator[tuple[Walked, Cell]]:
        for way, cells in self.cells.items():
            yield from ((self.walker.walked[way], cell) for cell in cells if not ending_of(cell).goes_on)


@pytest.fixture(scope="module")
def matrix(served: ServedModels) -> Matrix:
    return walk_all(served)


def walk_all(served: ServedModels) -> Matrix:
    """Every way once, without a fault of its own; then the cells of what they have come to."""
    served.register("risk")
    walker = Walker(served, Book(served.cloud.settings.state_dir))
    places = {machine: {place.task: place for place in walker.places(machine)} for machine in MACHINES}
    found: dict[str, list[Place]] = {}
    for way in WAYS:
        walked = walker.walk(way, entries_of=BESIDE_A_RUN.get(way.name, ""))
        new = (walked.reached - set(way.passes_by)) & places[way.machine].keys()
        found[way.name] = [places[way.machine].pop(task) for task in sorted(new)]
    cells = {way: cells_of(met) for way, met in found.items()}
    # What an execution gets over comes first, as one execution meets many of those.
    every = sorted((cell for each in cells.values() for cell in each), key=lambda cell: not ending_of(cell).goes_on)
    tried = set(chosen(every))
    cells = {way: [cell for cell in each if cell in tried] for way, each in cells.items()}
    return Matrix(walker, cells, frozenset(task for left in places.values() for task in left))


def test_every_task_has_cells_but_those_that_another_test_walks(matrix: Matrix):
    other_kinds = {"performance"} - set(KINDS)
    unreached = {task for task in matrix.unreached if not any(kind.title() in task for kind in other_kinds)}

    assert unreached == set(UNREACHED)


def test_an_execution_gets_over_what_can_be_asked_again(matrix: Matrix):
    lost = []
    for walked, round_ in matrix.going_on():
        before = Remains.settled(matrix.served)
        met, unstruck = meet(matrix, walked, round_)
        found = [f"{cell} did not strike" for cell in unstruck] + list(differences(walked, met))
        found += left(before, Remains.settled(matrix.served), packages=registered_by(walked.clean))
        for cell in round_:
            tell_cell(matrix.served, cell, met, kept=not found)
        if found:
            lost.append((walked.way.name, [cell.id for cell in round_], found))

    assert lost == []


def test_what_ends_an_execution_says_so_and_leaves_nothing(matrix: Matrix):
    lost = []
    for walked, cell in matrix.ending():
        before = Remains.settled(matrix.served)
        met, unstruck = meet(matrix, walked, [cell])
        after = Remains.settled(matrix.served)
        found = [f"{each} did not strike" for each in unstruck]
        ending = ending_of(cell)
        if not re.search(ending.says, told(met)) or (ending.succeeds and met.status != "SUCCEEDED"):
            found.append(f"ended as {met.status}, saying {told(met)!r}")
        registered = min(max(after.packages - before.packages, 0), registered_by(walked.clean))
        found += left(before, after, packages=registered, named=ending.left)
        if ALL:
            found += differences(walked, matrix.walker.meet(walked, (), places=[cell.place]))
        tell_cell(matrix.served, cell, met, kept=not found)
        if found:
            lost.append((walked.way.name, cell.id, found))

    assert lost == []


def test_the_next_executions_end_as_the_clean_ones(matrix: Matrix):
    for name in (SYNTHETIC.name, REPLACED.name):
        walked = matrix.walker.walked[name]
        before = Remains.settled(matrix.served)
        met = matrix.walker.meet(walked, ())

        assert list(differences(walked, met)) == []
        assert left(before, Remains.settled(matrix.served), packages=registered_by(walked.clean)) == []


def meet(matrix: Matrix, walked: Walked, cells: Sequence[Cell]) -> tuple[Execution, list[str]]:
    """The execution that met the faults, and the cells whose fault it did not meet."""
    faults = tuple(fault for cell in cells for fault in cell.faults())
    met = matrix.walker.meet(walked, faults, places=[cell.place for cell in cells])
    struck = matrix.walker.struck
    return met, [cell.id for cell in cells if not any(struck[fault.id] for fault in cell.faults())]


def differences(walked: Walked, met: Execution) -> Iterator[str]:
    """What a user sees otherwise than after the clean execution."""
    clean = walked.clean
    if met.status != clean.status or met.error != clean.error:
        yield f"ended as {met.status} ({met.error}: {met.cause}), not as {clean.status} ({clean.error})"
    elif (seen := outcomes(met)) != (expected := outcomes(clean)):
        yield f"came to {seen}, not to {expected}"


def outcomes(execution: Execution) -> Mapping[str, Any]:
    """Of a training each model's status and metrics, of a promotion what it did."""
    models = execution.output.get("models", {})
    of_models = {kind: (model["status"], model.get("metrics")) for kind, model in models.items()}
    return of_models or {
        "status": execution.output.get("status"),
        "replaced": len(execution.output.get("replaced", [])),
    }


def registered_by(execution: Execution) -> int:
    return sum("model_package_arn" in model for model in execution.output.get("models", {}).values())


def left(before: Remains, after: Remains, *, packages: int, named: tuple[int, int] = (0, 0)) -> list[str]:
    expected = replace(
        before,
        packages=before.packages + packages,
        configurations=before.configurations + named[0],
        models=before.models + named[1],
    )
    return [] if after == expected else [f"left {after}, not {expected}"]


def told(execution: Execution) -> str:
    """What a user reads who asks why: the cause, and what the output says of the parts."""
    output = execution.output
    parts = [*output.get("models", {}).values(), *output.get("replaced", [])]
    causes = [output.get("unrecorded"), *(part.get("cause") for part in parts)]
    return " ".join(filter(None, [execution.error, execution.cause, *causes]))


def tell_cell(served: ServedModels, cell: Cell, met: Execution, *, kept: bool) -> None:
    failed = failed_states(served.cloud.client("stepfunctions"), met.arn).count(cell.place.task)
    tell(cell.id, cell.place.group, status=met.status, error=met.error, cause=told(met), struck=failed, kept=kept)
