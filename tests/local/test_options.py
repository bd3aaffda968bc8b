from __future__ import annotations

from pathlib import Path

import pytest

from local.options import InvalidOption, RunOptions


def test_an_empty_environment_is_the_full_default_run():
    options = RunOptions.from_environment({})

    assert options.execution_input()["tuning"] == {"max_jobs": 50, "max_parallel_jobs": 5}
    assert "gate" not in options.execution_input()


def test_synthetic_insights_ask_the_workflow_to_generate_them():
    options = RunOptions.from_environment({"INSIGHTS": "synthetic", "RECORDS": "2000", "SEED": "3"})

    assert options.execution_input()["source"] == {"kind": "synthetic", "records": 2000, "seed": 3}


def test_a_file_of_insights_is_trained_on_from_the_table(tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.touch()

    options = RunOptions.from_environment({"INSIGHTS": str(file)})

    assert options.insights == file
    assert options.execution_input()["source"] == {"kind": "dynamodb"}


def test_gate_values_that_were_given_reach_the_execution():
    options = RunOptions.from_environment({"GATE_MIN_ACCURACY": "0.8", "GATE_MAX_RMSE": "12.5"})

    assert options.execution_input()["gate"] == {"min_accuracy": 0.8, "max_rmse": 12.5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSIGHTS", "no/such/file.jsonl"),
        ("RECORDS", "12"),
        ("SEED", "-1"),
        ("GATE_MIN_ACCURACY", "90%"),
        ("GATE_MIN_ACURACY", "0.9"),
        ("GATE_MIN_ACCURACY", "nan"),
        ("GATE_MAX_RMSE", "-3"),
        ("GATE_MIN_COVERAGE", "0.95"),
        ("GATE_MIN_CRITICAL_ROWS", "2.5"),
        ("TUNING_JOBS", "751"),
        ("TUNING_PARALLEL", "0"),
        ("CLOUD_PORT", "http"),
        ("CLOUD_PORT", "65536"),
    ],
)
def test_a_wrong_value_is_refused_by_variable_and_value(name: str, value: str):
    with pytest.raises(InvalidOption, match=name) as refused:
        RunOptions.from_environment({name: value})
    assert value in str(refused.value)
