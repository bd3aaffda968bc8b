"""A seeded fleet for the stub API: insights whose latency rises before an incident, predictions that follow them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

STEP = timedelta(minutes=5)
NEWEST = datetime.fromtimestamp(
    datetime.now(UTC).timestamp() // 300 * 300, UTC
)  # a fleet that reports: ages are what they would be
CLASSES = {"nvme": (45_000, 2.0), "ssd-burst": (6_000, 10.0), "provisioned": (16_000, 20.0), "hdd": (180, 60.0)}
WORKLOADS = ("sequential", "random", "mixed", "burst")
LEVELS = ("low", "medium", "high", "critical")
MODEL_ARN = "arn:aws:sagemaker:us-east-1:000000000000:model-package/iops-{kind}/3"

_DAY = {"start": "2026-03-01T03:00:00.000Z", "end": "2026-03-02T03:00:00.000Z"}
_REPORT = "s3://iops-insights-000000000000-us-east-1/monitoring/{kind}/2026-03-02/report.html"
WATCHED: dict[str, Any] = {
    "risk": {
        "period": _DAY,
        "rows": 3120,
        "drift_detected": True,
        "drifted_features": [
            {"feature": "io_size_avg", "psi": 0.214, "ks": 0.19, "p_value": 0.0021},
            {"feature": "queue_depth", "psi": 0.412, "ks": 0.27, "p_value": 0.0004},
        ],
        "worst_psi": 0.412,
        "prediction_psi": 0.083,
        "missing_rate_shift": 0.012,
        "live": {"outcomes": 2874, "accuracy": 0.915, "lower": 0.894, "upper": 0.934, "calibration_error": 0.031},
        "variants": [{"variant": "live", "outcomes": 2874, "accuracy": 0.915}],
        "report": _REPORT.format(kind="risk"),
    },
    "performance": {
        "period": _DAY,
        "rows": 3098,
        "drift_detected": False,
        "drifted_features": [],
        "worst_psi": 0.061,
        "prediction_psi": 0.02,
        "missing_rate_shift": None,
        "live": {"outcomes": 2650, "rmse": 6.31, "lower": 5.72, "upper": 7.04},
        "variants": [
            {"variant": "live", "outcomes": 1330, "rmse": 6.52, "lower": 5.7, "upper": 7.5},
            {"variant": "challenger", "outcomes": 1320, "rmse": 6.09, "lower": 5.3, "upper": 6.9},
        ],
        "report": _REPORT.format(kind="performance"),
    },
}


def text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class Device:
    """One device; `trouble` from 0 (calm) to 1 (over its objective for hours)."""

    def __init__(self, number: int, random_source: random.Random) -> None:
        names = list(CLASSES)
        self.device_class = names[number % len(names)]
        self.device_id = f"{self.device_class}-{number:04}"
        self.workload = WORKLOADS[number % 3 if self.device_class != "ssd-burst" else 3]
        self.capacity, self.objective = CLASSES[self.device_class]
        self.trouble = random_source.betavariate(0.6, 1.6)
        self.seed = random_source.random()

    def insights(self, rows: int) -> list[dict[str, Any]]:
        return [self.insight(rows - 1 - place) for place in range(rows)]

    def insight(self, back: int) -> dict[str, Any]:
        """`back` intervals before the newest; the same row however many are asked for."""
        return self._insight(NEWEST - STEP * back, random.Random(self.seed + back))

    def _insight(self, moment: datetime, source: random.Random) -> dict[str, Any]:
        hour = moment.hour + moment.minute / 60
        load = 0.35 + 0.25 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.06 * source.gauss(0, 1)
        hours_left = (NEWEST - moment) / timedelta(hours=1)
        incident = self.trouble * math.exp(-((hours_left - 0.4) ** 2) / 3)
        load = min(1.0, max(0.02, load + 0.5 * incident))
        p99 = self.objective * (0.22 + 0.35 * load + 3.2 * incident**2) * math.exp(0.08 * source.gauss(0, 1))
        total = self.capacity * load
        return {
            "device_id": self.device_id,
            "timestamp": text(moment),
            "interval_seconds": 300.0,
            "read_iops": total * 0.68,
            "write_iops": total * 0.32,
            "avg_latency_ms": p99 * 0.38,
            "p95_latency_ms": p99 * 0.74,
            "p99_latency_ms": p99,
            "bandwidth_mbps": total * 16 * 1024 / 1e6,
            "error_rate": 0.0,
            "queue_depth": total * p99 * 0.38 / 1000,
            "io_size_kib": 16.0,
            "sequential_ratio": 0.4,
            "provisioned_iops": self.capacity,
            "latency_slo_ms": self.objective,
            "device_class": self.device_class,
            "workload_type": self.workload,
            "alert": False,
            "is_anomaly": False,
            "risk_level": None,
            "performance_score": None,
            "label_source": None,
        }

    def prediction(self, kind: str, insight: dict[str, Any], number: int) -> dict[str, Any]:
        ratio = insight["p99_latency_ms"] / self.objective
        asked = datetime.fromisoformat(insight["timestamp"]) + timedelta(seconds=20)
        common = {
            "device_id": self.device_id,
            "kind": kind,
            "as_of": insight["timestamp"],
            "predicted_at": text(asked),
            "prediction_id": f"{text(asked)}#{kind}#{number:08x}",
            "model_version": MODEL_ARN.format(kind=kind),
            "contributions": _contributions(insight, kind, ratio),
            "warnings": [],
        }
        told = _risk(ratio) if kind == "risk" else _score(ratio)
        speaks = f"for {told['risk_level']} risk" if kind == "risk" else "against a good score"
        return {**common, **told, "explanation": _sentences(insight, ratio, speaks)}


def _risk(ratio: float) -> dict[str, Any]:
    centres = (0.45, 0.85, 1.35, 2.4)
    weights = [math.exp(-((math.log(ratio / centre)) ** 2) / 0.09) + 0.01 for centre in centres]
    shares = [weight / sum(weights) for weight in weights]
    best = max(range(4), key=shares.__getitem__)
    return {
        "risk_level": LEVELS[best],
        "confidence": shares[best],
        "probabilities": dict(zip(LEVELS, shares, strict=True)),
    }


def _score(ratio: float) -> dict[str, Any]:
    value = max(4.0, 100 / (1 + 0.5 * ratio**2))
    half = 4 + 6 * min(1.5, ratio)
    lower, upper = max(0.0, value - half), min(100.0, value + half)
    return {
        "performance_score": value,
        "interval": {"lower": lower, "upper": upper, "level": 0.9},
        "confidence": 1 - (upper - lower) / 100,
    }


def _sentences(insight: dict[str, Any], ratio: float, speaks: str) -> list[str]:
    trend = ", rising" if ratio > 0.8 else ""
    share = 100 * (insight["read_iops"] + insight["write_iops"]) / insight["provisioned_iops"]
    return [
        f"p99 latency {insight['p99_latency_ms']:.1f} ms is {ratio * 1.6:.1f} times the median of the last hour{trend}: "
        f"speaks {speaks}.",
        f"Queue depth {insight['queue_depth']:.1f} I/Os is {ratio * 1.3:.1f} times the median of the last hour: "
        f"speaks {speaks}.",
        f"Load {share:.0f}% of the provisioned operations/s is near the median of the last hour: speaks {speaks}.",
    ]


def _contributions(insight: dict[str, Any], kind: str, ratio: float) -> list[dict[str, Any]]:
    sign = 1 if kind == "risk" else -1
    p99, queue = insight["p99_latency_ms"], insight["queue_depth"]
    total = insight["read_iops"] + insight["write_iops"]
    entries = [
        ("p99_latency", p99, 1.4 * (ratio - 0.6), (p99 * 0.3 / ratio, p99 * 0.7 / ratio)),
        ("queue_depth", queue, 0.8 * (ratio - 0.7), (queue * 0.4 / ratio, queue * 0.9 / ratio)),
        ("trend_score", 0.06 * (ratio - 0.5), 0.5 * (ratio - 0.5), (-0.05, 0.05)),
        ("capacity_utilization", 100 * total / insight["provisioned_iops"], 0.35, (20.0, 65.0)),
        ("time_since_last_alert", 604_800.0, -0.18, None),
    ]
    return [
        {
            "feature": feature,
            "value": value,
            "contribution": sign * weight,
            "usual": None if usual is None else {"low": usual[0], "median": sum(usual) / 2, "high": usual[1]},
            "direction": "for" if sign * weight > 0 else "against",
        }
        for feature, value, weight, usual in entries
    ]


def fleet(devices: int, seed: int = 7) -> list[Device]:
    source = random.Random(seed)
    return [Device(number, source) for number in range(devices)]
