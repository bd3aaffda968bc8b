"""What lies in buckets and folders: a model's files, splits, captured requests, outcomes, watches, golden rows."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from insights.drift_baseline import Baseline
from insights.feature_table import FEATURE_NAMES
from lambdas.describe_models.describe_models import described_package
from lambdas.describe_models.latest_watch import latest_watch
from lambdas.objects import ObjectMissing, UnreadableObject
from lambdas.restore_package.restore_package import NothingToRestore, restore_package
from lambdas.verify_endpoint.verify_endpoint import verify_endpoint
from tests.fuzz.surfaces.requests import PREDICTION, RECORDS
from tests.fuzz.target import NotJson, Target, WellFormed, as_file, json_seeds, scratch, texts
from training_container.baseline_file import BASELINE, read_baseline
from training_container.errors import UnusableInput
from training_container.merge import previous_splits
from training_container.model_folder import (
    DESCRIPTION,
    GOLDEN,
    PREPROCESSING,
    ModelDescription,
    extracted,
    read_golden,
    read_preprocessing,
)
from training_container.split_file import Split
from training_container.watching.captures import read_captured
from training_container.watching.live_quality import live_quality, read_outcomes

ROW = [None, *[0.5] * (len(FEATURE_NAMES) - 1)]


def in_folder(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        as_file(data, name)
        read(scratch())

    return parse


def archive(data: bytes) -> None:
    into = scratch() / "extracted"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    extracted(as_file(data, "model.tar.gz"), into)
    assert not (scratch() / "escaped").exists()


def captured(data: bytes) -> None:
    """A broken line is counted, whatever it is."""
    folder = scratch() / "captured"
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_bytes(data)
    found = read_captured(folder, period=None, golden=np.zeros((1, len(FEATURE_NAMES)), np.float32))
    assert not np.isinf(found.X).any()


def outcomes(kind: str, data: bytes) -> None:
    """What counts as judged can be told as JSON, which has no NaN."""
    known = read_outcomes(as_file(data, "outcomes.jsonl"), kind)
    json.dumps(live_quality(known, kind), allow_nan=False)


class _Store:
    """An object store that gives one text for every key."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.data)}

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(json.dumps({"predictions": [PREDICTION], "model_version": "arn"}).encode())}

    def get_paginator(self, _: str) -> Any:
        raise WellFormed

    def create_model_package(self, **_: Any) -> dict[str, str]:
        return {"ModelPackageArn": "arn"}


def watch_latest(data: bytes) -> None:
    """Whatever stands there, the models are told of all the same."""
    json.dumps(latest_watch(_Store(data), "b", "risk"), allow_nan=False)


def golden_rows(data: bytes) -> None:
    store = _Store(data)
    verify_endpoint(
        endpoint_name="e", golden_uri="s3://b/golden.json", expected_package="arn", s3=store, sagemaker_runtime=store
    )


def package_metadata(data: bytes) -> None:
    """Texts that anybody may have written who may register a package."""
    package = {"ModelPackageVersion": 1, "ModelPackageArn": "arn", "CreationTime": datetime(2026, 3, 2, tzinfo=UTC)}
    json.dumps(described_package({**package, "CustomerMetadataProperties": texts(data)}), allow_nan=False)


def retired_record(data: bytes) -> None:
    store = _Store(data)
    with suppress(WellFormed):
        restore_package({"kind": "risk", "version": 3}, bucket="b", s3=store, sagemaker=store)


def _description() -> dict[str, Any]:
    ModelDescription(
        kind="risk",
        classes=("low", "medium", "high", "critical"),
        best_iteration=3,
        hyperparameters={"eta": 0.1},
        training_rows=10,
        calibration_rows=3,
        training_ranges={"read_iops": [0.0, 1.0], "write_iops": [None, None]},
        temperature=1.5,
    ).write(scratch())
    made: dict[str, Any] = json.loads((scratch() / DESCRIPTION).read_text())
    return made


