from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training_container.conftest import Pipeline
from training_container.evaluation.bootstrap import DeviceBootstrap
from training_container.evaluation.lead_time import lead_time
from training_container.split_file import Split


@pytest.fixture
def row(pipeline: Pipeline) -> Split:
    return Split.read(pipeline.features / "columnar", "test").take(np.array([0]))


def rows_of(row: Split, breach: str, *, device: list[int] | None = None, time: list[float] | None = None) -> Split:
    n = len(breach)
    return replace(
        row.take(np.zeros(n, np.int64)),
        breach=np.array([int(b) if b != "?" else -1 for b in breach], np.int8),
        risk=np.zeros(n, np.int8),
        device=np.array(device or [0] * n, np.int32),
        devices=np.array(["a", "b"]),
        time=np.array(time or [300.0 * i for i in range(n)]),
    )


def model_lead(rows: Split, warned: str) -> dict:
    levels = np.array([int(w) for w in warned])
    return lead_time(DeviceBootstrap(rows.device), rows, {"model": levels})


def test_the_lead_is_the_unbroken_warning_right_before_the_breach(row: Split):
    rows = rows_of(row, "00000000111")

    found = model_lead(rows, "10000111222")

    assert (found["onsets"], found["sustained"]) == (1, 1)
    assert found["forecasts"]["model"]["distribution"] == [0, 0, 0, 1, 0, 0, 0]
    assert found["forecasts"]["model"]["foreseen"] == 1


def test_a_warning_that_stopped_before_the_breach_was_none(row: Split):
    found = model_lead(rows_of(row, "000000001"), "111111100")

    assert found["forecasts"]["model"]["foreseen"] == 0
    assert found["sustained"] == 0


def test_a_lead_is_at_most_the_horizon(row: Split):
    assert model_lead(rows_of(row, "0000000001"), "1111111111")["forecasts"]["model"]["mean_intervals"] == 6


@pytest.mark.parametrize(
    "breach",
    ["000001", "0010000001"[:8], "?000001", "000?0001"],
    ids=["five quiet rows", "a breach half an hour ago", "too few known", "an unknown row between"],
)
def test_no_onset_without_six_known_quiet_rows_before_it(row: Split, breach: str):
    assert model_lead(rows_of(row, breach), "1" * len(breach))["onsets"] == 0


def test_rows_of_another_device_or_after_a_gap_do_not_count_as_before(row: Split):
    other = rows_of(row, "00000001", device=[0] * 4 + [1] * 4)
    gap = rows_of(row, "00000001", time=[0, 300, 600, 900, 1200, 9000, 9300, 9600])

    assert model_lead(other, "1" * 8)["onsets"] == 0
    assert model_lead(gap, "1" * 8)["onsets"] == 0


def test_false_alarms_are_warnings_before_a_half_hour_that_stayed_low(row: Split):
    rows = replace(rows_of(row, "000000011"), risk=np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int8))
    assert model_lead(rows, "001111111")["forecasts"]["model"]["false_alarms"] == pytest.approx(1 / 7)


def test_without_an_onset_nothing_is_claimed(row: Split):
    found = model_lead(rows_of(row, "000"), "111")["forecasts"]["model"]
    assert found["foreseen"] is None
    assert found["mean_intervals"] is None
    assert found["intervals"] == {}
