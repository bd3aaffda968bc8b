"""One model by several processes, through the entry point and XGBoost's real collective on 127.0.0.1."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from tests.training_container.conftest import Pipeline
from tests.training_container.distributed import files_of_model, instances, prequantised, write_parts
from training_container.__main__ import main
from training_container.split_file import Split

ROUNDS = {"num_round": "12", "early_stopping_rounds": "12", "colsample_bytree": "0.8", "subsample": "1"}


@pytest.fixture(scope="module")
def columnar(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> Path:
    """Prequantised splits; `train` in two parts of different sizes."""
    folder = tmp_path_factory.mktemp("prequantised") / "columnar"
    folder.mkdir()
    splits = {name: Split.read(pipeline.features / "columnar", name) for name in ("train", "validation", "calibration")}
    whole = prequantised(Split.concatenate(list(splits.values())))
    begin = 0
    for name, split in splits.items():
        rows = whole.take(np.arange(begin, begin := begin + len(split)))
        if name == "train":
            write_parts(rows, folder, 2)
        else:
            rows.write(folder / f"{name}.npz")
    return folder


def alone(columnar: Path, model: Path, **hyperparameters: str) -> dict[str, bytes]:
    options = [text for name, value in hyperparameters.items() for text in (f"--{name.replace('_', '-')}", value)]
    assert main(["train", "--input", str(columnar.parent), "--model", str(model), "--nthread", "1", *options]) == 0
    return files_of_model(model)


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_two_processes_make_exactly_the_model_of_one_on_prequantised_rows_without_row_sampling(
    columnar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
):
    one = alone(columnar, tmp_path / "one", kind=kind, **ROUNDS)
    objective = capsys.readouterr().out.splitlines()[-1]
    two = instances(tmp_path / "two", columnar, 2, kind=kind, **ROUNDS)
    first, second = two.run()

    assert two.model() == one
    assert first.splitlines()[-1] == objective
    assert "validation-" not in second
    assert not (two.root(2) / "model").exists()


def test_with_row_sampling_a_repeated_run_gives_the_same_model_and_a_host_without_rows_changes_nothing_in_it(
    columnar: Path, tmp_path: Path
):
    sampled = {**ROUNDS, "kind": "risk", "subsample": "0.7"}
    twice = [instances(tmp_path / name, columnar, 2, **sampled) for name in ("first", "second")]
    for run in twice:
        run.run()
    assert twice[0].model() == twice[1].model()

    three = instances(tmp_path / "three", columnar, 3, kind="risk", **ROUNDS)  # of two parts
    three.run()
    assert not list((three.root(3) / "input" / "data" / "train").iterdir())
    assert three.model() == alone(columnar, tmp_path / "one", kind="risk", **ROUNDS)


@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_host_ends_the_training_of_all_with_its_name_and_the_next_run_is_as_if_nothing_had_been(
    columnar: Path, tmp_path: Path, killed: int
):
    long = {**ROUNDS, "kind": "risk", "num_round": "5000", "early_stopping_rounds": "1000", "eta": "0.01"}
    job = instances(tmp_path / "job", columnar, 2, **long)
    processes = job.start()
    assert processes[0].stdout is not None
    while not processes[0].stdout.readline().startswith("[3]"):
        assert processes[0].poll() is None
    processes[killed - 1].kill()
    left = 2 - killed  # the other one's place

    assert processes[left].wait(timeout=60) == 3
    assert processes[killed - 1].wait(timeout=60) == -signal.SIGKILL
    assert job.failure(left + 1).startswith(f"algo-{killed} was lost: its process ended without a word")
    assert not list(job.root(1).glob("model/*"))


def test_sigterm_to_every_host_ends_all_as_stopped(columnar: Path, tmp_path: Path):
    long = {**ROUNDS, "kind": "risk", "num_round": "5000", "early_stopping_rounds": "1000", "eta": "0.01"}
    job = instances(tmp_path / "job", columnar, 2, **long)
    processes = job.start()
    assert processes[0].stdout is not None
    while not processes[0].stdout.readline().startswith("[3]"):
        assert processes[0].poll() is None
    for process in processes:
        process.send_signal(signal.SIGTERM)

    assert [process.wait(timeout=60) for process in processes] == [143, 143]


def test_a_refusal_of_one_host_is_the_reason_of_all(columnar: Path, tmp_path: Path):
    job = instances(tmp_path / "job", columnar, 2, kind="risk", **ROUNDS)
    part = next((job.root(2) / "input" / "data" / "train").iterdir())
    part.unlink()
    part.write_bytes(b"PK\x03\x04 not really")
    processes = job.start()

    assert [process.wait(timeout=60) for process in processes] == [3, 2]
    assert job.failure(1).startswith("algo-2 refused: ")
    assert part.name in job.failure(1)


def test_a_channel_that_every_host_has_whole_is_refused_as_each_row_would_count_twice(
    columnar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = instances(tmp_path / "job", columnar, 2, kind="risk", **ROUNDS)
    config = job.root(1) / "input" / "config" / "inputdataconfig.json"
    config.write_text(config.read_text().replace("ShardedByS3Key", "FullyReplicated"))
    monkeypatch.setenv("SAGEMAKER_ROOT", str(job.root(1)))

    assert main(["train"]) == 2
    assert "ShardedByS3Key" in job.failure(1)


def test_parts_of_which_one_is_missing_are_no_training_data(columnar: Path, tmp_path: Path):
    for file in columnar.iterdir():
        if "train-00001" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="1 of the 2 parts of train"):
        Split.read(tmp_path, "train")