def _arrays(write: Callable[[io.BytesIO], None]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _baseline() -> bytes:
    X = np.zeros((6, len(FEATURE_NAMES)))
    made = Baseline.fit("risk", X, np.array(list("aabbcc")), np.array([np.nan, 0, 1, 2, 3, 0]))
    return _arrays(lambda stream: np.savez_compressed(stream, **made.to_arrays()))  # type: ignore[arg-type]


def _split() -> bytes:
    shapes = {"X": (2, len(FEATURE_NAMES)), "devices": (1,), "device_classes": (1,)}
    arrays = {slot: np.zeros(shapes.get(slot, (2,)), np.float32) for slot in Split.__slots__}
    names = np.array(FEATURE_NAMES, np.str_)
    return _arrays(lambda stream: np.savez(stream, feature_names=names, **arrays))  # type: ignore[arg-type]


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in (("model.json", b"{}"), ("../escaped", b"x"), ("deep/er", b"x")):
            if not name.startswith(".."):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


_CAPTURED = {
    "captureData": {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "encoding": "JSON",
            "data": json.dumps({"instances": [{"insights": RECORDS}]}),
        }
    },
    "eventMetadata": {"eventId": "1", "inferenceTime": "2026-03-02T11:00:00Z"},
    "eventVersion": "0",
}
_OUTCOME = {
    **PREDICTION,
    "kind": "risk",
    "device_id": "a/b",
    "feedback": {"risk_level": "low"},
    "outcome": None,
    "variant": "live",
}
_SCORE = {
    "kind": "performance",
    "device_id": "a/b",
    "performance_score": 3.5,
    "outcome": {"performance_score": 3.0},
    "model_version": "v",
}
_WATCH = {
    "kind": "risk",
    "period": {"start": "2026-03-01T11:00:00Z", "end": "2026-03-02T11:00:00Z"},
    "rows": 3,
    "drift_detected": True,
    "drifted_features": [{"feature": "p99_latency", "psi": 0.4, "ks": 0.1, "p_value": 0.01}],
    "worst_psi": 0.4,
    "live": {"outcomes": 3, "accuracy": 0.9, "lower": 0.8, "upper": 1.0},
    "variants": [{"variant": "live", "outcomes": 3}],
    "report": "s3://b/r",
}
_GOLDEN = {
    "kind": "risk",
    "feature_names": list(FEATURE_NAMES),
    "rows": [ROW],
    "predictions": [{k: v for k, v in PREDICTION.items() if k != "contributions"}],
}
_PREPROCESSING = {
    "feature_names": list(FEATURE_NAMES),
    **{name: [1.0] * len(FEATURE_NAMES) for name in ("median", "mean", "deviation")},
}
_RETIRED = {"package": {"ModelPackageGroupName": "g"}, "objects": ["models/a"], "retired_at": "2026-03-02T11:00:00Z"}
_UNUSABLE = (UnusableInput,)
_UNREADABLE = (UnreadableObject, ObjectMissing)
TARGETS = (
    Target("model_description", in_folder(DESCRIPTION, ModelDescription.read), _UNUSABLE, json_seeds([_description()])),
    Target("model_golden", in_folder(GOLDEN, read_golden), _UNUSABLE, json_seeds([_GOLDEN])),
    Target(
        "model_preprocessing", in_folder(PREPROCESSING, read_preprocessing), _UNUSABLE, json_seeds([_PREPROCESSING])
    ),
    Target("model_baseline", in_folder(BASELINE, read_baseline), _UNUSABLE, (_baseline(),), is_json=False),
    Target("model_archive", archive, _UNUSABLE, (_tar(),), is_json=False),
    Target(
        "split_file",
        in_folder("train.npz", lambda folder: Split.read(folder, "train")),
        _UNUSABLE,
        (_split(),),
        is_json=False,
    ),
    Target(
        "splits_memory",
        in_folder("splits.json", previous_splits),
        _UNUSABLE,
        json_seeds([{"host-1": "train", "host-2": "test"}]),
    ),
    Target("captured_requests", captured, (), json_seeds([_CAPTURED])),
    Target("outcomes_risk", lambda data: outcomes("risk", data), (), json_seeds([_OUTCOME])),
    Target("outcomes_performance", lambda data: outcomes("performance", data), (), json_seeds([_SCORE])),
    Target(
        "package_metadata",
        package_metadata,
        (NotJson,),
        json_seeds([{"kind": "risk", "metric_accuracy": "0.93", "metric_rows": "1500"}]),
    ),
    Target("watch_latest", watch_latest, (), json_seeds([_WATCH])),
    Target("golden_rows", golden_rows, _UNREADABLE, json_seeds([_GOLDEN])),
    Target("retired_record", retired_record, (*_UNREADABLE, NothingToRestore), json_seeds([_RETIRED])),
)
