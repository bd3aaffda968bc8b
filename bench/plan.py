"""Time and cost of a run past this machine, by the plan's own decisions: `make plan [ROWS=1e9] [DEVICES=1e5]`.

ROWS may be several sizes separated by commas; 10^4 to 10^10 if not given. Rates are measured ones
(lambdas/prepare_run/rates.json), prices those of `make cost`, settings cdk.json's. It stands here because it needs both
the Lambdas' plan and the stacks' prices, which know nothing of each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from itertools import filterfalse
from pathlib import Path
from typing import Any

from bench.material.run_model import RunModel
from bench.material.table import keep, show
from lambdas.prepare_run.estimates import TRIAL_ROUNDS
from lambdas.prepare_run.plan import is_infeasible
from lambdas.prepare_run.rates import Rates
from stacks.costs.prices import PriceTable
from stacks.settings import Settings

DEFAULT_ROWS = "1e4,1e5,1e6,1e7,1e8,1e9,1e10"
ROWS_OF_A_DEVICE = 8640  # 30 days of five minutes


def main() -> None:
    settings = Settings.from_mapping(json.loads(Path("cdk.json").read_text())["context"]["iops"])
    rates, table = Rates.read(), PriceTable.read()
    sizes = sorted(int(float(text)) for text in os.environ.get("ROWS", DEFAULT_ROWS).split(","))
    given = os.environ.get("DEVICES")
    models = [RunModel.of(settings, rows, devices=devices_of(rows, given), table=table, rates=rates) for rows in sizes]
    for model in models:
        tell(model)
    if len(models) > 1:
        show("The whole run by size", summary(models))
    print(f"\nrates of {rates.measured_on} (CPU seconds): {rates.command}")
    print(
        f"assumed: {TRIAL_ROUNDS} rounds a trial, and what estimates.py (lambdas/prepare_run) and run_model.py name so"
    )
    keep("plan", {"runs": [as_json(model) for model in models]})


def devices_of(rows: int, given: str | None) -> int:
    return int(float(given)) if given else max(1, rows // ROWS_OF_A_DEVICE)


def tell(model: RunModel) -> None:
    rows = [
        {
            "step": step.name,
            "instances": step.machines,
            "seconds": f"{step.seconds:,.0f}",
            "USD": f"{step.usd:,.2f}",
            "peak MB each": f"{step.peak_mb:,.0f}",
        }
        for step in model.steps
    ]
    total = {"step": "total", "instances": "", "seconds": f"{model.seconds:,.0f}", "USD": f"{model.usd:,.2f}"}
    show(f"{model.rows:,} insights of {model.devices:,} devices", [*rows, {**total, "peak MB each": ""}])
    for sentence in filterfalse(is_infeasible, (model.export.reason, *model.jobs.reasons)):
        print(f"  plan: {sentence}")
    for limit in model.limits:
        print(f"  limit: {limit}")


def summary(models: Sequence[RunModel]) -> list[dict[str, Any]]:
    return [
        {
            "insights": f"{model.rows:.0e}".replace("e+", "e"),
            "export": f"{model.export.method} {model.export.segments}",
            "processing": f"{model.jobs.processing_instances} x {model.jobs.processing_instance_type}",
            "training": f"{model.jobs.training_instances} x {model.jobs.training_instance_type}",
            "external memory": "yes" if model.jobs.external_memory else "no",
            "hours": round(model.seconds / 3600, 1),
            "USD": f"{model.usd:,.2f}",
            "feasible": "yes" if model.is_feasible else "no",
            "limits met": len(model.limits),
        }
        for model in models
    ]


def as_json(model: RunModel) -> dict[str, Any]:
    return {
        "rows": model.rows,
        "devices": model.devices,
        "export": model.export.to_json(),
        "plan": model.jobs.to_json(),
        "steps": [asdict(step) for step in model.steps],
        "seconds": model.seconds,
        "usd": model.usd,
        "limits": model.limits,
        "feasible": model.is_feasible,
    }
