"""How long the jobs of a training take: of a measured run, in proportion to its rows, or assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacks.names import KINDS
from stacks.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeconds:
    """Seconds of one instance; `engineer` of each that makes the features, and of their merge where there are several,
    `trial` of one of the trials of a kind, `origin` says where the figures come from."""

    engineer: Sequence[float]
    trial: Mapping[str, float]
    evaluate: Mapping[str, float]
    origin: str
    trial_instances: int = 1


ASSUMED = JobSeconds(
    engineer=(600.0,),
    trial=dict.fromkeys(KINDS, 300.0),
    evaluate=dict.fromkeys(KINDS, 300.0),
    origin="assumed, as there is no measured run (make run writes build/run.json)",
)


def measured(run: Mapping[str, Any], *, settings: Settings, rows: float) -> JobSeconds:
    """Of build/run.json (docs/run.schema.json); without its steps the assumed ones.

    A trial took as long as its parallel neighbours let it. A run's fixed seconds are stretched with the rest, so for
    more rows than were measured the figures are bounds from above.
    """
    seconds = {step["name"]: float(step["seconds"]) for step in run.get("steps", [])}
    output = run.get("execution", {}).get("output", {})
    known, plan = output.get("rows"), output.get("plan", {})
    names = {kind: kind.capitalize() for kind in KINDS}
    wanted = ["EngineerFeatures", *(f"{step}{name}" for step in ("Tune", "Evaluate") for name in names.values())]
    if not known or any(f"train/{step}" not in seconds for step in wanted):
        return ASSUMED
    by_rows = rows / known
    share = settings.tuning_max_parallel_jobs / settings.tuning_max_jobs
    return JobSeconds(
        engineer=[
            *[seconds["train/EngineerFeatures"] * by_rows] * plan.get("processing_instances", 1),
            *(seconds[name] * by_rows for name in ("train/MergeFeatures",) if name in seconds),
        ],
        trial={kind: seconds[f"train/Tune{name}"] * share * by_rows for kind, name in names.items()},
        evaluate={kind: seconds[f"train/Evaluate{name}"] * by_rows for kind, name in names.items()},
        origin=f"measured run of {known:,} rows, {settings.tuning_max_jobs} trials, {settings.tuning_max_parallel_jobs} at "
        f"once, stretched to {rows:,.0f} rows",
        trial_instances=plan.get("training_instances", 1),
    )
