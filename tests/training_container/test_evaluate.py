from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.training_container.conftest import Pipeline
from training_container.evaluate import cannot_be_judged
from training_container.metrics import expected_calibration_error, interval_metrics, risk_metrics
from training_container.model_folder import read_preprocessing
from training_container.rivals import risk_rivals
from training_container.split_file import Split


def metrics_of(pipeline: Pipeline, kind: str) -> dict:
    return json.loads((pipeline.evaluations[kind] / "metrics.json").read_text())


def test_metrics_json_has_what_the_gate_reads_and_every_rival(pipeline: Pipeline):
    risk, performance = metrics_of(pipeline, "risk"), metrics_of(pipeline, "performance")

    assert 0 < risk["accuracy"] <= 1
    assert set(risk["rivals"]) == {"majority", "persistence", "logistic"}
    assert np.sum(risk["confusion_matrix"]) == risk["rows"]
    assert performance["rmse"] > 0
    assert set(performance["rivals"]) == {"mean", "persistence", "ridge"}
    assert (pipeline.evaluations["risk"] / "golden.json").is_file()


def test_the_report_stands_by_itself(pipeline: Pipeline):
    page = (pipeline.evaluations["risk"] / "report.html").read_text()

    assert page.count("<svg ") == 3
    assert not re.search(r"""(src|[^:]href)=["'](?!#)|url\((?!#)|@import""", page)
    assert "<script" not in page


def test_few_devices_are_said_to_be_few(pipeline: Pipeline):
    assert any("test devices" in sentence for sentence in metrics_of(pipeline, "risk")["cannot_be_judged"])


def test_risk_metrics_of_four_known_rows():
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.6, 0.4, 0, 0], [0, 0, 0.3, 0.7]])
    metrics = risk_metrics(np.array([0, 1, 1, 3]), probabilities)

    assert metrics["accuracy"] == 0.75
    assert metrics["per_class"]["medium"] == pytest.approx({"precision": 1, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert metrics["confusion_matrix"] == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics["brier"] == pytest.approx((0.02 + 0.08 + 0.72 + 0.18) / 4)


def test_confidence_that_is_always_eight_tenths_and_right_half_the_time_is_off_by_three():
    probabilities = np.tile([0.8, 0.2, 0, 0], (10, 1))
    assert expected_calibration_error(np.array([0, 1] * 5), probabilities) == pytest.approx(0.3)


def test_coverage_counts_the_ends_of_the_interval():
    metrics = interval_metrics(np.array([1.0, 2.0, 9.0]), np.array([1.0, 0.0, 0.0]), np.array([2.0, 2.0, 8.0]))
    assert metrics == pytest.approx({"interval_coverage": 2 / 3, "interval_width": (1 + 2 + 8) / 3})


def test_a_sample_of_one_level_leaves_the_logistic_rival_saying_that_level(pipeline: Pipeline):
    train = Split.read(pipeline.features / "columnar", "train")
    only_low = train.take(train.risk == 0)

    preprocessing = read_preprocessing(pipeline.models["risk"])

    assert set(risk_rivals(only_low, only_low, preprocessing)["logistic"].tolist()) == {0}


def test_levels_that_a_split_lacks_are_said_and_not_scored_in_silence(pipeline: Pipeline):
    test = Split.read(pipeline.features / "columnar", "test").labelled("risk")
    said = cannot_be_judged("risk", test.take(test.risk != 2), test.take(test.risk != 3))

    assert "no test row is critical" in said
    assert "no training row is high: the model cannot foresee it" in said
