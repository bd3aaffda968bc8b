"""Requests and answers as the OpenAPI document shows them; a test holds each to its schema."""

from __future__ import annotations

from typing import Any, Final

_DEVICE: Final = "array-1/nvme0"
_AT: Final = "2026-03-02T11:01:02.345Z"
_AS_OF: Final = "2026-03-02T11:00:00.000Z"
_SHA: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_GIVEN: Final[dict[str, Any]] = {
    "device_id": _DEVICE,
    "timestamp": _AS_OF,
    "interval_seconds": 300,
    "read_iops": 9500.2,
    "write_iops": 6400.1,
    "p99_latency_ms": 41.2,
    "bandwidth_mbps": 250.5,
    "queue_depth": 12.4,
}
_INSIGHT: Final[dict[str, Any]] = {
    "device_id": _DEVICE,
    "timestamp": _AS_OF,
    "interval_seconds": 300.0,
    "read_iops": 9500.2,
    "write_iops": 6400.1,
    "avg_latency_ms": 0.78,
    "p95_latency_ms": 22.5,
    "p99_latency_ms": 41.2,
    "bandwidth_mbps": 250.5,
    "error_rate": 0.0,
    "queue_depth": 12.4,
    "io_size_kib": 15.4,
    "sequential_ratio": 0.2,
    "provisioned_iops": None,
    "latency_slo_ms": 10.0,
    "device_class": "nvme",
    "workload_type": "mixed",
    "alert": False,
    "is_anomaly": None,
    "risk_level": None,
    "performance_score": None,
    "label_source": None,
}
_LATEST: Final[dict[str, Any]] = {"as_of": _AS_OF, "predicted_at": _AT}
_RISK_ID: Final = f"{_AT}#risk#0a1b2c3d"
_PERFORMANCE_ID: Final = f"{_AT}#performance#4e5f6071"
_REASON: Final[dict[str, Any]] = {
    "feature": "p99_latency",
    "value": 41.2,
    "contribution": 1.31,
    "unit": "ms",
    "usual": {"low": 12.0, "median": 12.9, "high": 31.0},
    "direction": "for",
}
_WORDS: Final = "p99 latency 41.2 ms is 3.2 times the median of the last hour, rising: speaks for high risk."
_RISK: Final[dict[str, Any]] = {
    "device_id": _DEVICE,
    "kind": "risk",
    **_LATEST,
    "risk_level": "high",
    "probabilities": {"low": 0.05, "medium": 0.2, "high": 0.65, "critical": 0.1},
    "confidence": 0.65,
    "contributions": [_REASON],
    "explanation": [_WORDS],
    "model_version": "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3",
    "variant": "live",
    "window_sha256": _SHA,
    "prediction_id": _RISK_ID,
    "warnings": [],
}
_PERFORMANCE: Final[dict[str, Any]] = {
    "device_id": _DEVICE,
    "kind": "performance",
    **_LATEST,
    "performance_score": 58.3,
    "interval": {"lower": 44.1, "upper": 72.5, "level": 0.9},
    "confidence": 0.716,
    "contributions": [{**_REASON, "contribution": -11.4, "direction": "against"}],
    "explanation": [
        "p99 latency 41.2 ms is 3.2 times the median of the last hour, rising: speaks against a good score."
    ],
    "model_version": "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-performance/2",
    "variant": "live",
    "window_sha256": _SHA,
    "prediction_id": _PERFORMANCE_ID,
    "warnings": ["9 of the 12 insights of a full window are known"],
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "urn:iops-insights:problem:unknown-device",
    "title": "No insight of this device is stored",
    "status": 404,
    "detail": "no insight of the device 'nvme9' is stored; check the id, or send its insights",
    "instance": "/api/predict/risk",
    "field": "device_id",
}
_FEEDBACK: Final[dict[str, Any]] = {
    "device_id": _DEVICE,
    "prediction_id": _RISK_ID,
    "risk_level": "high",
    "performance_score": None,
    "comment": "a neighbour's backup",
    "given_by": "operator@example.com",
    "given_at": "2026-03-02T12:10:00.000Z",
}
_OUTCOME: Final[dict[str, Any]] = {
    "risk_level": "high",
    "performance_score": 41.7,
    "joined_at": "2026-03-02T11:45:00.000Z",
    "source": "insights",
}


