"""One warm prediction through the laptop path, by hop: gateway with authorizer, Lambda, DynamoDB, InvokeEndpoint, container.

Deployed as the app is, with a live risk model; two functions are added behind the same authorizer: one that does
nothing, and predict with bench/probes/timed_predict.py around its handler. Every round asks each once about a stored
device, one request at a time on kept connections, so whatever else the machine does meets all alike.

lambda_own_ms_p50 is the median over the rounds of the handler's wall time less the time in which at least one of its
requests (DynamoDB, InvokeEndpoint) was on its way, from botocore's `send` to the answer's last byte. So reading and
checking the body, building, signing and parsing those requests, and Powertools are the Lambda's own; what the emulator
takes to answer them is not. What the emulator costs stands beside it: the no-op Lambda through the same gateway, the
same DynamoDB calls and InvokeEndpoint sent from here, /invocations of a container of the same model started here.
ROUNDS (300) is how many rounds are measured.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.material.laptop_path import KIND, Connection, LaptopPath, laptop_path
from bench.material.table import keep, show
from lambdas.predict.model_endpoint import Instance, request_body
from lambdas.predict.telemetry import Telemetry
from local.api_client import post
from tests.e2e.served_models import endpoint_name

WARM_UP = 30
TOTAL = "whole path, client to client"
NOOP = "gateway, authorizer, Lambda's start (no-op)"
OWN = "Lambda: own"
INVOKE = "Lambda: InvokeEndpoint"
CONTAINER = "container: POST /invocations"
INSIDE = {
    "Query": "Lambda: DynamoDB query of the window",
    "QueryLastAlert": "Lambda: DynamoDB query of the last alert",
    "InvokeEndpoint": INVOKE,
    "PutItem": "Lambda: DynamoDB put of the prediction",
}
"""What the probe calls a request -> its line in the table."""


def main() -> None:
    rounds = int(os.environ.get("ROUNDS", "300"))
    with tempfile.TemporaryDirectory() as folder, laptop_path(Path(folder)) as path:
        ask = asker(path)
        measured = [ask() for _ in range(WARM_UP + rounds)][WARM_UP:]
    report(measured)


def asker(path: LaptopPath) -> Callable[[], dict[str, float]]:
    """Measures one round: milliseconds by hop."""
    api, model = Connection(path.cloud.settings.port), Connection(path.container_port)
    body, token = json.dumps({"device_id": path.device_id}), {"Authorization": f"Bearer {path.token}"}
    dynamodb, runtime = path.cloud.client("dynamodb"), path.cloud.client("sagemaker-runtime")
    deployment = path.served.deployment
    telemetry = Telemetry(deployment["IopsData.InsightsTableName"], "last-alert", dynamodb)
    window = telemetry.window(path.device_id)
    table, item = stored_item(path, dynamodb)
    question = request_body([Instance(window.rows, window.last_alert_at).to_json()])

    def invoke() -> bytes:
        answer: bytes = runtime.invoke_endpoint(
            EndpointName=endpoint_name(KIND), ContentType="application/json", Body=question
        )["Body"].read()
        return answer

    def ask() -> dict[str, float]:
        total, answer = api.post(f"{path.api_path}/timed", body, token)
        inside = json.loads(answer.headers["Server-Timing"])
        noop, _ = api.post(f"{path.api_path}/noop", body, token)
        served, _ = model.post("/invocations", question, {})
        return {
            TOTAL: total,
            NOOP: noop,
            "gateway, authorizer, Lambda's start, for a prediction": total - inside["handler"],
            "Lambda: handler, whole": inside["handler"],
            OWN: inside["handler"] - inside["waited"],
            "Lambda: processor time, requests included": inside["processor"],
            **{line: inside[name] for name, line in INSIDE.items()},
            "InvokeEndpoint above the container": inside["InvokeEndpoint"] - served,
            CONTAINER: served,
            "from here: DynamoDB queries of window and last alert": milliseconds(
                lambda: telemetry.window(path.device_id)
            ),
            "from here: DynamoDB put": milliseconds(lambda: dynamodb.put_item(TableName=table, Item=item)),
            "from here: InvokeEndpoint": milliseconds(invoke),
        }

    return ask


def stored_item(path: LaptopPath, dynamodb: Any) -> tuple[str, dict[str, Any]]:
    """The predictions table and a prediction as predict stores one, to be put again and again."""
    table = path.served.deployment["IopsData.PredictionsTableName"]
    answer = post(
        path.cloud.endpoint_url + path.api_path, f"/api/predict/{KIND}", {"device_id": path.device_id}, token=path.token
    )
    if answer.status != 200:
        raise RuntimeError(f"no prediction of {path.device_id}: {answer.body}")
    item: dict[str, Any] = dynamodb.scan(TableName=table, Limit=1)["Items"][0]
    return table, item


def milliseconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def report(measured: Sequence[dict[str, float]]) -> None:
    found = {
        hop: {"p50": statistics.median(times), "p99": percentile(times, 99)}
        for hop in measured[0]
        if (times := [row[hop] for row in measured])
    }
    show(
        f"One warm prediction by hop, ms, {len(measured)} rounds",
        [{"hop": hop, **figures} for hop, figures in found.items()],
    )
    keep(
        "hops",
        {
            "rounds": len(measured),
            "lambda_own_ms_p50": found[OWN]["p50"],
            "lambda_own_ms_p99": found[OWN]["p99"],
            "p50_ms": found[TOTAL]["p50"],
            "p99_ms": found[TOTAL]["p99"],
            "noop_p50_ms": found[NOOP]["p50"],
            "hops": found,
        },
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]
