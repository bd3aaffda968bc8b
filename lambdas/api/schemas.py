"""What crosses the API, as JSON Schema (2020-12), made of the same tables and limits by which the code refuses.

Plain dictionaries: a library that derives them from types (pydantic, msgspec) is compiled, and the Lambda bundle, which
serves the document, holds none.
"""

from __future__ import annotations

from typing import Any, Final

from insights.feature_table import DRIFT_COLUMNS, FEATURE_NAMES
from insights.schema import (
    KINDS,
    LABEL_SOURCES,
    MAX_ID_CHARACTERS,
    NUMBER_RULES,
    REQUIRED_FIELDS,
    RISK_LEVELS,
    SMALLEST_NUMBER,
    WORKLOAD_TYPES,
    NumberRule,
)
from lambdas.give_feedback.give_feedback import LONGEST_COMMENT
from lambdas.labels import LABEL_FIELDS
from lambdas.predict.request import MOST_INSIGHTS, MOST_ITEMS

Schema = dict[str, Any]
_CONTROL: Final = "\\u0000-\\u001f\\u007f-\\u009f"
_BLANK: Final = " \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
# Years 1970 to 2199, and an offset: what the insights' own clock accepts.
_MOMENT: Final = (
    "^(19[7-9][0-9]|2[01][0-9]{2})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-9]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
NULL: Final[Schema] = {"type": "null"}
NUMBER: Final[Schema] = {"type": "number"}
MEASURED: Final[Schema] = {"type": ["number", "null"]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
PRINTABLE: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARACTERS,
    "pattern": f"^[^{_CONTROL}]*[^{_CONTROL}{_BLANK}][^{_CONTROL}]*$",
}
DEVICE_ID: Final[Schema] = {**PRINTABLE, "description": "The device; printable, not blank"}
GIVEN_MOMENT: Final[Schema] = {
    "type": "string",
    "pattern": _MOMENT,
    "description": "ISO 8601 with its offset, from 1970 to 2199",
}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time", "description": "UTC, with milliseconds and Z"}
RISK_LEVEL: Final[Schema] = {"type": "string", "enum": list(RISK_LEVELS)}
KIND: Final[Schema] = {"type": "string", "enum": list(KINDS)}
SCORE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 100}
SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
PREDICTION_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS}
NEXT: Final[Schema] = {
    "type": ["string", "null"],
    "description": "Give it as `next` to go on; null at the end. A page may be short before the end.",
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def array(items: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    bounds = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **bounds, **({} if most is None else {"maxItems": most})}


def exactly(required: Schema, optional: Schema | None = None, **more: Any) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _number(rule: NumberRule) -> Schema:
    ranges: list[Schema] = [{"type": "number", "minimum": SMALLEST_NUMBER, "maximum": rule.high}]
    if rule.zero:
        ranges.append({"const": 0})
    if rule.nullable:
        ranges.append(NULL)
    return {"anyOf": ranges, "description": rule.unit}


def _insight_fields(moment: Schema) -> Schema:
    numbers = {rule.name: _number(rule) for rule in NUMBER_RULES}
    score = numbers.pop("performance_score")
    return {
        "device_id": DEVICE_ID,
        "timestamp": moment,
        **numbers,
        "device_class": nullable(PRINTABLE),
        "workload_type": nullable({"enum": list(WORKLOAD_TYPES)}),
        "alert": {"type": "boolean"},
        "is_anomaly": {"type": ["boolean", "null"]},
        "risk_level": nullable(RISK_LEVEL),
        "performance_score": score,
        "label_source": nullable({"enum": list(LABEL_SOURCES)}),
    }


def _given_insight() -> Schema:
    fields = _insight_fields({**GIVEN_MOMENT, "description": "End of the interval, ISO 8601 with its offset"})
    required = {name: fields.pop(name) for name in REQUIRED_FIELDS}
    return exactly(required, fields)


_REQUESTED: Final[Schema] = {
    "anyOf": [
        exactly({"device_id": DEVICE_ID}, description="A stored device: its newest window is read"),
        exactly(
            {"insights": array(ref("GivenInsight"), least=1, most=MOST_INSIGHTS)},
            {"last_alert_at": nullable(GIVEN_MOMENT)},
            description="Rows of one device with different timestamps, in any order",
        ),
    ]
}
_ITEM: Final[Schema] = {
    "anyOf": [*_REQUESTED["anyOf"], {"description": "Whatever else: it gets a problem of its own and harms no other"}]
}
_CONTRIBUTION: Final[Schema] = exactly(
    {
        "feature": {"type": "string", "enum": list(FEATURE_NAMES)},
        "value": {"type": ["number", "null"]},
        "contribution": {"type": "number", "description": "TreeSHAP: log-odds of the level, or points of the score"},
    },
    {
        "unit": TEXT,
        "usual": nullable(exactly({"low": NUMBER, "median": NUMBER, "high": NUMBER})),
        "direction": {"enum": ["for", "against"]},
    },
)
_PREDICTED: Final[Schema] = {
    "device_id": DEVICE_ID,
    "as_of": MOMENT,
    "predicted_at": MOMENT,
    "confidence": SHARE,
    "contributions": array(ref("Contribution")),
    "explanation": {**TEXTS, "description": "The strongest contributions in words"},
    "model_version": {"type": "string", "description": "The model package's ARN"},
    "variant": {"type": ["string", "null"]},
    "window_sha256": {"type": "string", "description": "Of the window that the model was asked about"},
    "prediction_id": PREDICTION_ID,
    "warnings": TEXTS,
}
_INTERVAL: Final[Schema] = exactly({"lower": SCORE, "upper": SCORE, "level": SHARE})
_RISK: Final[Schema] = {
    "kind": {"const": "risk"},
    "risk_level": RISK_LEVEL,
    "probabilities": exactly(dict.fromkeys(RISK_LEVELS, SHARE)),
}
_PERFORMANCE: Final[Schema] = {"kind": {"const": "performance"}, "performance_score": SCORE, "interval": _INTERVAL}
_QUALITY: Final[Schema] = {"outcomes": COUNT}
_QUALITIES: Final[Schema] = dict.fromkeys(("accuracy", "rmse", "lower", "upper", "calibration_error"), MEASURED)
_LATEST: Final[Schema] = {"confidence": SHARE, "as_of": MOMENT, "predicted_at": MOMENT, "prediction_id": PREDICTION_ID}


def _item_results(prediction: str) -> Schema:
    good = exactly({"status": {"const": 200}, "prediction": ref(prediction)})
    bad = exactly({"status": {"type": "integer", "enum": [400, 404, 409, 503]}, "problem": ref("Problem")})
    return exactly({"results": array({"anyOf": [good, bad]}, least=1, most=MOST_ITEMS)})


SCHEMAS: Final[Schema] = {
    "GivenInsight": _given_insight(),
    "Insight": exactly(_insight_fields(MOMENT)),
    "PredictionRequest": {
        "anyOf": [*_REQUESTED["anyOf"], exactly({"items": array(_ITEM, least=1, most=MOST_ITEMS)})],
        "description": "A stored device, a device's own rows, or up to a hundred of these as items",
    },
    "Contribution": _CONTRIBUTION,
    "RiskPrediction": exactly({**_PREDICTED, **_RISK}),
    "PerformancePrediction": exactly({**_PREDICTED, **_PERFORMANCE}),
    "RiskResults": _item_results("RiskPrediction"),
    "PerformanceResults": _item_results("PerformancePrediction"),
    "Device": exactly(
        {
            "device_id": DEVICE_ID,
            "device_class": {"type": ["string", "null"]},
            "workload_type": {"type": ["string", "null"]},
            "as_of": MOMENT,
            "read_iops": NUMBER,
            "write_iops": NUMBER,
            **{
                name: {"type": ["number", "null"]}
                for name in ("avg_latency_ms", "p99_latency_ms", "queue_depth", "latency_slo_ms")
            },
            "risk": nullable(exactly({"risk_level": RISK_LEVEL, **_LATEST})),
            "performance": nullable(exactly({"performance_score": SCORE, "interval": _INTERVAL, **_LATEST})),
        }
    ),
    "Devices": exactly({"devices": array(ref("Device")), "next": NEXT}),
    "Insights": exactly({"insights": array(ref("Insight")), "next": NEXT}),
    "StoredPrediction": {
        "anyOf": [
            exactly({**_PREDICTED, **_RISK}, {"feedback": ref("Feedback"), "outcome": ref("Outcome")}),
            exactly({**_PREDICTED, **_PERFORMANCE}, {"feedback": ref("Feedback"), "outcome": ref("Outcome")}),
        ],
        "description": "As it was answered, with the feedback that was given and the outcome that was found since",
    },
    "Outcome": exactly(
        {
            "risk_level": nullable(RISK_LEVEL),
            "performance_score": nullable(SCORE),
            "joined_at": MOMENT,
            "source": {"enum": ["insights", "unknown"], "description": "unknown: given up a day after it was due"},
        },
        {"reason": {"type": "string", "description": "Why it is unknown"}},
        description="What the insights of the predicted half hour came to, by the rule of the labels",
    ),
    "Predictions": exactly({"predictions": array(ref("StoredPrediction")), "next": NEXT}),
    "GivenFeedback": exactly(
        {"device_id": DEVICE_ID, "prediction_id": PREDICTION_ID},
        {
            "risk_level": nullable(RISK_LEVEL),
            "performance_score": nullable(SCORE),
            "comment": nullable({"type": "string", "maxLength": LONGEST_COMMENT}),
        },
        anyOf=[
            {"required": [name], "properties": {name: {"not": NULL}}, "title": f"{name} is known"}
            for name in LABEL_FIELDS
        ],
    ),
    "Feedback": exactly(
        {
            "device_id": DEVICE_ID,
            "prediction_id": PREDICTION_ID,
            "risk_level": nullable(RISK_LEVEL),
            "performance_score": nullable(SCORE),
            "comment": {"type": ["string", "null"]},
            "given_by": {"type": "string", "description": "The person's name, or the service's client"},
            "given_at": MOMENT,
        }
    ),
    "Model": exactly(
        {
            "kind": KIND,
            "status": ref("ModelStatus"),
            "endpoint_name": TEXT,
            "instances": {"type": "integer", "minimum": 0},
            "version": {"type": ["integer", "null"]},
            "model_package_arn": {"type": ["string", "null"]},
            "created_at": nullable(MOMENT),
            "metrics": {"type": "object", "additionalProperties": NUMBER},
            "gate": nullable(exactly({"passed": {"type": "boolean"}, "reasons": TEXTS})),
            "drift": nullable(ref("Drift")),
        }
    ),
    "Drift": exactly(
        {
            "period": exactly({"start": MOMENT, "end": MOMENT}),
            "rows": {**COUNT, "description": "Requests that were looked at"},
            "drift_detected": {"type": "boolean"},
            "drifted_features": array(
                exactly({"feature": {"enum": list(DRIFT_COLUMNS)}, **dict.fromkeys(("psi", "ks", "p_value"), MEASURED)})
            ),
            **dict.fromkeys(("worst_psi", "prediction_psi", "missing_rate_shift"), MEASURED),
            "live": nullable(ref("LiveQuality")),
            "variants": array(exactly({"variant": TEXT, **_QUALITY}, _QUALITIES)),
            "report": {"type": "string", "description": "The report's S3 address"},
        },
        description="What the newest watch of the model found; null before the first",
    ),
    "LiveQuality": exactly(
        _QUALITY, _QUALITIES, description="Over the predictions whose outcome is known by now, with a 95% interval"
    ),
    "ModelStatus": {"type": "string", "enum": ["live", "absent", "resting", "updating", "failed"]},
    "Models": exactly({"models": array(ref("Model"))}),
    "Health": exactly(
        {
            "status": {"enum": ["ok", "resting", "degraded"]},
            "models": exactly(dict.fromkeys(KINDS, ref("ModelStatus"))),
            "returns_at": nullable(MOMENT),
        }
    ),
    "Problem": exactly(
        {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT},
        {"instance": TEXT, "field": {"type": "string", "description": "Which part of the request is wrong"}},
        description="RFC 9457 problem details",
    ),
}
