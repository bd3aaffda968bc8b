"""Inputs that once made a parser fail instead of refuse, by target; `make fuzz` and test_parsers.py found them."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH
from tests.fuzz.nasty import deep_inputs
from training_container.split_file import Split

HUGE = "1" + "0" * 400  # an int that is no float
DIGITS = "9" * 5000  # more than Python turns into a number
LONG = "x" * 5000
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3"
# Read without complaint, and too deep for repr in a deeper frame.
DEEP = [
    b'{"a":' * depth + b"1" + b"}" * depth
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit(), 20)
]


def said(**values: object) -> bytes:
    return json.dumps(values).encode()


def archive(*members: str) -> bytes:
    """An .npz whose first two members are as they should be and whose others are no arrays: numpy gives their bytes."""
    stream = io.BytesIO()
    np.savez(
        stream,
        version=np.array(1),
        feature_table_hash=np.array(FEATURE_TABLE_HASH),
        feature_names=np.array(FEATURE_NAMES),
    )
    with zipfile.ZipFile(stream, "a") as file:
        for name in members:
            if name not in ("version", "feature_table_hash"):
                file.writestr(f"{name}.npy", b"no array")
    return stream.getvalue()


HEADER = b"\x93NUMPY\x01\x00\x0a\x00{'descr':(\n"  # cut off in the middle of what numpy reads as Python


def cut_header(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(f"{name}.npy", HEADER)
    return stream.getvalue()


FOUND: Mapping[str, Sequence[bytes]] = {
    "insight_json": [said(**{LONG: 1}), *DEEP],
    "insight_files": [b"device_id," + LONG.encode() + b"\n", said(**{LONG: 1})],
    "api_query": [said(device_id="a", **{LONG: "1"})],
    "package_metadata": [said(metric_accuracy=text) for text in ("NaN", "1e999", "good", "")],
    "model_answer": [
        said(predictions=[{"risk_level": "high", "probabilities": dict.fromkeys(("low", "medium", "high", "critical"), 0.25),
                           "confidence": 0.5, "contributions": [{"feature": "p99_latency", "value": 1, "contribution": 0}]}],
             model_version="v").replace(b'"contribution": 0', b'"contribution": 1e309'),
    ],
    "invocations_csv": [b"read_iops," + LONG.encode() + b"\n1,2", ",".join((*FEATURE_NAMES, "")).encode() + b"\n1,2"],
    "run_input": [
        *DEEP,
        b'{"gate":{"min_critical_rows":%b}}' % HUGE.encode(),
        said(**{LONG: 1}),
        said(gate={LONG: 1}),
    ],
    "promotion_input": [*DEEP, said(kind="risk", version=DIGITS), said(kind=LONG), HUGE.encode(), said(**{LONG: 1})],
    "watch_input": [*DEEP, b"null", b'" "', b"[]", b'""', b"true", said(end=LONG), said(**{LONG: 1})],
    "restore_input": [*DEEP, b"null", b"[]", b"1", b'""'],
    "environment_run": [
        said(BUCKET_NAME="b", INSIGHTS_TABLE_NAME="t", SCAN_SEGMENTS=DIGITS),
        said(BUCKET_NAME="b", INSIGHTS_TABLE_NAME="t", MODEL_TYPE=LONG),
    ],
    "serving_hours": [said(windows=text) for text in ("[[]]", "1", "[[1]]", "[1]", "{", DIGITS, "[[null,1]]", "[" * 100_000)],
    "run_options": [
        said(INSIGHTS="synthetic", RECORDS=DIGITS),
        said(INSIGHTS="synthetic", SEED=LONG),
        said(INSIGHTS=LONG),
        said(INSIGHTS="a" * 300),
        said(INSIGHTS="a\0b"),
    ],
    "hyperparameters": [said(kind="risk", eta=LONG), said(kind=LONG), said(kind="risk", **{LONG: "1"})],
    "hyperparameters_file": [b"", b"null", b"[]", b"\xff\xfe", DIGITS.encode(), b"[" * 100_000],
    "failure_cause": [b"[" * 100_000, *DEEP],
    "experiment_note": [b"{}", b"[]", b"[" * 100_000, b'{"mode":"ab","challenger":"a","share":%b}' % HUGE.encode()],
    "model_description": [b"[" * 100_000, b'{"format":1,"kind":"risk","classes":["a"],"best_iteration":%b}' % HUGE.encode()],
    "model_golden": [
        b"[" * 100_000,
        b'{"rows":[[%b]],"predictions":[],"feature_names":[]}' % HUGE.encode(),
        b'{"rows":[[1]],"predictions":[],"feature_names":5}',
        b'{"rows":[[1]],"predictions":5,"feature_names":[]}',
        said(rows=[[LONG]], predictions=[], feature_names=[]),
    ],
    "model_preprocessing": [b"[" * 100_000, said(feature_names=[LONG])],
    "model_baseline": [archive("version", "feature_table_hash", "codes", "unit", "stratum", "edges"),
        b"", b"PK\x03\x04" + b"\x00" * 26, b"\x93NUMPY\x01\x00v\x00{'descr'"],
    "model_archive": [b"", b"\x1f\x8b\x08\x00" + b"\x00" * 40, b"\x00" * 2048],
    "split_file": [archive(*Split.__slots__), cut_header("feature_names"), b"", b"PK\x05\x06" + b"\x00" * 18],
    "splits_memory": [b"[" * 100_000, b"null", b"{"],
    "outcomes_risk": [
        b"[" * 100_000,
        b'{"kind":"risk","device_id":"a","outcome":{"risk_level":"low"},"probabilities":'
        b'{"low":NaN,"medium":0,"high":0,"critical":0}}',
        b'{"kind":"risk","device_id":"a","outcome":{"risk_level":"low"},"probabilities":'
        b'{"low":%b,"medium":0,"high":0,"critical":0}}' % HUGE.encode(),
    ],
    "outcomes_performance": [
        b'{"kind":"performance","device_id":"a","performance_score":3,"outcome":{"performance_score":NaN}}',
        b'{"kind":"performance","device_id":"a","performance_score":1e308,"outcome":{"performance_score":3}}',
    ],
    "watch_latest": [*deep_inputs()],
    "golden_rows": [
        b"[" * 100_000,
        b'{"rows":[5],"predictions":[{}]}',
        b'{"rows":[[1]],"predictions":[{"confidence":%b}]}' % HUGE.encode(),
    ],
    "retired_record": [
        b"{}",
        b"[" * 100_000,
        said(package={}, objects=True, retired_at="2026"),
        said(objects=[], retired_at="2026"),
        said(package={}, objects=[], retired_at=5),
    ],
}  # fmt: skip
