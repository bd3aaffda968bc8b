"""The card of a model version, in SageMaker's schema of a model package's card (registry details, "Model package model
card schema"): what it is for, what it was made of, how good it is beside its rivals, and where it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# CreateModelPackage: at most 100,000 characters of content; the schema's texts have 2,048, its custom details 1,024.
LONGEST_TEXT: Final = 2048
LONGEST_DETAIL: Final = 1024
_PURPOSE: Final = {
    "risk": "Foretells the risk level (low, medium, high, critical) of a storage device's next half hour.",
    "performance": "Foretells the performance score (0-100) of a storage device's next half hour, with a 90% interval.",
}
_INTENDED: Final = (
    "To rank devices for an operator's attention, beside the telemetry itself. Not for acting on a device without a "
    "person, and not for devices whose telemetry has another interval, unit or meaning than the training's."
)
_FACTORS: Final = (
    "Fewer than 12 intervals of history, missing latency percentiles or objectives, device classes and workloads that "
    "the training set did not hold, and drift of the telemetry since the training."
)
_LIMITS: Final = (
    "It sees one device's last 12 intervals and the time of its last alert, and no neighbour, topology or maintenance plan. "
    "Its labels are a rule's (latency against the objective, errors), where no operator said otherwise."
)
_OBJECTIVES: Final = {"risk": ("Loss", "validation:mlogloss"), "performance": ("RMSE", "validation:rmse")}
_RIVAL_METRIC: Final = {"risk": "macro_f1", "performance": "rmse"}


def model_card(
    kind: str,
    *,
    metrics: Mapping[str, Any],
    reported: Sequence[str],
    reasons: Sequence[str],
    lineage: Mapping[str, Any],
) -> str:
    """The content as JSON; `reported` are the metrics that count, `lineage` is what evaluation and workflow know of the
    model's making."""
    facet, objective = _OBJECTIVES[kind]
    card = {
        "model_overview": {"model_creator": "IOPS Insights, TrainModels", "model_artifact": [lineage["model_data"]]},
        "intended_uses": {
            "purpose_of_model": _PURPOSE[kind],
            "intended_uses": _INTENDED,
            "factors_affecting_model_efficiency": _FACTORS,
            "risk_rating": "Low",
            "explanations_for_risk_rating": "It advises; nothing acts on a device by it.",
        },
        "training_details": {
            "objective_function": {"function": {"function": "Minimize", "facet": facet}, "notes": objective},
            "training_observations": _short(
                f"{lineage['training_rows']} labelled rows, {lineage['calibration_rows']} more for calibration; "
                "devices of the validation, calibration and test splits are never trained on."
            ),
            "training_job_details": {
                "training_datasets": [lineage["manifest"] or lineage["source"]],
                "training_environment": {"container_image": [lineage["image"]]},
                "hyper_parameters": [
                    {"name": name, "value": str(value)} for name, value in lineage["hyperparameters"].items()
                ],
            },
        },
        "evaluation_details": [
            {
                "name": "test split",
                "evaluation_observation": _short("; ".join(reasons)),
                "datasets": [lineage["features"]],
                "metric_groups": [
                    {"name": "model", "metric_data": list(_measured(metrics, reported))},
                    {"name": "rivals on the same rows", "metric_data": list(_rivals(metrics, _RIVAL_METRIC[kind]))},
                ],
            }
        ],
        "additional_information": {
            "caveats_and_recommendations": _short(" ".join([_LIMITS, *_unjudged(metrics)])),
            "custom_details": {
                name: str(lineage[name])[:LONGEST_DETAIL]
                for name in ("run_id", "execution", "trigger", "reason", "manifest_sha256", "code_version",
                             "feature_table_hash", "training_job", "package_versions")
                if lineage.get(name)
            },
        },
    }  # fmt: skip
    return json.dumps(card, separators=(",", ":"))


def _measured(metrics: Mapping[str, Any], reported: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in reported:
        if isinstance(metrics.get(name), int | float):
            ends = metrics.get("intervals", {}).get(name)
            notes = {"notes": f"95% interval over devices {ends['lower']:.4g} to {ends['upper']:.4g}"} if ends else {}
            yield {"name": name, "type": "number", "value": metrics[name], **notes}


def _rivals(metrics: Mapping[str, Any], metric: str) -> Iterator[dict[str, Any]]:
    for name, rival in metrics.get("rivals", {}).items():
        if isinstance(rival.get(metric), int | float):
            yield {"name": f"{name} {metric}", "type": "number", "value": rival[metric]}


def _unjudged(metrics: Mapping[str, Any]) -> list[str]:
    return [f"Not judged: {said}." for said in metrics.get("cannot_be_judged", [])]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
