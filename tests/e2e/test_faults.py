"""Cells of the fault matrix on one deployment: each says what the user sees, and that the next run ends as a clean one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.execution import Execution, history
from local.faults.book import Book
from tests.e2e.served_models import ServedModels, ServingOptions
from tests.faults.cells import Cell, cells_of, pairwise, places_of
from tests.faults.remains import Remains

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=("risk",), faults=True, wait_scale=0.02, record_calls=False)


@pytest.fixture(scope="module")
def book(served: ServedModels) -> Book:
    return Book(served.cloud.settings.state_dir)


def deployed(served: ServedModels, machine: str) -> dict[str, Any]:
    states = served.cloud.client("stepfunctions")
    described = states.describe_state_machine(stateMachineArn=served.deployment[f"IopsTraining.{machine}Arn"])
    definition: dict[str, Any] = json.loads(described["definition"])
    return definition


def folders(served: ServedModels) -> Mapping[str, str]:
    pages = served.cloud.client("lambda").get_paginator("list_functions").paginate()
    functions = [function for page in pages for function in page["Functions"]]
    return {each["FunctionArn"]: each["Handler"].split(".")[1] for each in functions if each["Handler"].count(".") > 1}


def tried_again(served: ServedModels, execution: Execution, task: str) -> int:
    """How often the task was scheduled after it had failed."""
    events = list(history(served.cloud.client("stepfunctions"), execution.arn))
    return sum(event["type"] == "TaskFailed" for event in events)


UNREACHED = frozenset(
    {
        # Of a promotion that succeeds none of these is entered; test_promotion_paths walks them.
        "AskContainer", "RollBack", "DescribeStackRolledBack", "DescribeLiveRefused", "DescribeLiveConfigRefused",
        "DescribeReplacedRefused", "DeleteReplacedConfigRefused", "DeleteReplacedModelRefused", "RestAgain",
        "EndExperiment", "DescribeFailure",
    }
)  # fmt: skip


REPLACES = frozenset({"UpdateStack", "DescribeReplaced", "DeleteReplacedConfig", "DeleteReplacedModel"})
"""Tasks of a promotion that changes what is live."""


def chosen(served: ServedModels) -> list[Cell]:
    places = places_of("PromoteModel", deployed(served, "PromoteModel"), folders(served))
    return pairwise(cells_of([place for place in places if place.task not in UNREACHED]))


def test_a_promotion_that_meets_a_fault_is_repeated_to_the_state_of_a_clean_one(served: ServedModels, book: Book):
    packages = [served.register("risk") for _ in range(2)]
    for package in packages:
        served.make_live("risk", package)
    lost = []
    live = packages[-1]
    for cell in chosen(served):
        # To what is live already the stack has no update, which makes most cells quick; the others replace a model.
        package = next(each for each in packages if each != live) if cell.place.task in REPLACES else live
        clean = Remains.of(served)
        book.arm(cell.faults())
        met = served.promote("risk", package)
        book.arm([])
        struck = sum(book.struck(fault.id) for fault in cell.faults())
        again = served.promote("risk", package)
        after = Remains.of(served)
        live = served.live_package("risk")
        print(
            cell.id, met.status, met.error, met.cause[:160], "failed tasks", tried_again(served, met, cell.place.task)
        )
        if not struck or again.status != "SUCCEEDED" or after != clean or live != package:
            lost.append((cell.id, struck, again.status, again.cause, clean, after))
    assert lost == []
