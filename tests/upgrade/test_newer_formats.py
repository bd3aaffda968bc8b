"""A record of a format that this version does not know is refused in words, wherever one is stored (docs/formats.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insights.formats import NewerFormat, check_format
from insights.schema import ITEM_FORMAT, Insight, InvalidInsight
from lambdas.attribute_values import to_item
from lambdas.describe_models.latest_watch import latest_watch
from lambdas.judge_experiment.tally import Tally
from lambdas.objects import UnreadableFormat, UnreadableObject
from lambdas.prepare_promotion.history import package_before
from lambdas.publish_watch.publish_watch import publish_watch
from lambdas.read_fleet.read_fleet import Fleet, FleetEnvironment
from lambdas.restore_package.restore_package import restore_package
from tests.upgrade.test_previous_release import PREVIOUS, previous
from training_container.baseline_file import read_baseline
from training_container.errors import UnusableInput
from training_container.export_manifest import ExportManifest
from training_container.merge import previous_splits
from training_container.model_folder import ModelDescription, extracted, read_golden, read_preprocessing
from training_container.watching.live_quality import judged_of, read_outcomes

NEWER = "is of format 2, and this version reads 1; deploy the version that wrote it, or a newer one"
REMEDY = "deploy the version that wrote"


@pytest.mark.parametrize("record", [{}, {"format": 1}, {"format": 1.0}])
def test_the_first_format_may_be_named_or_not(record: dict[str, Any]) -> None:
    check_format(record, "it")


@pytest.mark.parametrize("written", [0, 2, "1", True, None, [1], 10**400])
def test_every_other_is_refused(written: object) -> None:
    with pytest.raises(NewerFormat, match=r"^it is of format .*, and this version reads 1; deploy"):
        check_format({"format": written}, "it")


def test_a_row_of_the_table(cloud: Any) -> None:
    item = {"device_id": "a", "timestamp": "2026-03-02T10:00:00Z", "interval_seconds": 300.0, "read_iops": 1.0}
    item |= {"write_iops": 1.0, "bandwidth_mbps": 1.0}
    assert Insight.from_item({**item, ITEM_FORMAT: 1}) == Insight.from_item(item)
    with pytest.raises(InvalidInsight, match=f"_format has the value 2.*{REMEDY}"):
        Insight.from_item({**item, ITEM_FORMAT: 2})


def test_what_is_shown_of_the_fleet_leaves_newer_items_out(cloud: Any) -> None:
    fleet = Fleet(FleetEnvironment("insights", "predictions", "devices", "requests", 1000, "http://a"), cloud.dynamodb)
    item = {"device_id": "a", "timestamp": "2026-03-02T10:00:00Z", "interval_seconds": 300.0, "read_iops": 1.0}
    item |= {"write_iops": 1.0, "bandwidth_mbps": 1.0}
    for number, format_of_it in enumerate((1, 2)):
        marked = {ITEM_FORMAT: format_of_it}
        moment = f"2026-03-02T10:0{number}:00.000Z"
        cloud.dynamodb.put_item(TableName="insights", Item=to_item({**item, "timestamp": moment, **marked}))
        shown = {"device_id": "a", "predicted_at_id": f"{moment}#risk#0", "kind": "risk", **marked}
        cloud.dynamodb.put_item(TableName="predictions", Item=to_item(shown))
        cloud.dynamodb.put_item(
            TableName="devices", Item=to_item({"device_id": f"d{number}", "as_of": moment, **marked})
        )
    assert [row["timestamp"] for row in fleet.insights({"device_id": "a"})["insights"]] == ["2026-03-02T10:00:00.000Z"]
    [prediction] = fleet.predictions({"device_id": "a"})["predictions"]
    assert prediction == {"device_id": "a", "kind": "risk", "prediction_id": "2026-03-02T10:00:00.000Z#risk#0"}
    assert [device["device_id"] for device in fleet.devices({})["devices"]] == ["d0"]


def test_an_outcome_of_a_newer_prediction_is_counted_as_broken(tmp_path: Path) -> None:
    line = {"kind": "performance", "device_id": "a", "performance_score": 3, "outcome": {"performance_score": 3}}
    assert judged_of(line, "performance") is not None
    (tmp_path / "a.jsonl").write_text(json.dumps({**line, ITEM_FORMAT: 2}))
    assert read_outcomes(tmp_path, "performance").broken_lines == 1


def _restore(cloud: Any) -> Any:
    return restore_package({"kind": "risk", "version": 3}, bucket=cloud.bucket, s3=cloud.s3, sagemaker=None)


def _publish(cloud: Any) -> Any:
    period = {"start": "2026-03-01T00:00:00.000Z", "end": "2026-03-02T00:00:00.000Z"}
    found = {"kind": "risk", "period": period, "rows": 0, "compared": False, "drift_detected": False, "variants": []}
    cloud.put("m/watch.json", json.dumps({**found, "live": {"outcomes": 0}, "drifted_features": []}).encode())
    return publish_watch(kind="risk", bucket=cloud.bucket, prefix="m/", s3=cloud.s3, tell=lambda *_, **__: None)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (
            "promotions/risk/2026-03-02T11-09-00.000Z-b.json",
            lambda cloud: package_before(cloud.s3, cloud.bucket, "risk", "a"),
        ),
        ("retired/risk/3.json", _restore),
        ("monitoring/risk/tally.json", lambda cloud: Tally.read(cloud.s3, cloud.bucket, "monitoring/risk/tally.json")),
        ("monitoring/risk/latest.json", _publish),
    ],
)
def test_an_object_of_the_bucket(cloud: Any, key: str, read: Callable[[Any], Any]) -> None:
    cloud.put(key, json.dumps({"format": 2}).encode())
    with pytest.raises(UnreadableFormat, match=f"^s3://iops-bucket/{key} {NEWER}$"):
        read(cloud)
    assert issubclass(UnreadableFormat, UnreadableObject)


def test_a_newer_watch_is_not_shown_and_the_models_are_told_of_all_the_same(cloud: Any) -> None:
    cloud.put("monitoring/risk/latest.json", json.dumps({"format": 2}).encode())
    assert latest_watch(cloud.s3, cloud.bucket, "risk") is None


def _changed(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("model.json", ModelDescription.read),
        ("golden.json", read_golden),
        ("preprocessing.json", read_preprocessing),
        ("manifest.json", ExportManifest.find),
        ("splits.json", previous_splits),
    ],
)
def test_a_file_of_a_model_or_a_run(tmp_path: Path, name: str, read: Callable[[Path], Any]) -> None:
    folder = extracted(PREVIOUS / "risk.tar.gz", tmp_path)
    _changed(folder, name, format=3)
    with pytest.raises(
        UnusableInput, match=r"format 3, (and )?this (version|code) reads .*(train again|deploy|run engineer)"
    ):
        read(folder)


def test_a_baseline(tmp_path: Path) -> None:
    np.savez(tmp_path / "baseline.npz", version=np.array(2))
    with pytest.raises(UnusableInput, match=r"its version is 2, this code reads 1.*train again"):
        read_baseline(tmp_path)


def test_a_group_named_format_is_a_group(tmp_path: Path) -> None:
    """splits.json names groups by their hosts, and a host may have any name."""
    (tmp_path / "splits.json").write_text(json.dumps({**previous("splits.json"), "format": "train"}))
    assert previous_splits(tmp_path)["format"] == "train"
