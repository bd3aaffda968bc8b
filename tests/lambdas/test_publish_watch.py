from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.metric_names import EMITTED
from lambdas.objects import ObjectMissing, UnreadableObject
from lambdas.publish_watch import handler as adapter
from lambdas.publish_watch.publish_watch import publish_watch

PREFIX = "monitoring/risk/period/"
FOUND: dict[str, Any] = {
    "kind": "risk",
    "period": {"start": "2026-03-01T10:00:00.000Z", "end": "2026-03-02T10:00:00.000Z"},
    "rows": 540,
    "compared": True,
    "drift_detected": True,
    "drifted_features": [{"feature": "avg_latency", "psi": 1.25, "ks": 0.3, "p_value": 0.0005}],
    "worst_psi": 1.25,
    "prediction_psi": 0.125,
    "missing_rate_shift": 0.5,
    "live": {"outcomes": 100, "accuracy": 0.75, "lower": 0.5, "upper": 0.875, "calibration_error": 0.0625},
    "variants": [{"variant": "live", "outcomes": 90, "accuracy": 0.75}, {"variant": "challenger", "outcomes": 0}],
    "limits": [],
    "report": "s3://iops-bucket/monitoring/risk/period/report.html",
}


def published(cloud: Any, found: dict[str, Any] = FOUND, prefix: str = PREFIX) -> tuple[dict[str, Any], list[Any]]:
    cloud.put(f"{prefix}watch.json", json.dumps(found).encode())
    told: list[Any] = []
    answer = publish_watch(
        kind="risk",
        bucket=cloud.bucket,
        prefix=prefix,
        s3=cloud.s3,
        tell=lambda function, values, **dimensions: told.append((function, dict(values), dimensions)),
    )
    return answer, told


def test_what_was_found_becomes_metrics_by_kind_and_by_variant(cloud: Any) -> None:
    answer, told = published(cloud)
    assert told == [
        (
            "publish_watch",
            {
                "CapturedRows": 540,
                "JoinedOutcomes": 100,
                "DriftDetected": 1.0,
                "DriftedFeatures": 1,
                "WorstPsi": 1.25,
                "PredictionPsi": 0.125,
                "MissingRateShift": 0.5,
                "LiveAccuracy": 0.75,
                "LiveCalibrationError": 0.0625,
                "LiveAccuracyLower": 0.5,
            },
            {"Kind": "risk"},
        ),
        ("publish_watch", {"VariantAccuracy": 0.75, "VariantOutcomes": 90}, {"Kind": "risk", "Variant": "live"}),
        ("publish_watch", {"VariantOutcomes": 0}, {"Kind": "risk", "Variant": "challenger"}),
    ]
    assert (answer["drift_detected"], answer["drifted_features"], answer["is_latest"]) == (True, ["avg_latency"], True)


def test_every_metric_stands_in_the_table_of_names(cloud: Any) -> None:
    performance = {"outcomes": 10, "rmse": 2.0, "lower": 1.5, "upper": 2.5}
    found = {**FOUND, "live": performance, "variants": [{"variant": "live", **performance}]}
    for of in (FOUND, found):
        for function, values, dimensions in published(cloud, of)[1]:
            known = [set(one.units) for one in EMITTED[function] if set(one.dimensions) == dimensions.keys()]
            assert any(values.keys() <= names for names in known)


def test_what_was_not_compared_says_nothing_about_drift(cloud: Any) -> None:
    """A model without a baseline is neither healthy nor drifted."""
    told = published(cloud, {**FOUND, "compared": False, "drift_detected": False, "live": {"outcomes": 0}})[1]
    assert told[0][1] == {"CapturedRows": 540, "JoinedOutcomes": 0}


def test_the_newest_period_is_what_the_api_reads_and_an_older_one_does_not_replace_it(cloud: Any) -> None:
    older = {**FOUND, "period": {"start": "2026-02-28T10:00:00.000Z", "end": "2026-03-01T10:00:00.000Z"}}
    assert published(cloud, older, "monitoring/risk/older/")[0]["is_latest"]
    assert published(cloud)[0]["is_latest"]
    assert published(cloud)[0]["is_latest"]  # a repeat of the same period
    assert not published(cloud, older, "monitoring/risk/older/")[0]["is_latest"]
    assert cloud.json("monitoring/risk/latest.json") == FOUND


def test_a_missing_or_foreign_result_is_refused(cloud: Any) -> None:
    with pytest.raises(ObjectMissing, match="watching job"):
        publish_watch(kind="risk", bucket=cloud.bucket, prefix="monitoring/risk/none/", s3=cloud.s3)
    with pytest.raises(UnreadableObject, match="'performance'"):
        published(cloud, {**FOUND, "kind": "performance"})


def test_the_handler_reads_the_plan(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(adapter, "publish_watch", lambda **given: calls.append(given))
    adapter.handler({"plan": {"kind": "risk", "bucket": "b", "prefix": PREFIX, "start": "x"}}, context)
    assert calls == [{"kind": "risk", "bucket": "b", "prefix": PREFIX}]
