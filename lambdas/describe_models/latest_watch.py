"""What the newest watch of a model found: whether its requests drifted from the training data, and how good it is live."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from insights.feature_table import DRIFT_COLUMNS
from insights.schema import InvalidInsight, parse_timestamp, timestamp_text
from lambdas.client_errors import error_code
from lambdas.objects import ObjectMissing, UnreadableObject, read_json_object

logger = Logger(child=True)
_NO_WATCH: Final = (InvalidInsight, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
_MEASURES: Final = ("worst_psi", "prediction_psi", "missing_rate_shift")
_GOODNESS: Final = ("accuracy", "rmse", "lower", "upper", "calibration_error")


def latest_watch(s3: Any, bucket: str, kind: str) -> dict[str, Any] | None:
    """None before the first watch, and where it cannot be read: the model is told of all the same, and the log says why."""
    key = f"monitoring/{kind}/latest.json"
    try:
        return shown_watch(read_json_object(s3, bucket, key, remedy="it is written by the first watch"))
    except ObjectMissing:
        return None
    except ClientError as error:
        # S3's answer to a missing key, too, as s3:ListBucket is not granted (GetObject, API reference).
        if error_code(error) == "AccessDenied":
            logger.info("the latest watch is not there, or may not be read", extra={"key": key})
        else:
            logger.warning("the latest watch was not read", extra={"key": key}, exc_info=error)
    except (BotoCoreError, UnreadableObject, *_NO_WATCH) as error:
        logger.warning("the latest watch was not read", extra={"key": key}, exc_info=error)
    return None


def shown_watch(watch: Mapping[str, Any]) -> dict[str, Any]:
    """What the API tells of monitoring/<kind>/latest.json; one of _NO_WATCH where it is none."""
    live = watch.get("live")
    return {
        "period": {end: timestamp_text(parse_timestamp(watch["period"][end])) for end in ("start", "end")},
        "rows": int(watch["rows"]),
        "drift_detected": bool(watch["drift_detected"]),
        "drifted_features": [_drifted(feature) for feature in watch["drifted_features"]],
        **{name: _number(watch.get(name)) for name in _MEASURES},
        "live": None if live is None else _goodness(live),
        "variants": [{"variant": str(each["variant"]), **_goodness(each)} for each in watch.get("variants") or []],
        "report": str(watch["report"]),
    }


def _drifted(feature: Mapping[str, Any]) -> dict[str, Any]:
    if feature["feature"] not in DRIFT_COLUMNS:
        raise ValueError(feature["feature"])
    return {"feature": feature["feature"], **{name: _number(feature.get(name)) for name in ("psi", "ks", "p_value")}}


def _goodness(told: Mapping[str, Any]) -> dict[str, Any]:
    """Of the predictions whose outcome is known by now; accuracy is a risk model's, RMSE a performance model's."""
    return {"outcomes": int(told["outcomes"]), **{name: _number(told[name]) for name in _GOODNESS if name in told}}


def _number(value: Any) -> float | None:
    """JSON has no NaN and no infinity, which a measure of nothing may be."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
