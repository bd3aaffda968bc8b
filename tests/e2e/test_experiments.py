"""An experiment from its beginning to its end, on the deployment: ab, drop, shadow, promote; asked through the API's own
Lambda, as a dashboard's caller is."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from insights.experiments import variant_of
from local.execution import Execution, follow_execution
from tests.e2e.permissions import DeployedRoles, Templates, check
from tests.e2e.served_models import WATCHED, ServedModels, ServingOptions

pytestmark = pytest.mark.e2e

KIND, ENDPOINT, PARAMETER = "performance", "iops-performance-predictor", "/iops-insights/performance/experiment"
RECORD_SCHEMA = json.loads(Path("docs/promotion-record.schema.json").read_text())
SHARE = 50


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=(KIND,), context=WATCHED, wait_scale=0.02)


def succeeded(execution: Execution) -> dict[str, Any]:
    assert execution.status == "SUCCEEDED", execution.cause
    return execution.output


def recorded(served: ServedModels, output: dict[str, Any]) -> dict[str, Any]:
    bucket, _, key = output["recorded"].removeprefix("s3://").partition("/")
    record: dict[str, Any] = json.load(served.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"])
    jsonschema.validate(record, RECORD_SCHEMA)
    return record


def body(devices: list[str]) -> dict[str, Any]:
    """A quarter of an hour of each device's own rows."""
    end = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def row(device: str, number: int) -> dict[str, Any]:
        return {
            "device_id": device,
            "timestamp": (end - timedelta(minutes=5 * number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "interval_seconds": 300,
            "read_iops": 100.0 + number,
            "write_iops": 50.0,
            "avg_latency_ms": 1.5,
            "bandwidth_mbps": 3.0,
        }

    return {"items": [{"insights": [row(device, number) for number in range(4)]} for device in devices]}


class Caller:
    """Asks the deployed Predict function with an API Gateway event, as its caller would."""

    def __init__(self, served: ServedModels) -> None:
        self.client = served.cloud.client("lambda")
        [self.name] = [
            function["FunctionName"]
            for page in self.client.get_paginator("list_functions").paginate()
            for function in page["Functions"]
            if function["Handler"] == "lambdas.predict.handler.handler"
        ]
        self.event = json.loads(Path("tests/lambdas/events/predict_api_gateway.json").read_text())
        route = f"/api/predict/{KIND}"
        self.event |= {"path": route, "resource": route}
        self.event["headers"]["Content-Type"] = "application/json"

    def answers(self, devices: list[str]) -> list[dict[str, Any]]:
        # Predict answers within 2 s of the moment at which API Gateway took the request.
        context = {**self.event["requestContext"], "requestTimeEpoch": int(time.time() * 1000)}
        event = {**self.event, "body": json.dumps(body(devices)), "isBase64Encoded": False, "requestContext": context}
        told = self.client.invoke(FunctionName=self.name, Payload=json.dumps(event).encode())
        answer = json.loads(told["Payload"].read())
        assert answer["statusCode"] == 200, answer
        text = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]
        results = json.loads(text)["results"]
        assert [result["status"] for result in results] == [200] * len(devices), results
        return [result["prediction"] for result in results]


@pytest.fixture(scope="module")
def caller(served: ServedModels) -> Caller:
    return Caller(served)


DEVICES = [f"device-{number}" for number in range(12)]


def met(caller: Caller) -> tuple[list[str], list[str]]:
    """The variant and the model that each device met."""
    answers = caller.answers(DEVICES)
    return [answer["variant"] for answer in answers], [answer["model_version"] for answer in answers]


def until(ask: Callable[[], Any], expected: Any, *, seconds: float = 90) -> None:
    """A warm function goes by its note for up to a minute."""
    deadline = time.monotonic() + seconds
    while (found := ask()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def note(served: ServedModels) -> str:
    return str(served.cloud.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"])


def captured(served: ServedModels, variant: str) -> list[dict[str, Any]]:
    s3, bucket = served.cloud.client("s3"), served.deployment["IopsData.BucketName"]
    prefix = f"monitoring/data-capture/{ENDPOINT}/{variant}/"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    lines = [line for key in keys for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]
    return [json.loads(json.loads(line)["captureData"]["endpointOutput"]["data"]) for line in lines]


def judged(served: ServedModels, packages: dict[str, str]) -> Execution:
    """What the deployed judge starts when 300 devices' scores were right with the live model, and not with the other."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.999Z")
    lines = []
    for number in range(300):
        variant = variant_of(f"judged-{number}", challenger=packages["challenger"], share_percent=SHARE)
        error = number % 3 if variant == "live" else 20 + number % 3
        line = {
            "device_id": f"judged-{number}",
            "kind": KIND,
            "predicted_at": now,
            "variant": variant,
            "model_version": packages[variant],
            "performance_score": 60,
            "outcome": {"performance_score": 60 + error},
        }
        lines.append(json.dumps(line) + "\n")
    bucket, prefix = served.deployment["IopsData.BucketName"], f"monitoring/{KIND}/outcomes/"
    served.cloud.client("s3").put_object(Bucket=bucket, Key=f"{prefix}1.jsonl", Body="".join(lines).encode())
    told = served.cloud.client("lambda").invoke(
        FunctionName=served.deployment["IopsTraining.JudgeExperimentName"],
        Payload=json.dumps({"kind": KIND, "outcomes_uri": f"s3://{bucket}/{prefix}"}).encode(),
    )
    verdict = json.loads(told["Payload"].read())
    assert verdict.get("decision") == "drop", verdict
    return follow_execution(served.cloud.client("stepfunctions"), verdict["execution"])


def test_an_experiment_from_its_beginning_to_the_promotion_of_its_challenger(served: ServedModels, caller: Caller):
    live, challenger, shadow = served.live_package(KIND), served.register(KIND), served.register(KIND)

    # ab: the first call is the function's first, so that it knows of the experiment at once.
    started = succeeded(served.promote(KIND, challenger, challenger="ab", share=SHARE))
    assert (started["status"], started["live_package"]) == ("experiment_started", live)
    assert json.loads(note(served))["challenger"] == challenger
    expected = [variant_of(device, challenger=challenger, share_percent=SHARE) for device in DEVICES]
    packages = {"live": live, "challenger": challenger}
    assert set(expected) == set(packages)
    for _ in range(3):
        assert met(caller) == (expected, [packages[variant] for variant in expected])
    assert served.invoke(KIND)["model_version"] == live  # without a name: the live model

    refused = served.promote(KIND, shadow, challenger="shadow")
    assert "end that experiment first" in refused.cause

    # Dropped by the rule, as outcomes show it to be worse: the function still goes by its note, and its callers notice
    # nothing.
    dropped = succeeded(judged(served, {"live": live, "challenger": challenger}))
    assert recorded(served, dropped)["experiment"]["challenger"] == challenger
    assert "the challenger is worse" in recorded(served, dropped)["reason"]
    assert (dropped["status"], note(served)) == ("experiment_ended", "off")
    assert all("left" not in replaced for replaced in dropped["replaced"]), dropped["replaced"]
    assert len(served.cloud.client("sagemaker").list_models()["Models"]) == 1
    assert met(caller) == (["live"] * len(DEVICES), [live] * len(DEVICES))

    # shadow: the same traffic, and no answer of it to anybody.
    succeeded(served.promote(KIND, shadow, challenger="shadow"))
    described = served.endpoint(KIND)
    assert [variant["VariantName"] for variant in described["ShadowProductionVariants"]] == ["challenger"]
    assert met(caller)[1] == [live] * len(DEVICES)
    until(lambda: {answer["model_version"] for answer in captured(served, "challenger")} >= {shadow}, True)

    # Promoted: its experiment ends first, with a record of its own.
    promoted = succeeded(served.promote(KIND, shadow))
    assert (promoted["status"], promoted["previous_package"], promoted["experiment"]) == ("promoted", live, None)
    assert recorded(served, promoted)["live"] == served.live_package(KIND) == shadow
    assert "ShadowProductionVariants" not in served.endpoint(KIND)
    assert [variant["VariantName"] for variant in served.endpoint(KIND)["ProductionVariants"]] == ["live"]
    assert met(caller)[1] == [shadow] * len(DEVICES)


def test_removing_any_one_action_that_this_module_is_to_prove_would_have_failed_a_call(
    served: ServedModels, templates: Templates
):
    check("experiments", served.cloud, DeployedRoles.of(served.cloud), templates)
