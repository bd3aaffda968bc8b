"""Features by one instance and by several: the same bytes, whoever read what and whoever was killed on the way."""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insights.generator import REALISTIC
from training_container.__main__ import main
from training_container.generate import generate_files
from training_container.split_file import Split
from training_container.split_parts import part_bounds

OBJECTS = 9
Json = dict[str, Any]


class Export(NamedTuple):
    """A folder as the export leaves it, whole devices in each object, and where its oracle lies."""

    folder: Path
    oracle: Path

    @property
    def objects(self) -> list[Path]:
        return sorted(self.folder.glob("export-batch-*"))

    def manifest(self) -> Json:
        found: Json = json.loads((self.folder / "manifest.json").read_text())
        return found


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Devices in no order of their names, as a table's hash scatters them."""
    folder, generated = tmp_path_factory.mktemp("export"), tmp_path_factory.mktemp("generated")
    generate_files(records=1500, seed=5, output=generated, by_hand=False, collector=REALISTIC, futures=10)
    records = json.loads((generated / "part-00000.json").read_text())
    devices: dict[str, list[Json]] = {}
    for record in records:
        devices.setdefault(record["device_id"], []).append(record)
    order = random.Random(4).sample(sorted(devices), len(devices))
    objects = []
    for number in range(OBJECTS):
        rows = [record for device in order[number::OBJECTS] for record in devices[device]]
        name = f"export-batch-{number % 2:03d}-{number // 2:05d}.json"
        (folder / name).write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
        objects.append({"key": f"raw/a-run/{name}", "rows": len(rows)})
    labelled = sum(record["risk_level"] is not None for record in records)
    said = {"rows": len(records), "labelled_by_source": labelled, "devices_in_several_objects": 0, "objects": objects}
    (folder / "manifest.json").write_text(json.dumps(said))
    return Export(folder, generated)


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def alone(export: Export, out: Path, *options: str) -> dict[str, bytes]:
    argv = ["engineer", "--input", str(export.folder), "--oracle", str(export.oracle), "--output", str(out)]
    assert main([*argv, *options]) == 0
    return outputs(out)


def engineer_shard(
    export: Export, out: Path, mine: Sequence[Path], instance: int, instances: int, *options: str
) -> int:
    """One instance of several, given the objects that are its."""
    given = out / f"given-{instance}"
    shutil.rmtree(given, ignore_errors=True)
    given.mkdir(parents=True)
    for path in mine:
        (given / path.name).write_bytes(path.read_bytes())
    argv = ["--input", str(given), "--manifest", str(export.folder), "--oracle", str(export.oracle)]
    place = ["--instance", str(instance), "--instances", str(instances), "--output", str(out / "shards")]
    return main(["engineer", *argv, *place, *options])


def merge(out: Path, *options: str) -> int:
    return main(["merge", "--input", str(out / "shards"), "--output", str(out / "features"), *options])


def together(
    export: Export, out: Path, owners: Sequence[int], instances: int, *options: str, labels: str = "given"
) -> dict[str, bytes]:
    """By several instances, the object in each place going to the instance that `owners` has there."""
    for instance in range(instances):
        mine = [path for path, owner in zip(export.objects, owners, strict=True) if owner == instance]
        assert engineer_shard(export, out, mine, instance, instances, "--labels", labels) == 0
    assert merge(out, *options) == 0
    return outputs(out / "features")


def round_robin(instances: int) -> list[int]:
    return [number % instances for number in range(OBJECTS)]


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ("given", ()),
        ("given", ("--split", "time", "--tables", "none")),
        ("hindsight", ("--seed", "3", "--train-parts", "3")),
    ],
    ids=["default", "time", "hindsight"],
)
def test_two_and_four_instances_make_the_folder_of_one_byte_for_byte(
    export: Export, tmp_path: Path, labels: str, options: tuple[str, ...]
) -> None:
    one = alone(export, tmp_path / "one", "--labels", labels, *options)
    for instances in (2, 4):
        out = tmp_path / str(instances)
        assert together(export, out, round_robin(instances), instances, *options, labels=labels) == one
    assert {"splits.json", "engineer.json", "feature-statistics.json", "preprocessing.json"} < set(one)


