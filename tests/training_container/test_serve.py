from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from tests.training_container.conftest import Pipeline


class Server(NamedTuple):
    url: str
    process: subprocess.Popen[bytes]

    def post(self, body: bytes, content_type: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}/invocations", data=body, headers={"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)


def ping(url: str) -> int:
    try:
        return urllib.request.urlopen(f"{url}/ping", timeout=5).status
    except urllib.error.HTTPError as red:
        return red.code


def started(model: Path) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "MODEL_PACKAGE_ARN": "arn:package/1", "SERVE_WORKERS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "training_container", "serve", "--model", str(model), "--port", str(port)],
        env=environment,
    )
    url = f"http://127.0.0.1:{port}"
    while process.poll() is None:
        try:
            ping(url)
            break
        except urllib.error.URLError:
            time.sleep(0.05)
    return Server(url, process)


@pytest.fixture(scope="module")
def risk(pipeline: Pipeline) -> Iterator[Server]:
    server = started(pipeline.models["risk"])
    yield server
    server.process.kill()
    server.process.wait()


def windows(pipeline: Pipeline) -> tuple[list[dict[str, Any]], pd.Series]:
    """A device's first twelve insights, and the engineered row of the twelfth."""
    rows = json.loads((pipeline.raw / "training-data.json").read_text())[:12]
    table = pd.read_csv(pipeline.features / "features.csv")
    chosen = table[(table.device_id == rows[-1]["device_id"]) & (table.timestamp == rows[-1]["timestamp"])]
    return rows, chosen.iloc[0]


def csv_of(row: pd.Series) -> str:
    return ",".join("" if np.isnan(row[name]) else repr(float(row[name])) for name in FEATURE_NAMES)


