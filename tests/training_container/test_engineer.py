from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insights.feature_table import FEATURE_NAMES
from insights.splits import group_of
from tests.training_container.conftest import Pipeline
from training_container.__main__ import main
from training_container.engineer import insight_files
from training_container.split_file import Split


def read(pipeline: Pipeline, name: str) -> pd.DataFrame:
    return pd.read_csv(pipeline.features / f"{name}.csv")


def test_features_csv_has_every_insight_the_table_in_order_and_then_the_labels(pipeline: Pipeline):
    table = read(pipeline, "features")

    labels = ["risk_level", "performance_score", "label_source"]
    assert list(table.columns) == ["device_id", "timestamp", *FEATURE_NAMES, *labels]
    assert len(table) == 3000
    given = json.loads((pipeline.raw / "training-data.json").read_text())
    assert table["risk_level"].notna().sum() == sum(row["risk_level"] is not None for row in given)


def test_no_device_is_in_two_splits_and_only_labelled_rows_are_trained_on(pipeline: Pipeline):
    splits = {name: read(pipeline, name) for name in ("train", "val", "calibration", "test")}
    devices = {name: set(table["device_id"]) for name, table in splits.items()}

    assert all(table["risk_level"].notna().all() for table in splits.values())
    assert sum(map(len, devices.values())) == len(set().union(*devices.values()))


def test_the_columnar_split_holds_the_same_numbers_as_the_file_for_people(pipeline: Pipeline):
    table = read(pipeline, "val")
    split = Split.read(pipeline.features / "columnar", "validation")

    np.testing.assert_allclose(split.X, table[list(FEATURE_NAMES)].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(split.score, table["performance_score"], rtol=1e-5)


def test_a_group_keeps_the_split_that_it_was_first_given(pipeline: Pipeline, tmp_path: Path):
    given = json.loads((pipeline.features / "splits.json").read_text())
    turned = {
        group: "test" if split == "train" else "train" for group, split in given.items() if split in ("test", "train")
    }
    (tmp_path / "previous").mkdir()
    (tmp_path / "previous" / "splits.json").write_text(json.dumps(turned))

    source = str(pipeline.raw / "training-data.json")
    out = tmp_path / "out"
    assert main(["engineer", "--input", source, "--previous", str(tmp_path / "previous"), "--output", str(out)]) == 0

    after = json.loads((out / "splits.json").read_text())
    assert {group: after[group] for group in turned} == turned


def test_a_split_by_time_trains_on_the_past_and_is_judged_on_the_future(pipeline: Pipeline, tmp_path: Path):
    source = str(pipeline.raw / "training-data.json")
    assert main(["engineer", "--input", source, "--output", str(tmp_path), "--split", "time"]) == 0

    train, test = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("train", "test"))
    assert train["timestamp"].max() < test["timestamp"].min()


def test_a_bad_record_is_refused_by_file_field_and_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(
        '{"device_id": "d", "timestamp": "2026-01-01T00:00:00.000Z", "interval_seconds": 300,'
        ' "read_iops": -4, "write_iops": 1, "bandwidth_mbps": 1}\n'
    )

    assert main(["engineer", "--input", str(bad), "--output", str(tmp_path / "out")]) == 2

    said = capsys.readouterr().err
    assert all(part in said for part in ("bad.jsonl", "read_iops", "-4"))


def test_a_latency_next_to_nothing_is_refused_by_field_before_anything_trains_on_infinity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "tiny.jsonl").write_text(
        '{"device_id": "fast/0", "timestamp": "2026-01-01T00:00:00.000Z", "interval_seconds": 300,'
        ' "read_iops": 1000, "write_iops": 1, "bandwidth_mbps": 1, "avg_latency_ms": 1e-60}\n'
    )

    assert main(["engineer", "--input", str(tmp_path / "tiny.jsonl"), "--output", str(tmp_path / "out")]) == 2

    said = capsys.readouterr().err
    assert all(part in said for part in ("tiny.jsonl", "avg_latency_ms", "1e-60", "from 1e-12"))


@pytest.mark.parametrize("memory", ["[]", '{"group": 3}', '{"group": "exam"}', "{"])
def test_a_memory_of_splits_that_is_none_is_refused(
    pipeline: Pipeline, tmp_path: Path, memory: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "splits.json").write_text(memory)
    source = str(pipeline.raw / "training-data.json")

    argv = ["engineer", "--input", source, "--previous", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main(argv) == 2
    assert "split" in capsys.readouterr().err


def test_an_empty_folder_and_one_lonely_device_are_refused_with_the_true_reason(
    tmp_path: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty").mkdir()
    assert main(["engineer", "--input", str(tmp_path / "empty"), "--output", str(tmp_path / "out")]) == 2
    assert "no insight file" in capsys.readouterr().err

    rows = json.loads((pipeline.raw / "training-data.json").read_text())
    lonely = [row for row in rows if row["device_id"] == rows[0]["device_id"]]
    (tmp_path / "one.json").write_text(json.dumps(lonely))
    assert main(["engineer", "--input", str(tmp_path / "one.json"), "--output", str(tmp_path / "out")]) == 2
    assert "1 of 1 groups" in capsys.readouterr().err


def test_every_group_of_the_memory_is_a_device_group_of_the_source(pipeline: Pipeline):
    memory = json.loads((pipeline.features / "splits.json").read_text())
    assert set(memory) == {group_of(device) for device in read(pipeline, "features")["device_id"]}


@pytest.mark.parametrize("options", [(), ("--split", "time"), ("--labels", "hindsight", "--seed", "3")])
def test_every_output_is_the_same_byte_for_byte_from_one_shard_and_from_many(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
):
    def written(name: str) -> dict[Path, bytes]:
        out = tmp_path / name
        assert (
            main(["engineer", "--input", str(pipeline.raw / "training-data.csv"), "--output", str(out), *options]) == 0
        )
        return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    one = written("one")
    monkeypatch.setattr("training_container.read_columns.ROWS_READ", 333)
    monkeypatch.setattr("training_container.shards.BLOCK_ROWS", 777)
    monkeypatch.setattr("training_container.device_rows.SHARD_ROWS", 300)
    monkeypatch.setattr("training_container.table_files.ROWS_FORMATTED", 70)
    monkeypatch.setattr("insights.preprocessing._BLOCK_ROWS", 100)
    monkeypatch.setattr("insights.features.CHUNK_ROWS", 50)
    assert written("many") == one
    assert len(one) == 13


def test_parquet_without_its_library_is_refused_with_both_remedies(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = str(pipeline.raw / "training-data.json")
    assert main(["engineer", "--input", source, "--output", str(tmp_path), "--format", "parquet"]) == 2
    said = capsys.readouterr().err
    assert "pip install pyarrow" in said
    assert "--tables csv" in said


def test_of_an_export_only_its_batches_are_read(tmp_path: Path):
    wanted = tmp_path / "export-batch-000-00000.json"
    for name in (
        wanted.name,
        "manifest.json",
        "full-export-x.csv",
        "parts/000-00000.json",
        "generated/part-00000.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert list(insight_files(tmp_path)) == [wanted]