@pytest.fixture(scope="module")
def expected(export: Export, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return alone(export, tmp_path_factory.mktemp("alone"))


@given(owners=st.lists(st.integers(0, 3), min_size=OBJECTS, max_size=OBJECTS))
@settings(max_examples=4, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_who_gets_which_object_changes_nothing_even_if_somebody_gets_none(
    export: Export, expected: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, owners: list[int]
) -> None:
    assert together(export, tmp_path_factory.mktemp("several"), owners, 4) == expected


def test_shards_are_merged_in_ranges_of_any_size(
    export: Export, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training_container.device_rows.SHARD_ROWS", 150)
    assert together(export, tmp_path, round_robin(3), 3) == expected


POINTS = {
    "reading": ("training_container.shards", "_written"),
    "computing": ("training_container.feature_shard", "as_records"),
    "merging": ("training_container.merge", "append_splits"),
}


def killed(point: str, after: int, run: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Runs in a process of its own, which SIGKILL ends once it has passed the point so often; whether that was its end."""
    child = os.fork()
    if child == 0:
        module, name = POINTS[point]
        function, calls = getattr(importlib.import_module(module), name), iter(range(after))

        def lethal(*given: Any, **named: Any) -> Any:
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **named)

        monkeypatch.setattr(f"{module}.{name}", lethal)
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_worker_leaves_nothing_that_changes_the_next_attempt(
    export: Export, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("training_container.device_rows.SHARD_ROWS", 150)
    monkeypatch.setattr("training_container.shards.BLOCK_ROWS", 400)
    draw = random.Random(seed)
    mine = export.objects[1::2]
    run = lambda: engineer_shard(export, tmp_path, mine, 1, 2)  # noqa: E731
    assert engineer_shard(export, tmp_path, export.objects[::2], 0, 2) == 0
    for point in ("reading", "computing"):
        assert killed(point, draw.randrange(3), run, monkeypatch)
        assert merge(tmp_path) == 2  # and nobody takes half of it for the whole
    assert run() == 0
    assert killed("merging", draw.randrange(5), lambda: merge(tmp_path), monkeypatch)
    assert merge(tmp_path) == 0
    assert outputs(tmp_path / "features") == expected


def test_parts_of_the_training_split_are_whole_devices_and_together_the_whole(export: Export, tmp_path: Path) -> None:
    alone(export, tmp_path / "one")
    alone(export, tmp_path / "three", "--train-parts", "3")
    whole = Split.read(tmp_path / "one" / "columnar", "train")
    columnar = tmp_path / "three" / "columnar"
    names = [f"train-0000{part}-of-00003" for part in range(3)]
    assert sorted(path.stem for path in columnar.iterdir()) == sorted(["calibration", "test", *names, "validation"])
    parts = [Split.read(columnar, name) for name in names]
    devices = [set(part.device.tolist()) for part in parts]
    assert sum(map(len, devices)) == len(set().union(*devices))
    joined = Split.concatenate(parts)
    for field in Split.__slots__:
        np.testing.assert_array_equal(getattr(joined, field), getattr(whole, field), err_msg=field)


def test_a_columnar_file_is_what_numpy_writes_of_the_same_arrays(expected: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "test.npz").write_bytes(expected["columnar/test.npz"])
    Split.read(tmp_path, "test").write(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == expected["columnar/test.npz"]


@pytest.mark.parametrize(
    ("device_rows", "parts", "bounds"),
    [
        ([5, 5, 5, 5], 2, [0, 10, 20]),
        ([1, 1, 1, 97], 2, [0, 3, 100]),
        ([97, 1, 1, 1], 3, [0, 97, 98, 100]),
        ([97, 1, 1, 1], 4, [0, 97, 98, 99, 100]),
        ([], 1, [0, 0]),
    ],
    ids=["equal", "late", "early", "one each", "none"],
)
def test_parts_are_cut_between_devices_and_none_is_empty(device_rows: list[int], parts: int, bounds: list[int]) -> None:
    assert part_bounds(device_rows, parts) == bounds


def test_more_parts_than_devices_are_refused(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["engineer", "--input", str(export.folder), "--output", str(tmp_path / "out"), "--train-parts", "500"]
    assert main(argv) == 2
    assert "fewer than the 500 parts" in capsys.readouterr().err


def test_without_tables_a_note_stands_in_their_place(
    export: Export, expected: dict[str, bytes], tmp_path: Path
) -> None:
    found = alone(export, tmp_path, "--tables", "none")
    assert b"--tables csv" in found.pop("tables-left-out.txt")
    assert found == {name: content for name, content in expected.items() if not name.endswith(".csv")}


def said(export: Export, folder: Path, **changes: Any) -> Export:
    """The same export with a manifest that says something else."""
    folder.mkdir()
    for path in export.objects:
        (folder / path.name).symlink_to(path)
    manifest = {**export.manifest(), **changes}
    (folder / "manifest.json").write_text(json.dumps({n: v for n, v in manifest.items() if v is not None}))
    return Export(folder, export.oracle)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"devices_in_several_objects": None}, "does not say that each object holds whole devices"),
        ({"devices_in_several_objects": 3}, "the manifest has 3 devices in several objects"),
        ({"labelled_by_source": None}, "does not say whether the source labels its rows"),
        ({"objects": [{"key": "raw/export-batch-000-00000.json", "rows": 7}]}, "but the manifest has 7"),
    ],
    ids=["no promise", "broken promise", "labels", "rows"],
)
def test_an_instance_of_several_refuses_what_it_cannot_know(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: Json, reason: str
) -> None:
    other = said(export, tmp_path / "other", **changes)
    assert engineer_shard(other, tmp_path, other.objects[::2], 0, 2) == 2
    assert reason in capsys.readouterr().err


def test_a_device_that_lies_elsewhere_too_is_refused_by_name(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = json.loads(export.objects[0].read_text())[0]["device_id"]
    other = said(export, tmp_path / "other", devices_in_several_objects=[{"device_id": device}])
    assert engineer_shard(other, tmp_path, other.objects[1::2], 1, 2) == 0
    assert engineer_shard(other, tmp_path, other.objects[::2], 0, 2) == 2
    assert f"device {device!r} in several objects" in capsys.readouterr().err


def test_files_without_a_manifest_are_one_instances(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = Export(tmp_path / "plain", export.oracle)
    plain.folder.mkdir()
    assert engineer_shard(plain, tmp_path, export.objects, 0, 2) == 2
    assert "2 instances need the export's manifest.json" in capsys.readouterr().err


def test_a_merge_refuses_what_is_not_the_whole_of_one_export(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> str:
        assert merge(tmp_path) == 2
        assert not (tmp_path / "features").exists()
        return capsys.readouterr().err

    first, second = export.objects[::2], export.objects[1::2]
    assert "holds no shard of features" in refused()
    assert engineer_shard(export, tmp_path, first, 0, 2) == 0
    assert "the shards 0 of 2; each of one job must be there once" in refused()
    assert engineer_shard(export, tmp_path, second[1:], 1, 2) == 0
    assert "insights, but the export has 1500" in refused()
    assert engineer_shard(export, tmp_path, [*second, first[0]], 1, 2) == 0
    assert f"two instances have read {first[0].name}" in refused()
    assert engineer_shard(said(export, tmp_path / "other", run_id="b"), tmp_path, second, 1, 2) == 0
    assert "of different exports" in refused()
    rows = tmp_path / "shards" / "shard-00001-of-00002" / "rows.bin"
    rows.write_bytes(rows.read_bytes()[:-1])
    assert "which its summary does not" in refused()


def test_a_device_in_the_objects_of_two_instances_is_refused_whatever_the_manifest_promised(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = Export(tmp_path / "cut", export.oracle)
    cut.folder.mkdir()
    rows = json.loads(export.objects[0].read_text())
    for number, part in enumerate((rows[:-3], rows[-3:])):
        (cut.folder / f"export-batch-000-0000{number}.json").write_text(json.dumps(part))
    objects = [{"key": "raw/export-batch-000-00000.json", "rows": len(rows) - 3}]
    (cut.folder / "manifest.json").write_text(json.dumps({**export.manifest(), "rows": len(rows), "objects": objects}))
    assert [engineer_shard(cut, tmp_path, [path], place, 2) for place, path in enumerate(cut.objects)] == [0, 0]
    assert merge(tmp_path) == 2
    assert f"two instances hold rows of device {rows[-1]['device_id']!r}" in capsys.readouterr().err


def test_an_instance_learns_its_place_from_the_job(
    export: Export, tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, mine in (("algo-1", export.objects[::2]), ("algo-2", export.objects[1::2])):
        root = tmp_path / host
        monkeypatch.setenv("SAGEMAKER_ROOT", str(root))
        for name, files in (
            ("raw", mine),
            ("manifest", [export.folder / "manifest.json"]),
            ("oracle", [export.oracle / "oracle.npz"]),
        ):
            folder = root / "processing" / "input" / name
            folder.mkdir(parents=True)
            for path in files:
                (folder / path.name).write_bytes(path.read_bytes())
        (root / "config").mkdir()
        told = {"current_host": host, "hosts": ["algo-2", "algo-1"]}
        (root / "config" / "resourceconfig.json").write_text(json.dumps(told))
        assert main(["engineer", "--split", "device"]) == 0
        made = root / "processing" / "output" / "features"
        shutil.copytree(made, tmp_path / "merging" / "processing" / "input" / "shards", dirs_exist_ok=True)
    monkeypatch.setenv("SAGEMAKER_ROOT", str(tmp_path / "merging"))
    assert main(["merge", "--split", "device"]) == 0
    assert outputs(tmp_path / "merging" / "processing" / "output" / "features") == expected