def test_a_window_and_its_engineered_row_get_the_answer_of_the_stored_trees(risk: Server, pipeline: Pipeline):
    insights, engineered = windows(pipeline)
    booster = xgb.Booster(model_file=str(pipeline.models["risk"] / "model.ubj"))
    temperature = json.loads((pipeline.models["risk"] / "model.json").read_text())["temperature"]
    row = xgb.DMatrix(engineered[list(FEATURE_NAMES)].to_numpy(np.float32).reshape(1, -1))
    margins = booster.predict(row, output_margin=True)[0] / temperature
    expected = np.exp(margins) / np.exp(margins).sum()

    status, of_window = risk.post(json.dumps({"instances": [{"insights": insights}]}).encode(), "application/json")
    _, of_row = risk.post(csv_of(engineered).encode(), "text/csv")

    assert status == 200
    assert of_window["model_version"] == "arn:package/1"
    answer = of_window["predictions"][0]
    assert list(answer["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert answer["confidence"] == pytest.approx(expected.max(), abs=1e-5)
    assert of_row["predictions"] == of_window["predictions"]
    shap = booster.predict(row, pred_contribs=True)[0][expected.argmax()][:-1]
    assert [c["contribution"] for c in answer["contributions"]] == pytest.approx(
        sorted(shap, key=lambda value: -abs(value))[:5], abs=1e-5
    )


def test_performance_is_answered_with_an_interval_around_the_score(pipeline: Pipeline):
    server = started(pipeline.models["performance"])
    try:
        insights, _ = windows(pipeline)
        status, answer = server.post(json.dumps({"insights": insights}).encode(), "application/json")
    finally:
        server.process.kill()
        server.process.wait()

    prediction = answer["predictions"][0]
    assert status == 200
    assert prediction["interval"]["lower"] <= prediction["performance_score"] <= prediction["interval"]["upper"]


HEADER = ",".join(FEATURE_NAMES)
ROW = ",".join(["1"] * 25)  # within every feature's range
ONE_INSIGHT = {
    "device_id": "d",
    "timestamp": "2026-01-01T00:00:00.000Z",
    "interval_seconds": 300,
    "read_iops": 1000,
    "write_iops": 1,
    "bandwidth_mbps": 1,
    "avg_latency_ms": 1,
}
TINY_LATENCY = {**ONE_INSIGHT, "avg_latency_ms": 1e-60}
ROTATED = ",".join((*FEATURE_NAMES[1:], FEATURE_NAMES[0]))


@pytest.mark.parametrize(
    ("body", "content_type", "status", "named"),
    [
        (ROW + ",1", "text/csv", 400, "26 columns"),
        (ROW[:-2], "text/csv", 400, "24 columns"),
        (f"{ROTATED}\n{ROW}", "text/csv", 400, "column 1 is write_iops; it must be read_iops"),
        (f"{HEADER.replace('queue_depth', 'queue')}\n{ROW}", "text/csv", 400, "missing queue_depth; unknown 'queue'"),
        (HEADER, "text/csv", 400, "no row"),
        ("", "text/csv", 400, "no row"),
        ("nan," + ROW[2:], "text/csv", 400, "read_iops is 'nan'"),
        ("many," + ROW[2:], "text/csv", 400, "read_iops is 'many'"),
        ("1_0," + ROW[2:], "text/csv", 400, "read_iops is '1_0'"),
        ("-1," + ROW[2:], "text/csv", 400, "read_iops is '-1'; it must be 0 to inf (operations/s)"),
        (ROW.replace("1,", "7,"), "text/csv", 400, "error_rate is '7'"),
        ('"' + "1" * 200_000, "text/csv", 400, "no CSV"),
        ("\n".join([ROW] * 1_001), "text/csv", 413, "1001 rows"),
        (json.dumps({"instances": [{"insights": []}] * 1_001}), "application/json", 413, "1001 rows"),
        (json.dumps({"insights": [TINY_LATENCY]}), "application/json", 400, "avg_latency_ms has the value 1e-60"),
        ("1e300," + ROW[2:], "text/csv", 400, "read_iops is '1e300'"),
        ("{", "application/json", 400, "no JSON"),
        ("[" * 100_000, "application/json", 400, "no JSON"),
        ('{"insights": [NaN]}', "application/json", 400, "NaN"),
        ('{"a":' * 100_000, "application/json", 400, "no JSON"),
        ("\n".join([ROW] * 10_000), "text/csv", 413, "10000 rows"),
        (json.dumps({"insights": [{**ONE_INSIGHT, "read_iops": 10**4000}]}), "application/json", 400, "read_iops"),
        ('{"insights": [' + "1" * 5_000 + "]}", "application/json", 400, "no JSON"),
        (json.dumps({"insights": [{**ONE_INSIGHT, "error_rate": 7}]}), "application/json", 400, "field error_rate"),
        (json.dumps({"insights": [{**ONE_INSIGHT, "iops": 7}]}), "application/json", 400, "field iops"),
        (
            json.dumps({"insights": [ONE_INSIGHT, {**ONE_INSIGHT, "device_id": "e"}]}),
            "application/json",
            400,
            "2 devices",
        ),
        ('{"instances": []}', "application/json", 400, "instances"),
        ('{"insights": []}', "application/json", 400, "instances[0].insights"),
        ('{"insights": [{"device_id": "d"}]}', "application/json", 400, "timestamp"),
        ('{"insight": []}', "application/json", 400, "insight is unknown"),
        ("<x/>", "application/xml", 415, "application/xml"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_and_says_what_is_wrong(
    risk: Server, body: str, content_type: str, status: int, named: str
):
    answered, answer = risk.post(body.encode(), content_type)

    assert answered == status
    assert named in answer["error"]


def test_text_in_another_encoding_and_a_body_too_large_are_the_callers(risk: Server):
    assert risk.post(b"\xff\xfe\x00", "text/csv")[0] == 400
    assert risk.post(b"1" * (6 * 1024 * 1024 + 1), "text/csv")[0] == 413


def test_ping_stays_red_for_a_model_that_no_longer_answers_its_golden_rows(pipeline: Pipeline, tmp_path: Path):
    for file in pipeline.models["risk"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "temperature": description["temperature"] * 2}))

    server = started(tmp_path)
    try:
        assert ping(server.url) == 503
        status, answer = server.post(ROW.encode(), "text/csv")
        assert (status, "golden row" in answer["error"]) == (503, True)
    finally:
        server.process.kill()
        server.process.wait()


def test_many_windows_in_one_request_get_the_answers_that_they_get_alone(risk: Server, pipeline: Pipeline):
    insights = json.loads((pipeline.raw / "training-data.json").read_text())
    given = [{"insights": insights[i : i + 1], "last_alert_at": "2026-01-01T00:00:00Z"} for i in range(0, 1000, 23)]

    _, together = risk.post(json.dumps({"instances": given}).encode(), "application/json")
    alone = [risk.post(json.dumps(window).encode(), "application/json")[1]["predictions"] for window in given]

    assert [[answer] for answer in together["predictions"]] == alone


@pytest.mark.parametrize("workers", ["0", "-1", "many", "1000"])
def test_a_number_of_workers_that_cannot_be_meant_is_refused(workers: str, tmp_path: Path):
    environment = {**os.environ, "SERVE_WORKERS": workers, "SAGEMAKER_ROOT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "training_container", "serve"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert f"SERVE_WORKERS is '{workers}'" in done.stderr


def test_sigterm_lets_the_server_end_in_order(pipeline: Pipeline):
    server = started(pipeline.models["risk"])
    assert ping(server.url) == 200

    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(timeout=30) == 143
