from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from tests.training_container.conftest import Pipeline
from training_container.__main__ import main
from training_container.calibration import fit_interval, fit_spread, fit_temperature
from training_container.model_folder import ModelDescription, read_golden
from training_container.predictor import Predictor, spread_width
from training_container.sagemaker_contract import ContainerPaths, run_contained
from training_container.split_file import Split


@pytest.fixture
def root(tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container's /opt/ml as SageMaker lays it out for a trial."""
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    for name in ("train", "validation", "calibration"):
        channel = tmp_path / "input" / "data" / name
        channel.mkdir(parents=True)
        (channel / f"{name}.npz").write_bytes((pipeline.features / "columnar" / f"{name}.npz").read_bytes())
    monkeypatch.setenv("SAGEMAKER_ROOT", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def give(root: Path, **hyperparameters: str) -> None:
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))


def failure(root: Path) -> str:
    return (root / "output" / "failure").read_text()


def test_a_trial_trains_on_the_contract_and_prints_the_objective_that_tuning_reads(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    give(root, kind="risk", num_round="5", eta="0.3", _tuning_objective_metric="validation:mlogloss")

    assert main(["train"]) == 0

    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("validation-mlogloss=")
    assert 0 < float(last.removeprefix("validation-mlogloss=").removesuffix(";")) < np.log(4)
    assert (root / "model" / "model.ubj").is_file()


@pytest.mark.parametrize(
    ("hyperparameters", "named"),
    [
        ({}, "kind"),
        ({"kind": "risks"}, "'risks'"),
        ({"kind": "risk", "max_depth": "11"}, "max_depth is '11'"),
        ({"kind": "risk", "max_depth": "4.5"}, "max_depth is '4.5'"),
        ({"kind": "risk", "eta": "fast"}, "eta is 'fast'"),
        ({"kind": "risk", "lambda": "nan"}, "lambda is 'nan'"),
        ({"kind": "risk", "learning_rate": "0.1"}, "'learning_rate'"),
    ],
)
def test_a_wrong_hyperparameter_is_the_callers_and_stands_in_the_failure_file(
    root: Path, hyperparameters: dict[str, str], named: str
):
    give(root, **hyperparameters)

    assert main(["train"]) == 2
    assert named in failure(root)


def test_a_missing_channel_is_found_before_any_data_is_read(root: Path):
    give(root, kind="risk")
    (root / "input" / "data" / "calibration" / "calibration.npz").unlink()
    (root / "input" / "data" / "calibration").rmdir()

    assert main(["train"]) == 2
    assert "'calibration'" in failure(root)


def test_a_broken_split_file_is_refused_by_its_name(root: Path):
    give(root, kind="risk")
    (root / "input" / "data" / "train" / "train.npz").write_bytes(b"PK\x03\x04 not really")

    assert main(["train"]) == 2
    assert "train.npz" in failure(root)


def test_a_bug_is_not_blamed_on_the_data(root: Path):
    give(root, kind="risk")
    (root / "model").write_text("a file where the folder should be")

    assert main(["train"]) == 1
    assert failure(root).startswith("a bug of the container")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_volume_is_told_with_what_helps_against_it(tmp_path: Path):
    def write() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 1_000_000)

    assert run_contained(write, ContainerPaths(tmp_path)) == 1
    told = failure(tmp_path)
    assert told.startswith("the volume of the instance is full: [Errno 28] No space left on device")
    assert '"processing_instances": 2' in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_volume_that_is_full_for_an_array_is_told_so_too(tmp_path: Path):
    assert run_contained(lambda: np.zeros(100_000).tofile("/dev/full"), ContainerPaths(tmp_path)) == 1
    assert failure(tmp_path).startswith("the volume of the instance is full")


