"""Processing jobs as SageMaker starts them: only a command and options, all paths under one root."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from insights.oracle import Foretold
from tests.training_container.conftest import Pipeline
from training_container.__main__ import main


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGEMAKER_ROOT", str(tmp_path))
    return tmp_path


def give(root: Path, name: str, source: Path, as_name: str) -> None:
    folder = root / "processing" / "input" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / as_name).write_bytes(source.read_bytes())


def test_generate_leaves_parts_of_insights_and_what_its_oracle_foretold(root: Path):
    assert main(["generate", "--records", "300", "--seed", "3"]) == 0

    generated = root / "processing" / "output" / "generated"
    assert {path.name for path in generated.iterdir()} == {"part-00000.json", "oracle.npz"}
    assert len(json.loads((generated / "part-00000.json").read_text())) == 300
    assert len(Foretold.read(generated / "oracle.npz").risk) == 300


def test_engineer_reads_an_export_and_does_without_an_earlier_memory(root: Path, pipeline: Pipeline):
    give(root, "raw", pipeline.raw / "training-data.json", "export-batch-000-00000.json")

    assert main(["engineer", "--split", "device", "--labels", "given"]) == 0

    features = root / "processing" / "output" / "features"
    assert (features / "columnar" / "test.npz").is_file()
    assert json.loads((features / "engineer.json").read_text())["rows"] == 3000


def test_evaluate_takes_the_archive_that_a_training_job_leaves(root: Path, pipeline: Pipeline):
    columnar = root / "processing" / "input" / "features" / "columnar"
    columnar.mkdir(parents=True)
    for file in (pipeline.features / "columnar").iterdir():
        (columnar / file.name).write_bytes(file.read_bytes())
    (root / "processing" / "input" / "model").mkdir()
    with tarfile.open(root / "processing" / "input" / "model" / "model.tar.gz", "w:gz") as archive:
        archive.add(pipeline.models["performance"], arcname=".")

    assert main(["evaluate", "--kind", "performance"]) == 0

    evaluation = root / "processing" / "output" / "evaluation"
    by_hand = json.loads((pipeline.evaluations["performance"] / "metrics.json").read_text())
    assert json.loads((evaluation / "metrics.json").read_text()) == by_hand


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["engineer"], "no insight file"),
        (["engineer", "--split", "weather"], "'weather'"),
        (["generate", "--records", "many"], "'many'"),
        (["evaluate"], "--kind"),
        (["evaluate", "--kind", "risk"], "train.npz"),
        (["predict"], "'predict'"),
    ],
)
def test_a_job_that_cannot_run_ends_with_2_and_says_why_in_its_exit_message(root: Path, argv: list[str], named: str):
    assert main(argv) == 2

    for name in ("failure", "message"):
        said = (root / "output" / name).read_text()
        assert named in said
        assert len(said) <= 1024


def test_starting_the_program_imports_no_slow_library():
    probe = "import sys, training_container.__main__; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    )

    assert not loaded & {"numpy", "xgboost", "numba", "matplotlib", "sklearn", "pandas", "uvloop"}
