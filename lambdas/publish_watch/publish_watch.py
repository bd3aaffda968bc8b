"""A watched period becomes metrics, which alarms look at, and the kind's latest.json, which the API reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from lambdas.clients import client
from lambdas.metric_names import put
from lambdas.objects import ObjectMissing, UnreadableFormat, UnreadableObject, json_bytes, put_text, read_json_object

FUNCTION: Final = "publish_watch"
LATEST: Final = "monitoring/{kind}/latest.json"


class Told(NamedTuple):
    """Metrics that share their dimensions."""

    values: Mapping[str, float]
    dimensions: Mapping[str, str]


def publish_watch(
    *, kind: str, bucket: str, prefix: str, s3: Any = None, tell: Callable[..., None] = put
) -> dict[str, Any]:
    """What the period comes to. latest.json is replaced by a period that ends no earlier than its own."""
    s3 = s3 or client("s3")
    key = f"{prefix}watch.json"
    found = read_json_object(s3, bucket, key, remedy="look into the log of the watching job")
    if found.get("kind") != kind:
        raise UnreadableObject(bucket, key, f"is of kind {found.get('kind')!r} where {kind!r} was watched")
    for told in metrics_of(found):
        tell(FUNCTION, told.values, **told.dimensions)
    is_latest = _end(_latest(s3, bucket, kind)) <= _end(found)
    if is_latest:
        put_text(s3, bucket, LATEST.format(kind=kind), json_bytes(found))
    return {
        "kind": kind,
        "status": "watched",
        "period": found["period"],
        "rows": found["rows"],
        "compared": found["compared"],
        "drift_detected": found["drift_detected"],
        "drifted_features": [feature["feature"] for feature in found["drifted_features"]],
        "live": found["live"],
        "limits": found["limits"],
        "report": found["report"],
        "is_latest": is_latest,
    }


def metrics_of(found: Mapping[str, Any]) -> Iterator[Told]:
    """What is not known is not put: a missing value is no zero, and an alarm knows what to do without data."""
    values: dict[str, float] = {"CapturedRows": found["rows"], "JoinedOutcomes": found["live"]["outcomes"]}
    if found["compared"]:
        values |= {
            "DriftDetected": float(found["drift_detected"]),
            "DriftedFeatures": len(found["drifted_features"]),
            "WorstPsi": found["worst_psi"],
            "PredictionPsi": found["prediction_psi"],
            "MissingRateShift": found["missing_rate_shift"],
        }
    live = found["live"]
    for name, field in _LIVE.items():
        if field in live:
            values[name] = live[field]
    if "accuracy" in live:
        values["LiveAccuracyLower"] = live["lower"]
    yield Told(values, {"Kind": found["kind"]})
    for variant in found["variants"]:
        known = {name: variant[field] for name, field in _VARIANT.items() if field in variant}
        yield Told(known, {"Kind": found["kind"], "Variant": variant["variant"]})


_LIVE: Final = {"LiveAccuracy": "accuracy", "LiveCalibrationError": "calibration_error", "LiveRmse": "rmse"}
_VARIANT: Final = {"VariantAccuracy": "accuracy", "VariantRmse": "rmse", "VariantOutcomes": "outcomes"}


def _latest(s3: Any, bucket: str, kind: str) -> Mapping[str, Any]:
    try:
        return read_json_object(s3, bucket, LATEST.format(kind=kind), remedy="")
    except UnreadableFormat:
        raise  # a newer version's is not written over
    except (ObjectMissing, UnreadableObject):
        return {}


def _end(found: Mapping[str, Any]) -> str:
    """Timestamps are of fixed width, so that text order is time order."""
    return str((found.get("period") or {}).get("end") or "")
