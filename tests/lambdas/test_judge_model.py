from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.judge_model import handler as adapter
from lambdas.judge_model.judge_model import judge_model
from lambdas.objects import ObjectMissing, UnreadableObject

PREFIX = "models/0123456789ab/risk/evaluation/"
GATE = {"min_accuracy": 0.9, "max_rmse": 10.0}


def put_metrics(cloud: Any, **metrics: Any) -> None:
    cloud.put(f"{PREFIX}metrics.json", json.dumps(metrics).encode())


def judged(cloud: Any, kind: str = "risk") -> dict[str, Any]:
    return judge_model(kind=kind, bucket=cloud.bucket, evaluation_prefix=PREFIX, gate=GATE, s3=cloud.s3)


def test_a_good_model_passes_with_its_reasons_and_few_numbers(cloud: Any) -> None:
    critical = {"recall": 0.9, "support": 40}
    put_metrics(
        cloud,
        kind="risk",
        accuracy=0.931,
        macro_f1=0.9,
        rows=1500,
        per_class={"critical": critical},
        rivals={"persistence": {"macro_f1": 0.8}},
        against_live=None,
        log_loss=None,
    )
    assert judged(cloud) == {
        "passed": True,
        "reasons": [
            "accuracy 0.931 >= 0.900: passed",
            "recall of critical 0.900 >= 0.800 (on 40 rows): passed",
            "macro-F1 0.900 > persistence 0.800: passed",
            "no live model to compare with: passed",
        ],
        "metrics": {"accuracy": 0.931, "macro_f1": 0.9, "rows": 1500},
        "report": f"s3://iops-bucket/{PREFIX}report.html",
        "golden": f"s3://iops-bucket/{PREFIX}golden.json",
        "metrics_uri": f"s3://iops-bucket/{PREFIX}metrics.json",
    }


def test_a_poor_model_is_rejected_with_the_reason(cloud: Any) -> None:
    put_metrics(cloud, kind="performance", rmse=12.5, rows=10)
    answer = judged(cloud, "performance")
    assert not answer["passed"]
    assert "RMSE 12.500 > 10.000: failed" in answer["reasons"]


def test_missing_unreadable_or_other_metrics_are_named(cloud: Any) -> None:
    with pytest.raises(ObjectMissing, match=r"metrics\.json does not exist; look into the log"):
        judged(cloud)
    put_metrics(cloud, kind="performance")
    with pytest.raises(UnreadableObject, match="is of kind 'performance' where 'risk'"):
        judged(cloud)
    cloud.put(f"{PREFIX}metrics.json", b"{nan")
    with pytest.raises(UnreadableObject, match="is not JSON"):
        judged(cloud)


def test_the_handler_passes_the_gate_on(cloud: Any, event: Any, context: Any) -> None:
    put_metrics(cloud, kind="risk", accuracy=0.5)
    assert adapter.handler(event("judge_model"), context)["passed"] is False
