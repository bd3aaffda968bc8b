from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training_container.conftest import Pipeline
from training_container.__main__ import main
from training_container.code_version import code_version
from training_container.evaluation.limits import cannot_be_judged
from training_container.evaluation.metrics import expected_calibration_error, interval_metrics, risk_metrics
from training_container.split_file import Split


def metrics_of(pipeline: Pipeline, kind: str) -> dict:
    return json.loads((pipeline.evaluations[kind] / "metrics.json").read_text())


def evaluated(pipeline: Pipeline, kind: str, output: Path, *, live: Path) -> dict:
    given = ["--kind", kind, "--input", str(pipeline.features), "--model", str(pipeline.models[kind])]
    assert main(["evaluate", *given, "--live", str(live), "--output", str(output)]) == 0
    return json.loads((output / "metrics.json").read_text())


def test_metrics_json_has_what_the_gate_reads_and_every_rival(pipeline: Pipeline):
    risk, performance = metrics_of(pipeline, "risk"), metrics_of(pipeline, "performance")

    assert 0 < risk["accuracy"] <= 1
    assert set(risk["rivals"]) == {"majority", "persistence", "lookup", "logistic", "oracle"}
    assert np.sum(risk["confusion_matrix"]) == risk["rows"]
    assert performance["rmse"] > 0
    assert set(performance["rivals"]) == {"mean", "persistence", "lookup", "ridge", "oracle"}
    assert (pipeline.evaluations["risk"] / "golden.json").is_file()


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_every_interval_holds_its_metric_and_every_margin_its_difference(pipeline: Pipeline, kind: str):
    metrics = metrics_of(pipeline, kind)

    for name in ("accuracy", "macro_f1", "log_loss") if kind == "risk" else ("rmse", "mae", "interval_coverage"):
        assert metrics["intervals"][name]["lower"] <= metrics[name] <= metrics["intervals"][name]["upper"]
    own, sign = (metrics["macro_f1"], 1) if kind == "risk" else (metrics["rmse"], -1)
    for rival in metrics["rivals"].values():
        margin = rival["margin"]
        assert margin["difference"] == pytest.approx(sign * (own - rival[margin["metric"]]))
        assert margin["lower"] <= margin["upper"]


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_slices_share_out_every_row(pipeline: Pipeline, kind: str):
    metrics = metrics_of(pipeline, kind)
    for parts in metrics["slices"].values():
        assert sum(part["rows"] for part in parts.values()) == metrics["rows"]


def test_the_lineage_is_what_the_model_says_of_its_making_and_which_code_it_was(pipeline: Pipeline):
    told = json.loads((pipeline.evaluations["risk"] / "lineage.json").read_text())
    description = json.loads((pipeline.models["risk"] / "model.json").read_text())

    code = told.pop("code_version")
    assert told == {name: description[name] for name in told}
    assert {"hyperparameters", "feature_table_hash", "training_rows"} <= told.keys()
    assert code == code_version()


def test_no_live_model_is_no_comparison(pipeline: Pipeline, tmp_path: Path):
    (tmp_path / "empty").mkdir()

    assert metrics_of(pipeline, "risk")["against_live"] is None
    assert evaluated(pipeline, "risk", tmp_path / "out", live=tmp_path / "empty")["against_live"] is None


@pytest.mark.parametrize(("kind", "metric"), [("risk", "accuracy"), ("performance", "rmse")])
def test_a_model_is_no_better_than_itself_in_service(pipeline: Pipeline, tmp_path: Path, kind: str, metric: str):
    against = evaluated(pipeline, kind, tmp_path, live=pipeline.models[kind])["against_live"]

    assert against["metric"] == metric
    assert against["model"] == against["live"] == metrics_of(pipeline, kind)[metric]
    assert (against["difference"], against["lower"], against["upper"]) == (0, 0, 0)


def test_a_poorer_model_in_service_is_beaten_by_what_its_rmse_says(pipeline: Pipeline, tmp_path: Path):
    poorer = tmp_path / "poorer"
    trained = ["--kind", "performance", "--input", str(pipeline.features), "--model", str(poorer)]
    assert main(["train", *trained, "--num-round", "1", "--nthread", "1"]) == 0

    against = evaluated(pipeline, "performance", tmp_path / "out", live=poorer)["against_live"]

    assert against["difference"] == pytest.approx(1 - against["model"] / against["live"])
    assert 0 < against["lower"] < against["difference"]


def test_a_live_model_of_another_feature_table_is_said_to_be_beyond_comparison(pipeline: Pipeline, tmp_path: Path):
    older = tmp_path / "older"
    shutil.copytree(pipeline.models["risk"], older)
    description = json.loads((older / "model.json").read_text())
    (older / "model.json").write_text(json.dumps({**description, "feature_table_hash": "older"}))

    metrics = evaluated(pipeline, "risk", tmp_path / "out", live=older)

    assert "another feature table" in metrics["against_live"]["unjudged"]
    assert any("live model" in said and "another feature table" in said for said in metrics["cannot_be_judged"])


@pytest.mark.parametrize(("kind", "plots"), [("risk", 9), ("performance", 8)])
def test_the_report_stands_by_itself(pipeline: Pipeline, kind: str, plots: int):
    page = (pipeline.evaluations[kind] / "report.html").read_text()

    assert page.count("<svg ") == plots
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


def test_levels_that_a_split_lacks_are_said_and_not_scored_in_silence(pipeline: Pipeline):
    test = Split.read(pipeline.features / "columnar", "test").labelled("risk")
    said = cannot_be_judged("risk", test.take(test.risk != 2), test.take(test.risk != 3))

    assert "no test row is critical" in said
    assert "no training row is high: the model cannot foresee it" in said
