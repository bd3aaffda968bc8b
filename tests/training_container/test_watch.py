from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insights.drift_baseline import ABSENT, PREDICTION
from insights.feature_table import FEATURE_NAMES
from insights.features import compute_window
from insights.schema import Insight
from insights.splits import SPLITS
from tests.training_container.captured_requests import body_of, captured_line, windows, write_captures
from tests.training_container.conftest import Pipeline
from training_container.__main__ import main
from training_container.baseline_file import BASELINE, read_baseline
from training_container.split_file import Split
from training_container.watching.captures import request_of
from training_container.watching.live_quality import Outcomes, judged_of, live_quality, variant_quality

SEED = 91


def watched(root: Path, model: Path, *, kind: str = "risk", captured: Path, **given: object) -> Mapping[str, Any]:
    output = root / f"watched-{kind}"
    extra = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    arguments = ["watch", "--kind", kind, "--model", str(model), "--captured", str(captured), "--output", str(output)]
    assert main([*arguments, *extra]) == 0
    assert "<script" not in (output / "report.html").read_text()
    found: Mapping[str, Any] = json.loads((output / "watch.json").read_text())
    return found


def slower(insight: Insight) -> Insight:
    names = ("avg_latency_ms", "p95_latency_ms", "p99_latency_ms")
    return replace(insight, **{name: 2 * getattr(insight, name) for name in names})


def prediction(device: str, *, level: str = "low", **fields: Any) -> dict[str, Any]:
    shares = {name: 0.9 if name == level else 0.1 / 3 for name in ("low", "medium", "high", "critical")}
    return {"device_id": device, "kind": "risk", "variant": "live", "probabilities": shares, **fields}


def judged(lines: Sequence[Mapping[str, Any]], kind: str = "risk") -> Outcomes:
    found = [judged_of(line, kind) for line in lines]
    return Outcomes([one for one in found if one is not None], len(lines), 0)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [captured_line(body_of(window)) for window in windows(seed=SEED)]
    return write_captures(tmp_path_factory.mktemp("unchanged"), [*lines, "no JSON", '{"captureData": {}}'])


@pytest.fixture(scope="module")
def slowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [captured_line(body_of(window), encoding="BASE64") for window in windows(seed=SEED, change=slower)]
    return write_captures(tmp_path_factory.mktemp("slowed"), lines)


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_an_unchanged_fleet_has_not_drifted_and_broken_lines_are_counted(
    pipeline: Pipeline, unchanged: Path, tmp_path: Path, kind: str
) -> None:
    found = watched(tmp_path, pipeline.models[kind], kind=kind, captured=unchanged)
    assert (found["kind"], found["compared"], found["drift_detected"], found["drifted_features"]) == (
        kind,
        True,
        False,
        [],
    )
    assert found["rows"] == len(list(windows(seed=SEED)))
    assert found["counts"]["broken_lines"] == 2
    assert any("no requests the server would answer: 2" in sentence for sentence in found["limits"])
    assert found["period"] == {"start": "2026-03-02T10:30:00.000Z", "end": "2026-03-02T10:30:00.000Z"}


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_a_fleet_that_became_slower_has_drifted_in_its_latencies(
    pipeline: Pipeline, slowed: Path, tmp_path: Path, kind: str
) -> None:
    found = watched(tmp_path, pipeline.models[kind], kind=kind, captured=slowed)
    assert found["drift_detected"]
    assert {"avg_latency", "p95_latency", "p99_latency"} <= {one["feature"] for one in found["drifted_features"]}
    assert found["worst_psi"] == max(one["psi"] for one in found["drifted_features"])
    assert all(one["p_value"] <= 0.005 for one in found["drifted_features"])


def test_a_model_without_a_baseline_is_watched_for_the_rest_and_it_is_said(
    pipeline: Pipeline, slowed: Path, tmp_path: Path
) -> None:
    model = tmp_path / "older"
    shutil.copytree(pipeline.models["risk"], model)
    (model / BASELINE).unlink()
    found = watched(tmp_path, model, captured=slowed)
    assert (found["compared"], found["drift_detected"], found["rows"]) == (False, False, 540)
    assert any("train again to watch it" in sentence for sentence in found["limits"])