def _results(prediction: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"status": 200, "prediction": prediction}, {"status": 404, "problem": PROBLEM}]}


PREDICTION_REQUESTS: Final = {
    "stored device": {"device_id": _DEVICE},
    "own insights": {"insights": [_GIVEN], "last_alert_at": "2026-03-01T22:00:00Z"},
    "items": {"items": [{"device_id": _DEVICE}, {"device_id": "nvme9"}]},
}
RISK_ANSWERS: Final = {"one": _RISK, "items": _results(_RISK)}
PERFORMANCE_ANSWERS: Final = {"one": _PERFORMANCE, "items": _results(_PERFORMANCE)}
DEVICES: Final = {
    "fleet": {
        "devices": [
            {
                "device_id": _DEVICE,
                "device_class": "nvme",
                "workload_type": "mixed",
                "as_of": _AS_OF,
                "read_iops": 9500.2,
                "write_iops": 6400.1,
                "avg_latency_ms": 0.78,
                "p99_latency_ms": 41.2,
                "queue_depth": 12.4,
                "latency_slo_ms": 10.0,
                "risk": {"risk_level": "high", "confidence": 0.65, **_LATEST, "prediction_id": _RISK_ID},
                "performance": None,
            }
        ],
        "next": None,
    }
}
INSIGHTS: Final = {"newest": {"insights": [_INSIGHT], "next": None}}
PREDICTIONS: Final = {
    "history": {"predictions": [{**_RISK, "feedback": _FEEDBACK, "outcome": _OUTCOME}, _PERFORMANCE], "next": None}
}
FEEDBACK_REQUESTS: Final = {
    "level": {
        "device_id": _DEVICE,
        "prediction_id": _RISK_ID,
        "risk_level": "high",
        "comment": "a neighbour's backup",
    },
    "score": {"device_id": _DEVICE, "prediction_id": _PERFORMANCE_ID, "performance_score": 61},
}
FEEDBACK: Final = {"level": _FEEDBACK}
MODELS: Final = {
    "one live": {
        "models": [
            {
                "kind": "risk",
                "status": "live",
                "endpoint_name": "iops-risk-predictor",
                "instances": 2,
                "version": 3,
                "model_package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3",
                "created_at": "2026-03-01T02:13:00.000Z",
                "metrics": {"accuracy": 0.93, "macro_f1": 0.88, "rows": 2100.0},
                "gate": {"passed": True, "reasons": ["accuracy 0.93 is at least 0.9"]},
                "drift": {
                    "period": {"start": "2026-03-01T03:00:00.000Z", "end": "2026-03-02T03:00:00.000Z"},
                    "rows": 3120,
                    "drift_detected": True,
                    "drifted_features": [{"feature": "queue_depth", "psi": 0.31, "ks": 0.22, "p_value": 0.0004}],
                    "worst_psi": 0.31,
                    "prediction_psi": 0.08,
                    "missing_rate_shift": 0.01,
                    "live": {
                        "outcomes": 2874,
                        "accuracy": 0.915,
                        "lower": 0.894,
                        "upper": 0.934,
                        "calibration_error": 0.03,
                    },
                    "variants": [{"variant": "live", "outcomes": 2874, "accuracy": 0.915}],
                    "report": "s3://iops-insights-123456789012-us-east-1/monitoring/risk/2026-03-02/report.html",
                },
            },
            {
                "kind": "performance",
                "status": "absent",
                "endpoint_name": "iops-performance-predictor",
                "instances": 0,
                "version": None,
                "model_package_arn": None,
                "created_at": None,
                "metrics": {},
                "gate": None,
                "drift": None,
            },
        ]
    }
}
HEALTH: Final = {
    "well": {"status": "ok", "models": {"risk": "live", "performance": "live"}, "returns_at": None},
    "outside the serving hours": {
        "status": "resting",
        "models": {"risk": "resting", "performance": "resting"},
        "returns_at": "2026-11-25T06:00:00.000Z",
    },
}
