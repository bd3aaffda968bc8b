"""Cells of the fault matrix on one deployment: each says what the user sees, and that the next run ends as a clean one.
`make faults` runs all of them (FAULTS=all), with FAULTS=pairwise those chosen so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.execution import Execution, history
from local.faults.book import Book
from tests.e2e.served_models import ServedModels, ServingOptions
from tests.faults.cells import Cell, cells_of, pairwise, places_of
from tests.faults.remains import Remains

pytestmark = pytest.mark.e2e
ALL = os.environ.get("FAULTS") == "all"

UNREACHED = (
    # A promotion that succeeds enters none of these; test_promotion_paths walks them.
    "AskContainer", "RollBack", "DescribeStackRolledBack", "DescribeLiveRefused", "DescribeLiveConfigRefused",
    "DescribeReplacedRefused", "DeleteReplacedConfigRefused", "DeleteReplacedModelRefused", "RestAgain",
    "EndExperiment", "DescribeFailure", "DescribeStackUnanswered",
)  # fmt: skip
REPLACES = ("UpdateStack", "DescribeReplaced", "DeleteReplacedConfig", "DeleteReplacedModel")
"""Tasks whose cells replace what is live; the others promote it again, which needs no update and is quick."""
UNTIL_FEATURES = (
    "PrepareRun", "GenerateInsights", "ListGenerated", "IngestInsights", "ExportSegment", "WriteManifest",
    "FindPreviousSplits", "EngineerFeatures", "KeepSplits",
)  # fmt: skip
RUN: Mapping[str, Any] = {
    "source": {"kind": "synthetic", "records": 2000, "seed": 2},
    "models": ["risk"],
    "tuning": {"max_jobs": 1, "max_parallel_jobs": 1},
    "promote": False,
}


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=("risk",), faults=True, wait_scale=0.02, record_calls=False)


@pytest.fixture(scope="module")
def book(served: ServedModels) -> Book:
    return Book(served.cloud.settings.state_dir)


def test_a_promotion_that_meets_a_fault_is_repeated_to_the_state_of_a_clean_one(served: ServedModels, book: Book):
    packages = [served.register("risk") for _ in range(2)]
    for package in packages:
        served.make_live("risk", package)
    live, lost = packages[-1], []
    for cell in chosen(served, "PromoteModel", lambda task: task not in UNREACHED):
        package = next(each for each in packages if each != live) if cell.place.task in REPLACES else live
        clean = Remains.of(served)
        met, struck = meet(served, book, cell, "PromoteModel", promotion_of(package))
        again = served.promote("risk", package)
        after, live = Remains.of(served), served.live_package("risk")
        kept = struck > 0 and again.status == "SUCCEEDED" and after == clean and live == package
        tell(served, cell, met, kept=kept)
        if not kept:
            lost.append((cell.id, struck, again.status, again.cause, clean, after))

    assert lost == []


def test_a_training_that_meets_a_fault_leaves_nothing_and_the_next_ends_as_a_clean_one(
    served: ServedModels, book: Book
):
    first = served.execute("TrainModels", RUN)
    assert first.status == "SUCCEEDED", first.cause
    clean, lost = Remains.of(served), []
    for cell in chosen(served, "TrainModels", lambda task: task in UNTIL_FEATURES):
        met, struck = meet(served, book, cell, "TrainModels", RUN)
        after = replace(Remains.of(served), packages=clean.packages)  # a run that got over its fault registers a model
        kept = struck > 0 and after == clean and (met.status == "SUCCEEDED" or bool(met.cause))
        tell(served, cell, met, kept=kept)
        if not kept:
            lost.append((cell.id, struck, met.status, met.cause, clean, after))
    last = served.execute("TrainModels", RUN)

    assert lost == []
    assert last.status == "SUCCEEDED", last.cause
    assert last.output["models"]["risk"]["metrics"] == first.output["models"]["risk"]["metrics"]


def chosen(served: ServedModels, machine: str, is_reached: Callable[[str], bool]) -> list[Cell]:
    """The cells of a machine as it is deployed, so that a new task has its own."""
    states = served.cloud.client("stepfunctions")
    described = states.describe_state_machine(stateMachineArn=served.deployment[f"IopsTraining.{machine}Arn"])
    places = places_of(machine, json.loads(described["definition"]), folders(served))
    cells = cells_of([place for place in places if is_reached(place.task)])
    return cells if ALL else pairwise(cells)


def folders(served: ServedModels) -> Mapping[str, str]:
    """The folder in lambdas/ of each function's ARN."""
    pages = served.cloud.client("lambda").get_paginator("list_functions").paginate()
    functions = [function for page in pages for function in page["Functions"]]
    return {each["FunctionArn"]: each["Handler"].split(".")[1] for each in functions if each["Handler"].count(".") > 1}


def promotion_of(package: str) -> Mapping[str, Any]:
    return {"kind": "risk", "model_package_arn": package, "reason": "a cell of the fault matrix"}


def meet(served: ServedModels, book: Book, cell: Cell, machine: str, given: Mapping[str, Any]) -> tuple[Execution, int]:
    """The execution that met the cell's fault, and how often that struck."""
    faults = cell.faults()
    book.arm(faults)
    try:
        met = served.execute(machine, given)
    finally:
        book.arm([])
    return met, sum(book.struck(fault.id) for fault in faults)


def tell(served: ServedModels, cell: Cell, met: Execution, *, kept: bool) -> None:
    """A line of the matrix; with `make faults` also in build/faults.json."""
    line = json.dumps(
        {
            "cell": cell.id,
            "group": cell.place.group,
            "status": met.status,
            "error": met.error,
            "cause": met.cause,
            "failed_attempts": failed_attempts(served, met, cell.place.task),
            "kept": kept,
        }
    )
    print(line, flush=True)
    if ALL:
        with Path("build/faults.json").open("a") as file:
            file.write(line + "\n")


def failed_attempts(served: ServedModels, execution: Execution, task: str) -> int:
    """How often the task failed; after each but perhaps the last it was tried again."""
    failed, entered = 0, ""
    for event in history(served.cloud.client("stepfunctions"), execution.arn):
        if details := event.get("stateEnteredEventDetails"):
            entered = details["name"]
        failed += event["type"] == "TaskFailed" and entered == task
    return failed
