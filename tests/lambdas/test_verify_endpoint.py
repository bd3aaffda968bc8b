from __future__ import annotations

import copy
import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.feature_table import FEATURE_NAMES
from lambdas.objects import ObjectMissing, UnreadableObject
from lambdas.verify_endpoint import handler as adapter
from lambdas.verify_endpoint.verify_endpoint import verify_endpoint

KEY = "models/0123456789ab/risk/evaluation/golden.json"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/2"
PREDICTION = {
    "risk_level": "low",
    "probabilities": {"low": 0.7, "medium": 0.2, "high": 0.08, "critical": 0.02},
    "confidence": 0.7,
}


class Endpoint:
    """The SageMaker runtime in front of one model."""

    def __init__(self, predictions: Any, model_version: str = PACKAGE, error: ClientError | None = None) -> None:
        self.predictions = predictions
        self.model_version = model_version
        self.error = error
        self.request: dict[str, Any] = {}

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.request = request
        if self.error:
            raise self.error
        answer = {"predictions": self.predictions, "model_version": self.model_version}
        return {"Body": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def golden(cloud: Any) -> list[Any]:
    """32 predictions, stored with rows that know everything but the seventh feature."""
    row = [float(n) if n != 6 else None for n in range(25)]
    predictions = [copy.deepcopy(PREDICTION) for _ in range(32)]
    cloud.put(KEY, json.dumps({"rows": [row] * 32, "predictions": predictions}).encode())
    return predictions


def verified(cloud: Any, endpoint: Endpoint) -> dict[str, Any]:
    return verify_endpoint(
        endpoint_name="iops-risk-predictor",
        golden_uri=f"s3://{cloud.bucket}/{KEY}",
        expected_package=PACKAGE,
        s3=cloud.s3,
        sagemaker_runtime=endpoint,
    )


def test_the_same_answers_within_the_tolerance_match(cloud: Any, golden: list[Any]) -> None:
    golden[5]["probabilities"]["low"] += 0.00005
    answer = verified(cloud, Endpoint(golden))
    assert answer.pop("worst_difference") == pytest.approx(0.00005)
    assert answer == {"matched": True, "checked": 32, "reason": "all 32 golden predictions match within 0.0001"}


def test_the_golden_rows_are_sent_as_csv_in_table_order_to_the_live_variant(cloud: Any, golden: list[Any]) -> None:
    endpoint = Endpoint(golden)
    verified(cloud, endpoint)
    lines = endpoint.request["Body"].splitlines()
    assert lines[0] == ",".join(FEATURE_NAMES)
    assert lines[1].split(",")[:8] == ["0.0", "1.0", "2.0", "3.0", "4.0", "5.0", "", "7.0"]
    assert len(lines) == 33
    assert endpoint.request["ContentType"] == "text/csv"
    assert endpoint.request["TargetVariant"] == "live"


def test_another_answer_does_not_match_and_is_named(cloud: Any, golden: list[Any]) -> None:
    golden[2]["confidence"] = 0.5
    answer = verified(cloud, Endpoint(golden))
    assert not answer["matched"]
    assert answer["worst_difference"] == pytest.approx(0.2)
    assert answer["reason"] == "golden prediction 3 confidence: expected 0.7, got 0.5 (tolerance 0.0001)"


def test_explanations_and_additions_are_not_compared_but_a_missing_number_is(cloud: Any, golden: list[Any]) -> None:
    for prediction in golden:
        prediction["contributions"] = [{"feature": "queue_depth", "value": 1.0, "contribution": 0.3}]
    assert verified(cloud, Endpoint(golden))["matched"]
    del golden[0]["probabilities"]["critical"]
    assert "1 probabilities critical: expected 0.02, got None" in verified(cloud, Endpoint(golden))["reason"]


def test_another_package_or_another_number_of_answers_does_not_match(cloud: Any, golden: list[Any]) -> None:
    other = verified(cloud, Endpoint(golden, model_version=PACKAGE[:-1] + "1"))
    assert not other["matched"]
    assert other["reason"].startswith("the endpoint answers as arn:aws:sagemaker")
    fewer = verified(cloud, Endpoint(golden[:31]))
    assert fewer["reason"] == "the endpoint gave 31 predictions for 32 golden rows"


def test_an_endpoint_that_cannot_be_asked_is_an_error_and_no_mismatch(
    cloud: Any, golden: list[Any], make_refusal: Any
) -> None:
    with pytest.raises(ClientError, match="ModelNotReadyException"):
        verified(cloud, Endpoint(golden, error=make_refusal("ModelNotReadyException", "InvokeEndpoint")))


def test_missing_or_malformed_golden_rows_are_named(cloud: Any) -> None:
    with pytest.raises(ObjectMissing, match=r"golden\.json does not exist"):
        verified(cloud, Endpoint([]))
    cloud.put(KEY, b'{"rows": [[1]], "predictions": []}')
    with pytest.raises(UnreadableObject, match="as many predictions as rows"):
        verified(cloud, Endpoint([]))


def test_the_handler_asks_the_named_endpoint(
    cloud: Any, golden: list[Any], event: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint(golden)
    clients = {"s3": cloud.s3, "sagemaker-runtime": endpoint}
    monkeypatch.setattr("lambdas.verify_endpoint.verify_endpoint.client", clients.__getitem__)
    assert adapter.handler(event("verify_endpoint"), context)["matched"]
    assert endpoint.request["EndpointName"] == "iops-risk-predictor"
