"""The gate as a step of the workflow: the evaluation's metrics in, verdict and every reason out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from insights.gate import judge
from insights.schema import is_finite_number
from lambdas.clients import client
from lambdas.judge_model.model_card import model_card
from lambdas.objects import UnreadableObject, read_json_object, uri_of

# The few numbers that go into the execution's output and onto the model package; the rest stays in metrics.json.
REPORTED = {
    "risk": (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "recall_critical",
        "log_loss",
        "expected_calibration_error",
        "rows",
        "devices",
    ),
    "performance": ("rmse", "mae", "r2", "interval_coverage", "interval_width", "rows", "devices"),
}

# What stands on the package itself; the rest is on its card.
LINEAGE = (
    "execution",
    "trigger",
    "training_job",
    "manifest",
    "manifest_sha256",
    "code_version",
    "feature_table_hash",
)
_UNFIT = re.compile(r"[^\w .:/=+\-@]")


def judge_model(
    *,
    kind: str,
    bucket: str,
    evaluation_prefix: str,
    gate: Mapping[str, Any],
    run: Mapping[str, Any],
    s3: Any = None,
) -> dict[str, Any]:
    """Verdict, numbers, card and lineage; `run` is what the workflow knows of the model's making (model_branch.py)."""
    prefix = evaluation_prefix if evaluation_prefix.endswith("/") else evaluation_prefix + "/"
    s3 = s3 or client("s3")
    metrics, made = (
        read_json_object(s3, bucket, f"{prefix}{name}.json", remedy="look into the log of the evaluation job")
        for name in ("metrics", "lineage")
    )
    if metrics.get("kind") != kind:
        raise UnreadableObject(
            bucket, f"{prefix}metrics.json", f"is of kind {metrics.get('kind')!r} where {kind!r} was evaluated"
        )
    verdict = judge(kind, metrics, gate)
    lineage = {**made, **run}
    return {
        "passed": verdict.passed,
        "reasons": list(verdict.reasons),
        "metrics": {name: metrics[name] for name in REPORTED[kind] if is_finite_number(metrics.get(name))},
        "report": uri_of(bucket, f"{prefix}report.html"),
        "golden": uri_of(bucket, f"{prefix}golden.json"),
        "metrics_uri": uri_of(bucket, f"{prefix}metrics.json"),
        "card": model_card(kind, metrics=metrics, reported=REPORTED[kind], reasons=verdict.reasons, lineage=lineage),
        "lineage": {name: property_text(lineage[name]) for name in LINEAGE if lineage.get(name)},
    }


def property_text(value: object) -> str:
    """As CreateModelPackage accepts a property's value: letters, digits, blanks and _.:/=+-@, 256 of them at most."""
    return _UNFIT.sub(" ", str(value))[:256]