def test_sigterm_ends_a_training_with_143(root: Path):
    give(root, kind="risk", num_round="10000", early_stopping_rounds="1000", eta="0.01", max_depth="10")
    process = subprocess.Popen(
        [sys.executable, "-m", "training_container", "train"], env=os.environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "validation-mlogloss" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()

    assert process.wait(timeout=60) == 143
    assert time.monotonic() - started < 60


def test_the_same_seed_gives_the_same_model(root: Path, tmp_path: Path):
    give(root, kind="performance", num_round="5", subsample="0.6", colsample_bytree="0.6")
    models = []
    for name in ("first", "second"):
        assert main(["train", "--model", str(tmp_path / name)]) == 0
        models.append((tmp_path / name / "model.ubj").read_bytes())
    assert models[0] == models[1]


def test_the_medians_and_scales_of_the_model_are_those_of_its_training_rows(pipeline: Pipeline):
    stored = json.loads((pipeline.models["risk"] / "preprocessing.json").read_text())
    rows = pd.read_csv(pipeline.features / "train.csv")

    assert stored["median"][0] == pytest.approx(rows["read_iops"].median(), rel=1e-6)
    assert stored["mean"][0] == pytest.approx(rows["read_iops"].mean(), rel=1e-6)
    assert stored["deviation"][0] == pytest.approx(rows["read_iops"].std(ddof=0), rel=1e-6)


def test_too_few_calibration_rows_for_an_interval_are_refused_with_the_true_reason(root: Path):
    give(root, kind="performance", num_round="3")
    for name in ("validation", "calibration"):
        folder = root / "input" / "data" / name
        Split.read(folder, name).labelled("performance").take(np.arange(4)).write(folder / f"{name}.npz")

    assert main(["train"]) == 2
    assert "8 scored rows" in failure(root)


def test_every_round_says_the_objective_so_that_trials_can_be_stopped_early(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    give(root, kind="performance", num_round="4", early_stopping_rounds="4")

    assert main(["train"]) == 0
    assert capsys.readouterr().out.count("validation-rmse=") == 5  # four rounds and the best at the end


def test_golden_rows_hold_every_level_of_validation_and_what_the_stored_trees_say(pipeline: Pipeline):
    rows, predictions = read_golden(pipeline.models["risk"])
    validation = Split.read(pipeline.features / "columnar", "validation")
    booster = xgb.Booster(model_file=str(pipeline.models["risk"] / "model.ubj"))
    temperature = ModelDescription.read(pipeline.models["risk"]).temperature
    margins = booster.predict(xgb.DMatrix(rows), output_margin=True) / temperature
    shares = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    places = [
        int(np.flatnonzero((row == validation.X) | (np.isnan(validation.X) & np.isnan(row))).size > 0) for row in rows
    ]

    assert len(rows) == 32
    assert all(places)
    found = np.array([list(p["probabilities"].values()) for p in predictions])
    np.testing.assert_allclose(found, shares, atol=1e-5)


def test_a_model_of_another_feature_table_is_refused(pipeline: Pipeline, tmp_path: Path):
    for file in pipeline.models["risk"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "feature_table_hash": "0" * 64}))

    judged = ["--model", str(tmp_path), "--input", str(pipeline.features), "--output", str(tmp_path / "e")]
    assert main(["evaluate", "--kind", "risk", *judged]) == 2


def test_temperature_softens_a_model_that_is_too_sure_and_leaves_a_calibrated_one():
    random = np.random.default_rng(3)
    margins = random.normal(0, 2, (20_000, 4))
    shares = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    levels = np.array([random.choice(4, p=share) for share in shares], np.int8)

    assert fit_temperature(margins, levels) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(margins * 3, levels) == pytest.approx(3.0, abs=0.15)


def test_the_interval_covers_nine_in_ten_rows_of_new_devices_and_widens_where_the_residual_does(pipeline: Pipeline):
    predictor = Predictor.load(pipeline.models["performance"])
    some = Split.read(pipeline.features / "columnar", "calibration").labelled("performance")

    def devices(count: int, seed: int) -> Split:
        """Their residual doubles from X[0] = 0 to 1; the rows of a device share half of it."""
        random = np.random.default_rng(seed)
        rows = some.take(np.zeros(20 * count, np.int64))
        X = random.uniform(0, 1, rows.X.shape).astype(np.float32)
        device = np.repeat(np.arange(count), 20).astype(np.int32)
        noise = 0.5 * random.normal(0, 4, count)[device] + random.normal(0, 4, len(rows))
        score = predictor.scores(X).clip(25, 75) + noise * (1 + X[:, 0])
        return replace(rows, X=X, device=device, devices=np.array([str(i) for i in range(count)]), score=score)

    splits = {"train": devices(200, seed=1), "validation": devices(30, seed=2), "calibration": devices(30, seed=3)}
    middle = xgb.Booster(model_file=str(pipeline.models["performance"] / "model.ubj"))
    train, validation, calibration = splits["train"], splits["validation"], splits["calibration"]
    spread = fit_spread(train.X, train.score, validation, seed=7, threads=1)
    quantile = fit_interval(middle, spread, [validation, calibration])
    new = devices(2_000, seed=4)
    half = quantile * spread_width(spread.inplace_predict(new.X))

    assert np.mean(np.abs(new.score - predictor.scores(new.X)) <= half) == pytest.approx(0.9, abs=0.025)
    assert half[new.X[:, 0] > 0.8].mean() > 1.2 * half[new.X[:, 0] < 0.2].mean()


def test_quantiles_that_cross_or_meet_still_give_a_width():
    crossed = np.array([[40.0, 60.0], [60.0, 40.0], [50.0, 50.0]], np.float32)

    assert spread_width(crossed).tolist() == pytest.approx([20, 20, 0.1])