def test_a_baseline_of_another_feature_table_is_refused(
    pipeline: Pipeline, unchanged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "other"
    shutil.copytree(pipeline.models["risk"], model)
    with np.load(model / BASELINE) as arrays:
        other = {**arrays, "feature_table_hash": np.array("of another table")}
    np.savez_compressed(model / BASELINE, **other)
    given = ["--model", str(model), "--captured", str(unchanged), "--output", str(tmp_path / "out")]
    assert main(["watch", "--kind", "risk", *given]) != 0
    assert "of another table" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_every_model_carries_its_training_rows_and_answers_to_held_out_ones_only(pipeline: Pipeline, kind: str) -> None:
    baseline = read_baseline(pipeline.models[kind])
    rows = {name: len(Split.read(pipeline.features / "columnar", name).labelled(kind)) for name in SPLITS}
    del rows["test"]
    assert (baseline.kind, baseline.training_rows) == (kind, sum(rows.values()))
    held_out = (rows["validation"] + rows["calibration"]) / sum(rows.values())
    answered = np.mean(baseline.rows.codes[:, PREDICTION] != ABSENT)
    assert answered == pytest.approx(held_out, abs=0.1)  # a sample, in which long parts of the week are thinned


def test_without_any_request_nothing_is_judged(pipeline: Pipeline, tmp_path: Path) -> None:
    found = watched(tmp_path, pipeline.models["risk"], captured=tmp_path / "nothing")
    assert (found["rows"], found["compared"], found["drift_detected"]) == (0, False, False)
    assert any("no request was captured" in sentence for sentence in found["limits"])


def test_the_golden_rows_of_a_promotion_are_no_traffic(pipeline: Pipeline, tmp_path: Path) -> None:
    golden = json.loads((pipeline.models["risk"] / "golden.json").read_text())["rows"]
    text = "\n".join(",".join("" if cell is None else repr(cell) for cell in row) for row in golden)
    body = ",".join(FEATURE_NAMES) + "\n" + text + "\n"
    folder = write_captures(tmp_path / "captured", [captured_line(body, content_type="text/csv", encoding="CSV")])
    found = watched(tmp_path, pipeline.models["risk"], captured=folder)
    assert (found["rows"], found["counts"]["golden_rows"]) == (0, len(golden))


def test_only_requests_of_the_period_count_and_a_row_asked_twice_counts_once(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    window = next(iter(windows(seed=SEED)))
    times = ("2026-03-02T09:59:59Z", "2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z", "2026-03-02T11:00:00Z")
    folder = write_captures(tmp_path / "captured", [captured_line(body_of(window), time=time) for time in times])
    ends = {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T11:00:00Z"}
    found = watched(tmp_path, pipeline.models["risk"], captured=folder, **ends)
    assert (found["rows"], found["counts"]["repeated_rows"], found["counts"]["lines_of_other_periods"]) == (1, 1, 2)
    assert found["period"] == {"start": "2026-03-02T10:00:00.000Z", "end": "2026-03-02T11:00:00.000Z"}


@pytest.mark.parametrize(
    ("encoding", "content_type"), [("JSON", "application/json; charset=utf-8"), ("BASE64", "application/json")]
)
def test_features_of_a_captured_window_are_those_of_every_other_path(encoding: str, content_type: str) -> None:
    window = next(iter(windows(seed=SEED)))
    request = request_of(captured_line(body_of(window), encoding=encoding, content_type=content_type))
    assert np.array_equal(request.rows[0], compute_window(window).astype(np.float32), equal_nan=True)
    assert request.devices == [window[-1].device_id]


def test_live_answers_are_judged_by_feedback_before_the_outcome(
    pipeline: Pipeline, unchanged: Path, tmp_path: Path
) -> None:
    outcome, word = {"risk_level": "high"}, {"risk_level": "low", "performance_score": None}
    lines = [
        prediction("a/1", outcome=outcome, feedback=word),  # right, by the operator
        prediction("b/1", outcome=outcome),  # wrong
        prediction("c/1", feedback={"risk_level": None, "performance_score": 50.0}, outcome={"risk_level": "low"}),
        prediction("d/1"),  # not known
        {"kind": "performance", "device_id": "a/1"},
    ]
    path = tmp_path / "outcomes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "broken\n")
    found = watched(tmp_path, pipeline.models["risk"], captured=unchanged, outcomes=path)
    live = found["live"]
    assert (live["outcomes"], live["accuracy"]) == (3, pytest.approx(2 / 3))
    assert live["lower"] <= live["accuracy"] <= live["upper"]
    assert live["calibration_error"] == pytest.approx(abs(2 / 3 - 0.9))
    assert found["counts"]["broken_outcome_lines"] == 1
    assert any("3 independent groups" in sentence for sentence in found["limits"])


def test_a_performance_models_error_is_the_root_of_the_mean_square() -> None:
    def scored(device: str, score: float, happened: float) -> dict[str, Any]:
        outcome = {"risk_level": "low", "performance_score": happened}
        return {"device_id": device, "kind": "performance", "performance_score": score, "outcome": outcome}

    live = live_quality(judged([scored("a", 80, 77), scored("b", 60, 64)], "performance"), "performance")
    assert live["rmse"] == pytest.approx(np.sqrt((9 + 16) / 2))
    assert (live["lower"], live["upper"]) == (3.0, 4.0)  # a resample of two devices may draw one of them twice


def test_each_variant_is_judged_for_itself_and_the_live_model_by_its_version() -> None:
    right, wrong = {"risk_level": "low"}, {"risk_level": "critical"}
    lines = [
        prediction("a", model_version="2", outcome=right),
        prediction("b", model_version="1", outcome=wrong),
        prediction("c", variant="challenger", model_version="3", outcome=wrong),
    ]
    known = judged(lines)
    assert live_quality(known, "risk", "2")["accuracy"] == 1.0
    assert live_quality(known, "risk")["outcomes"] == 3
    quality = {one["variant"]: (one["outcomes"], one["accuracy"]) for one in variant_quality(known, "risk")}
    assert quality == {"challenger": (1, 0.0), "live": (2, 0.5)}


def test_a_period_that_ends_before_it_begins_is_refused(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", str(pipeline.models["risk"]), "--captured", str(tmp_path), "--output", str(tmp_path / "out")]
    ends = ["--start", "2026-03-02T11:00:00Z", "--end", "2026-03-02T10:00:00Z"]
    assert main(["watch", "--kind", "risk", *given, *ends]) != 0
    assert "ends before it begins" in capsys.readouterr().err
