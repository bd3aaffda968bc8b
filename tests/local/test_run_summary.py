from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.run import RunRecord, summary

PLAN = {
    "processing_instances": 1,
    "processing_instance_type": "ml.m5.xlarge",
    "training_instances": 1,
    "training_instance_type": "ml.m5.xlarge",
    "external_memory": False,
}


def told(output: dict[str, Any]) -> list[str]:
    record = RunRecord(steps=[], execution={"output": output}, without_token={"status": 401})
    return [line for line in summary(record, Path("build")).splitlines() if line.startswith("plan")]


def test_a_small_run_says_nothing_of_its_plan() -> None:
    assert told({"plan": PLAN}) == []
    assert told({"plan": None}) == []
    assert told({}) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"processing_instances": 2}, "plan: processing on 2 x ml.m5.xlarge, training on 1 x ml.m5.xlarge"),
        (
            {"training_instances": 3, "training_instance_type": "ml.m5.4xlarge"},
            "plan: processing on 1 x ml.m5.xlarge, training on 3 x ml.m5.4xlarge",
        ),
        (
            {"external_memory": True},
            "plan: processing on 1 x ml.m5.xlarge, training on 1 x ml.m5.xlarge, its rows paged from disk",
        ),
    ],
)
def test_a_larger_plan_is_a_line_of_the_summary(changes: dict[str, Any], line: str) -> None:
    assert told({"plan": PLAN | changes}) == [line]
