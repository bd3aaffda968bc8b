"""The execution's output: what was trained, how good it is, what is live, where the report is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insights.schema import KINDS
from lambdas.clients import client
from lambdas.objects import ObjectMissing, UnreadableObject, read_json_object


class EveryModelFailed(RuntimeError):
    """No selected model was trained and judged: the run as a whole has failed."""


def summarize_run(
    *,
    run: Mapping[str, Any],
    plan: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None,
    outcomes: Sequence[Mapping[str, Any]],
    s3: Any = None,
) -> dict[str, Any]:
    """A rejected model is a result, not a failure; a run whose selected models all failed raises EveryModelFailed."""
    by_kind = {outcome.get("kind"): outcome for outcome in outcomes}
    models = {
        kind: _model(by_kind.get(kind) or {"status": "failed", "cause": "its branch gave no outcome"})
        if run["models"].get(kind)
        else {"status": "skipped"}
        for kind in KINDS
    }
    selected = {kind: model for kind, model in models.items() if model["status"] != "skipped"}
    if all(model["status"] == "failed" for model in selected.values()):
        causes = "; ".join(f"{kind}: {model.get('cause', 'no cause given')}" for kind, model in selected.items())
        raise EveryModelFailed(f"every model of run {run['run_id']} failed. {causes}")
    return {
        "run_id": run["run_id"],
        "trigger": run["trigger"],
        "reason": run["reason"],
        "source": {name: value for name, value in run["source"].items() if value is not None},
        "rows": _rows(run, manifest, s3),
        "export": run.get("export"),
        "plan": plan,
        "models": models,
        "manifest": (manifest or {}).get("manifest"),
    }


def _model(outcome: Mapping[str, Any]) -> dict[str, Any]:
    known = ("status", "model_package_arn", "metrics", "gate", "endpoint", "report", "cause")
    model = {name: outcome[name] for name in known if outcome.get(name) is not None}
    version = str(outcome.get("model_package_arn") or "").rpartition("/")[2]
    if version.isdecimal():
        model["version"] = int(version)
    return model


def _rows(run: Mapping[str, Any], manifest: Mapping[str, Any] | None, s3: Any) -> int | None:
    """Of the manifest; a source of files has none, and there the engineer job has counted. Unknown is null."""
    if manifest and "rows" in manifest:
        return int(manifest["rows"])
    try:
        counted = read_json_object(
            s3 or client("s3"), run["bucket"], f"{run['features_prefix']}engineer.json", remedy="run the engineer job"
        )
    except (ObjectMissing, UnreadableObject):
        return None
    rows = counted.get("rows")
    return int(rows) if isinstance(rows, int) else None
