"""Features that stay in their file, and matrices that are made of them block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from insights.preprocessing import Preprocessing
from tests.training_container.conftest import Pipeline
from tests.training_container.distributed import prequantised, write_parts
from training_container import matrices
from training_container.errors import UnusableInput
from training_container.hyperparameters import Hyperparameters
from training_container.mapped_rows import blocks, mapped_member
from training_container.split_file import Split
from training_container.train import booster_settings, fit, matrix


@pytest.fixture(scope="module")
def train(pipeline: Pipeline) -> Split:
    return Split.read(pipeline.features / "columnar", "train")


def test_mapped_features_are_those_of_the_file_and_so_are_their_blocks(pipeline: Pipeline, train: Split):
    mapped = Split.read(pipeline.features / "columnar", "train", mapped=True)

    assert isinstance(mapped.X, np.memmap)
    np.testing.assert_array_equal(mapped.X, train.X)
    np.testing.assert_array_equal(np.concatenate(list(blocks(mapped.X, 100))), train.X)


def test_rows_taken_of_mapped_features_stay_in_a_file_and_rows_by_index_do_not(pipeline: Pipeline, train: Split):
    mapped = Split.read(pipeline.features / "columnar", "train", mapped=True)
    mask = train.risk == 0
    some = mapped.take(mask)

    assert isinstance(some.X, np.memmap)
    np.testing.assert_array_equal(some.X, train.X[mask])
    np.testing.assert_array_equal(mapped.take(np.array([5, 3])).X, train.X[[5, 3]])
    assert mapped.take(np.zeros(len(mask), np.bool_)).X.shape == (0, 25)


def test_a_compressed_array_is_not_mapped(tmp_path: Path):
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((3, 25), np.float32))
    with pytest.raises(ValueError, match="compressed"):
        mapped_member(tmp_path / "a.npz", "X")


def test_parts_are_the_whole_in_their_order_whatever_names_each_carries(tmp_path: Path, train: Split):
    write_parts(train, tmp_path, 3)
    third = Split.read(tmp_path, "train").take(np.arange(len(train)))
    np.testing.assert_array_equal(third.X, train.X)
    np.testing.assert_array_equal(third.devices[third.device], train.devices[train.device])

    last = tmp_path / "train-00002-of-00003.npz"
    part = Split.of_files([last])
    used, device = np.unique(part.device, return_inverse=True)
    own = {name: getattr(part, name) for name in Split.__slots__}
    Split(**{**own, "devices": part.devices[used], "device": device.astype(np.int32)}).write(last)
    again = Split.read(tmp_path, "train")
    np.testing.assert_array_equal(again.devices[again.device], train.devices[train.device])


def test_parts_of_two_engineerings_are_refused(tmp_path: Path, train: Split):
    write_parts(train, tmp_path, 2)
    train.write(tmp_path / "train.npz")
    with pytest.raises(UnusableInput, match="several engineerings"):
        Split.read(tmp_path, "train")


def test_quantised_rows_of_one_block_train_the_model_of_a_dmatrix(train: Split):
    given = Hyperparameters(kind="risk", num_round=8, nthread=1)
    booster = fit(given, train, train)
    plain = xgb.train(booster_settings(given), matrix(train, given), given.num_round)

    assert booster.get_dump(dump_format="json") == plain.get_dump(dump_format="json")


def test_pages_of_a_cache_on_disk_train_the_model_of_rows_in_memory_on_prequantised_rows(
    train: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(matrices, "PAGE_ROWS", 500)
    rows = prequantised(train)
    given = Hyperparameters(kind="risk", num_round=8, nthread=1, subsample=1.0)
    outside = Hyperparameters(kind="risk", num_round=8, nthread=1, subsample=1.0, external_memory=True)
    pages = matrices.cached(rows.X, rows.risk, tmp_path, threads=1)

    assert pages.num_row() == len(rows) > 1_000
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) > rows.X.size  # one byte a feature, and pages' heads
    del pages
    booster = fit(outside, rows, rows, cache=tmp_path)
    assert booster.get_dump(dump_format="json") == fit(given, rows, rows).get_dump(dump_format="json")
    assert not list(tmp_path.iterdir())


def test_external_memory_is_asked_for_by_true_and_nothing_else():
    assert Hyperparameters.parse({"kind": "risk", "external_memory": "true"}).external_memory
    with pytest.raises(UnusableInput, match="external_memory is 'yes'"):
        Hyperparameters.parse({"kind": "risk", "external_memory": "yes"})


def test_scales_of_one_feature_are_those_of_all_at_once(train: Split):
    X = np.concatenate([train.X] * 40)  # above one block of their sums
    whole = Preprocessing.fit(X.astype(np.float64))
    by_column = [Preprocessing.of_column(column) for column in X.T]

    assert whole.to_json()["median"] == [scales[0] for scales in by_column]
    assert whole.to_json()["mean"] == [scales[1] for scales in by_column]
    assert whole.to_json()["deviation"] == [scales[2] for scales in by_column]
