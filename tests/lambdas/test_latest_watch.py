from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambdas.describe_models.latest_watch import latest_watch

WRITTEN = {
    "kind": "risk",
    "period": {"start": "2026-03-01T03:00:00Z", "end": "2026-03-02T03:00:00Z"},
    "rows": 3120,
    "drift_detected": True,
    "drifted_features": [{"feature": "queue_depth", "psi": 0.31, "ks": 0.22, "p_value": 0.0004, "bins": [1, 2]}],
    "worst_psi": 0.31,
    "prediction_psi": 0.08,
    "missing_rate_shift": 0.01,
    "live": {"outcomes": 2874, "accuracy": 0.915, "lower": 0.894, "upper": 0.934, "calibration_error": 0.03},
    "variants": [{"variant": "live", "outcomes": 2874, "accuracy": 0.915, "requests": 9}],
    "report": "s3://bucket/monitoring/risk/2026-03-02/report.html",
}


class Bucket:
    """Holds one text, or raises."""

    def __init__(self, held: str | Exception) -> None:
        self.held = held
        self.asked: list[tuple[str, str]] = []

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.asked.append((Bucket, Key))
        if isinstance(self.held, Exception):
            raise self.held
        return {"Body": io.BytesIO(self.held.encode())}


def test_the_newest_watch_is_told_without_what_the_api_does_not_know() -> None:
    bucket = Bucket(json.dumps(WRITTEN))

    assert latest_watch(bucket, "bucket", "risk") == {
        "period": {"start": "2026-03-01T03:00:00.000Z", "end": "2026-03-02T03:00:00.000Z"},
        "rows": 3120,
        "drift_detected": True,
        "drifted_features": [{"feature": "queue_depth", "psi": 0.31, "ks": 0.22, "p_value": 0.0004}],
        "worst_psi": 0.31,
        "prediction_psi": 0.08,
        "missing_rate_shift": 0.01,
        "live": {"outcomes": 2874, "accuracy": 0.915, "lower": 0.894, "upper": 0.934, "calibration_error": 0.03},
        "variants": [{"variant": "live", "outcomes": 2874, "accuracy": 0.915}],
        "report": "s3://bucket/monitoring/risk/2026-03-02/report.html",
    }
    assert bucket.asked == [("bucket", "monitoring/risk/latest.json")]


def test_a_models_own_answers_may_be_what_drifted() -> None:
    drifted = [{"feature": "prediction", "psi": 0.4, "ks": 0.3, "p_value": 0.001}]
    told = latest_watch(Bucket(json.dumps({**WRITTEN, "drifted_features": drifted})), "bucket", "risk")

    assert told is not None
    assert told["drifted_features"] == drifted


def test_a_measure_of_nothing_is_null_and_no_json_that_browsers_refuse() -> None:
    told = latest_watch(Bucket(json.dumps({**WRITTEN, "worst_psi": float("nan"), "live": None})), "bucket", "risk")

    assert told is not None
    assert (told["worst_psi"], told["live"]) == (None, None)


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_before_the_first_watch_nothing_is_told(make_refusal: Any, code: str) -> None:
    assert latest_watch(Bucket(make_refusal(code, "GetObject")), "bucket", "risk") is None


@pytest.mark.parametrize(
    "held",
    [
        "{",
        "[]",
        "{}",
        json.dumps({**WRITTEN, "period": "yesterday"}),
        json.dumps({**WRITTEN, "period": {"start": "yesterday", "end": "today"}}),
        json.dumps({**WRITTEN, "drifted_features": [{"feature": "<script>"}]}),
        json.dumps({**WRITTEN, "live": {"outcomes": None}}),
        json.dumps({**WRITTEN, "rows": 1e400}),
        ReadTimeoutError(endpoint_url="https://s3"),
    ],
)
def test_what_cannot_be_read_is_in_the_log_and_hides_no_model(
    held: str | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert latest_watch(Bucket(held), "bucket", "risk") is None
    assert "the latest watch was not read" in caplog.text
