from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH
from tests.training_container.conftest import Pipeline
from training_container.errors import UnusableInput
from training_container.model_folder import ModelDescription, extracted, read_golden
from training_container.predictor import Predictor
from training_container.split_file import Split


@pytest.fixture(params=["risk", "performance"])
def folder(request: pytest.FixtureRequest, pipeline: Pipeline, tmp_path: Path) -> Path:
    """A copy of a model that a test may damage."""
    return Path(shutil.copytree(pipeline.models[request.param], tmp_path / request.param))


def change(folder: Path, name: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads((folder / name).read_text())
    edit(values)
    (folder / name).write_text(json.dumps(values))


def refusal(folder: Path) -> str:
    with pytest.raises(UnusableInput) as refused:
        Predictor.load(folder)
    return str(refused.value)


def test_the_folder_carries_its_feature_table_ranges_and_versions(folder: Path, pipeline: Pipeline):
    found = ModelDescription.read(folder)
    rows = Split.read(pipeline.features / "columnar", "train").labelled(found.kind).X

    assert (found.feature_names, found.feature_table_hash) == (FEATURE_NAMES, FEATURE_TABLE_HASH)
    assert found.training_ranges["queue_depth"] == [
        pytest.approx(np.nanmin(rows[:, FEATURE_NAMES.index("queue_depth")])),
        pytest.approx(np.nanmax(rows[:, FEATURE_NAMES.index("queue_depth")])),
    ]
    assert tuple(found.training_ranges) == FEATURE_NAMES
    assert found.package_versions["numpy"] == np.__version__
    assert len(read_golden(folder)[0]) == 32


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("reads", *FEATURE_NAMES[1:]), "feature 1 is reads in the model and read_iops in this code"),
        (
            (*FEATURE_NAMES[:3], FEATURE_NAMES[4], FEATURE_NAMES[3], *FEATURE_NAMES[5:]),
            "feature 4 is avg_latency in the model and iops_variance in this code",
        ),
        (FEATURE_NAMES[:-1], "feature 25 is missing in the model and efficiency_ratio in this code"),
        ((*FEATURE_NAMES, "latency_to_slo"), "feature 26 is latency_to_slo in the model and none in this code"),
    ],
)
def test_a_model_of_another_table_is_refused_with_the_feature_that_differs(
    folder: Path, names: tuple[str, ...], named: str
):
    change(folder, "model.json", lambda values: values.update(feature_names=names, feature_table_hash="older"))
    assert named in refusal(folder)


def test_a_model_of_the_same_names_but_other_definitions_is_refused(folder: Path):
    change(folder, "model.json", lambda values: values.update(feature_table_hash="0" * 64))
    assert "other definitions" in refusal(folder)
    assert FEATURE_TABLE_HASH in refusal(folder)


@pytest.mark.parametrize(
    "field",
    json.loads("""["kind", "classes", "best_iteration", "hyperparameters", "training_rows",
    "calibration_rows", "training_ranges", "temperature", "conformal_quantile", "feature_names", "feature_table_hash",
    "package_versions"]"""),
)
def test_a_missing_field_is_named(folder: Path, field: str):
    change(folder, "model.json", lambda values: values.pop(field))
    assert f"{field} is missing" in refusal(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "capacity"),
        ("kind", []),
        ("classes", "low"),
        ("classes", []),
        ("classes", [1, 2, 3, 4]),
        ("best_iteration", -1),
        ("best_iteration", None),
        ("hyperparameters", []),
        ("training_rows", "many"),
        ("calibration_rows", 1.5),
        ("feature_names", 25),
        ("feature_table_hash", None),
        ("training_ranges", {"read_iops": [2, 1]}),
        ("training_ranges", {"read_iops": [None, 1]}),
        ("training_ranges", []),
        ("package_versions", "3.2"),
        ("temperature", 0),
        ("temperature", "1"),
        ("temperature", True),
        ("conformal_quantile", -0.1),
        ("conformal_quantile", [1]),
    ],
)
def test_a_field_of_another_type_is_named_with_its_value(folder: Path, field: str, value: Any):
    change(folder, "model.json", lambda values: values.update({field: value}))
    assert f"{field} is {json.dumps(value)}" in refusal(folder)


def test_calibration_that_the_kind_needs_may_not_be_null(folder: Path):
    change(folder, "model.json", lambda values: values.update(temperature=None, conformal_quantile=None))
    assert "is null" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "named"),
    [("{", "cannot be read"), ("[]", "holds no object"), ("null", "holds no object"), ('{"format": 0}', "format 0")],
)
def test_a_description_that_is_none_is_refused(folder: Path, text: str, named: str):
    (folder / "model.json").write_text(text)
    assert named in refusal(folder)


def test_an_unknown_field_is_named(folder: Path):
    change(folder, "model.json", lambda values: values.update(threshold=0.5))
    assert "threshold is no field" in refusal(folder)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda values: values.pop("rows"), "KeyError('rows')"),
        (lambda values: values.update(rows=[]), "shape"),
        (lambda values: values.update(rows=3), "TypeError"),
        (lambda values: values["rows"][0].pop(), "ValueError"),
        (lambda values: values["rows"][0].__setitem__(0, "many"), "ValueError"),
        (lambda values: values["feature_names"].reverse(), "table's order"),
        (lambda values: values["predictions"].pop(), "one answer for each of its 32 rows"),
        (lambda values: values["predictions"].__setitem__(0, None), "one answer for each of its 32 rows"),
    ],
)
def test_damaged_golden_rows_are_refused(folder: Path, edit: Callable[[dict[str, Any]], Any], named: str):
    change(folder, "golden.json", edit)
    assert "golden.json" in refusal(folder)
    assert named in refusal(folder)


def test_missing_or_broken_trees_are_refused(folder: Path):
    whole = (folder / "model.ubj").read_bytes()
    (folder / "model.ubj").write_bytes(whole[: len(whole) // 2])
    assert "model.ubj cannot be read by XGBoost" in refusal(folder)
    (folder / "model.ubj").unlink()
    assert "model.ubj is missing" in refusal(folder)


def test_trees_of_the_other_kind_are_refused(pipeline: Pipeline, tmp_path: Path):
    mixed = Path(shutil.copytree(pipeline.models["risk"], tmp_path / "mixed"))
    shutil.copy(pipeline.models["performance"] / "model.ubj", mixed / "model.ubj")
    assert "1 outputs; the model's description asks for 4" in refusal(mixed)


def test_a_broken_archive_is_refused(tmp_path: Path):
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UnusableInput, match=r"model\.tar\.gz is no archive"):
        extracted(tmp_path, tmp_path / "into")
