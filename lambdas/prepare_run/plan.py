"""How a run's rows are exported and what its jobs are given: pure decisions, each with a sentence of reason.

Small runs are what they always were. Beyond SMALL_ROWS counts and types follow from measured rates (rates.json), and never
pass what the deployment allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lambdas.prepare_run.estimates import (
    Machines,
    channel_bytes,
    features_bytes,
    features_seconds,
    processing_need_mb,
    scan_seconds,
    training_need_mb,
    trial_seconds,
)
from lambdas.prepare_run.instance_sizes import size_of
from lambdas.prepare_run.planning import MOST_SEGMENTS, Chosen, Limits, Planning
from lambdas.prepare_run.rates import Rates

SMALL_ROWS = 1_000_000
SMALL_VOLUME_GB = 30  # SageMaker's own minimum for a tuning job's warm pools
# API reference, ProcessingClusterConfig: 100 instances, 16,384 GB; a training job's volume is a gp2 volume of that size too.
MOST_INSTANCES = 100
MOST_VOLUME_GB = 16_384
# Of a table whose callers read it too: above, DynamoDB's own export, which reads nothing of it.
LONGEST_SCAN_SECONDS = 1800
SEGMENT_GOAL_SECONDS = 600  # within one invocation (900 s less its margin)
FEATURES_GOAL_SECONDS = 3600  # the job ends after four hours
TRIAL_GOAL_SECONDS = 1800  # a trial ends after one

_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    method: str
    segments: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPlan:
    rows: int
    processing_instances: int
    processing_instance_type: str
    processing_volume_gb: int
    training_instances: int
    training_instance_type: str
    training_volume_gb: int
    external_memory: bool
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**{name.name: getattr(self, name.name) for name in fields(self)}, "reasons": list(self.reasons)}


def export_plan(rows: int, planning: Planning, rates: Rates) -> ExportPlan:
    """Scan while the table's read capacity allows it within half an hour; above, DynamoDB's point-in-time export."""
    limits, chosen = planning.limits, planning.chosen
    if planning.source_kind == "s3":
        return ExportPlan(method="none", segments=0, reason="Files in S3 need no export.")
    seconds = scan_seconds(rows, rates)
    if chosen.export is not None:
        method, reason = chosen.export, f"The input asks for the export by {_METHOD_NAMES[chosen.export]}."
    elif planning.source_kind == "synthetic":
        method, reason = "scan", "A fleet that was generated a moment ago is scanned: a past point in time lacks it."
    elif seconds <= LONGEST_SCAN_SECONDS:
        method = "scan"
        reason = f"About {rows:,} rows are scanned: they take {_spoken(seconds)} of the table's first read capacity."
    else:
        method = "point_in_time"
        reason = (
            f"About {rows:,} rows would take {_spoken(seconds)} of the table's first read capacity, above "
            f"{_spoken(LONGEST_SCAN_SECONDS)}: DynamoDB's point-in-time export reads none of it."
        )
    segments = chosen.segments or _segments(rows, limits, rates)
    return ExportPlan(method=method, segments=segments, reason=f"{reason} {segments} segments.")


_METHOD_NAMES = {"scan": "scan", "point_in_time": "DynamoDB's point-in-time export"}


def _segments(rows: int, limits: Limits, rates: Rates) -> int:
    """As the deployment has it, or as many as end within one invocation."""
    if rows <= SMALL_ROWS:
        return limits.scan_segments
    wanted = math.ceil(rates.steps["export"].seconds(rows) / SEGMENT_GOAL_SECONDS)
    return min(max(limits.scan_segments, wanted), MOST_SEGMENTS)


def jobs_plan(rows: int, planning: Planning, rates: Rates, *, devices: int | None = None) -> JobsPlan:
    """`devices` None: unknown, and then no bound; a shard has whole devices, so there are never more than these."""
    processing, why_processing = _processing(rows, planning, rates, devices)
    training, why_training = _training(rows, planning, rates, devices)
    small = [f"{rows:,} rows: up to {SMALL_ROWS:,} one instance of each job suffices."] if rows <= SMALL_ROWS else []
    return JobsPlan(
        rows=rows,
        processing_instances=processing.instances,
        processing_instance_type=processing.instance_type,
        processing_volume_gb=_volume(features_bytes(rows, rates)),
        training_instances=training.instances,
        training_instance_type=training.instance_type,
        training_volume_gb=_volume(channel_bytes(rows, training, rates)),
        external_memory=training.external_memory,
        reasons=(*small, *why_processing, *why_training, *_why_volumes(rows, rates)),
    )


def _processing(rows: int, planning: Planning, rates: Rates, devices: int | None) -> tuple[Machines, list[str]]:
    limits, chosen = planning.limits, planning.chosen
    base = limits.processing_instance_type
    if chosen.processing_instances is not None:
        count, reasons = chosen.processing_instances, [_asked_for("processing_instances", chosen.processing_instances)]
    elif rows <= SMALL_ROWS:
        return Machines(1, base), []
    else:
        count, reasons = _features_instances(rows, planning, rates, devices)
    if rows <= SMALL_ROWS:
        return Machines(count, base), reasons
    need = processing_need_mb(rows, count, rates)
    options = [Machines(count, name) for name in _types(base, limits)]
    fitting = next((option for option in options if option.memory_mb >= need), None)
    if fitting is None:
        return options[-1], [*reasons, _too_large("evaluation", need, options[-1])]
    if fitting.instance_type != base:
        reasons.append(f"Processing runs on {fitting.instance_type}: evaluation holds about {need / 1e3:,.0f} GB.")
    return fitting, reasons


def _features_instances(rows: int, planning: Planning, rates: Rates, devices: int | None) -> tuple[int, list[str]]:
    alone = features_seconds(rows, 1, rates)
    wanted = next(
        (n for n in range(1, MOST_INSTANCES) if features_seconds(rows, n, rates) <= FEATURES_GOAL_SECONDS),
        MOST_INSTANCES,
    )
    most, bound = _most_shards(planning, devices)
    count = min(wanted, most)
    if count == 1 == wanted:
        return 1, [f"Features take one instance about {_spoken(alone)}."]
    taken = _spoken(features_seconds(rows, count, rates))
    if count == wanted:
        return count, [f"Features on {count} instances: one would take {_spoken(alone)}, these take about {taken}."]
    return count, [f"Features on {count} {_instances(count)}, as many as {bound}: about {taken}."]


def _most_shards(planning: Planning, devices: int | None) -> tuple[int, str]:
    """And what bounds them."""
    allowed = min(planning.limits.most_processing_instances, MOST_INSTANCES)
    if planning.source_kind == "s3":
        return 1, "a source of files allows, whose devices may be in any of them"
    if devices is not None and devices < allowed:
        return max(devices, 1), "there are devices"
    return allowed, "the setting most_processing_instances allows"


def _instances(count: int) -> str:
    return "instance" if count == 1 else "instances"


def _training(rows: int, planning: Planning, rates: Rates, devices: int | None) -> tuple[Machines, list[str]]:
    limits, chosen = planning.limits, planning.chosen
    asked = [
        _asked_for(name, value)
        for name in ("training_instances", "external_memory")
        if (value := getattr(chosen, name)) is not None
    ]
    options = _training_options(limits, chosen, devices)
    if rows <= SMALL_ROWS:
        return options[0], asked
    fitting = [option for option in options if option.memory_mb >= training_need_mb(rows, option, rates)]
    for option in fitting:
        if trial_seconds(rows, option, rates) <= TRIAL_GOAL_SECONDS:
            return option, [*asked, _why_training(rows, option, rates)]
    if in_memory := [option for option in fitting if not option.external_memory]:
        return in_memory[-1], [*asked, _slow_training(rows, in_memory[-1], rates)]
    last = options[-1]
    if fitting:
        return last, [*asked, _why_training(rows, last, rates), _slow_training(rows, last, rates)]
    return last, [*asked, _too_large("training", training_need_mb(rows, last, rates), last)]


def _training_options(limits: Limits, chosen: Chosen, devices: int | None) -> list[Machines]:
    """From small to large: one instance of each type, then more of the largest, then the same with rows on disk."""
    types = _types(limits.training_instance_type, limits)
    most = min(limits.most_training_instances, MOST_INSTANCES, devices or MOST_INSTANCES)
    external = bool(chosen.external_memory)
    if chosen.training_instances is not None:
        options = [Machines(chosen.training_instances, name, external) for name in types]
    else:
        options = [Machines(1, name, external) for name in types]
        options += [Machines(count, types[-1], external) for count in range(2, most + 1)]
    if chosen.external_memory is None:
        options.append(options[-1]._replace(external_memory=True))
    return options


def _types(base: str, limits: Limits) -> list[str]:
    """The base type and the allowed ones with more of both memory and cores, in that order."""
    size = size_of(base)
    if size is None:
        return [base]
    sizes = {name: found for name in limits.larger_instance_types if (found := size_of(name)) is not None}
    larger = [name for name, found in sizes.items() if found.memory_gib > size.memory_gib and found.vcpus >= size.vcpus]
    return [base, *sorted(larger, key=lambda name: (sizes[name].memory_gib, sizes[name].vcpus, name))]


def _volume(size_bytes: float) -> int:
    """With a tenth to spare, beside what a small run has."""
    return min(max(SMALL_VOLUME_GB, math.ceil(10 + 1.1 * size_bytes / _GIGABYTE)), MOST_VOLUME_GB)


def _why_volumes(rows: int, rates: Rates) -> Iterable[str]:
    needed = features_bytes(rows, rates) / _GIGABYTE
    if needed > MOST_VOLUME_GB:
        yield (
            f"Not feasible: the features folder is merged on one instance, which would need {needed:,.0f} GB of disk; "
            f"SageMaker gives {MOST_VOLUME_GB:,} GB at most."
        )


def _why_training(rows: int, machines: Machines, rates: Rates) -> str:
    how = " with the rows on disk (external memory)" if machines.external_memory else ""
    need, seconds = training_need_mb(rows, machines, rates), trial_seconds(rows, machines, rates)
    return f"Training on {machines}{how}: about {need / 1e3:,.1f} GB each, {_spoken(seconds)} a trial."


def _slow_training(rows: int, machines: Machines, rates: Rates) -> str:
    seconds = trial_seconds(rows, machines, rates)
    return (
        f"Training on {machines}, as many as the settings allow: a trial takes about {_spoken(seconds)}, above "
        f"{_spoken(TRIAL_GOAL_SECONDS)}; raise most_training_instances or allow larger types."
    )


def _too_large(step: str, need_mb: float, machines: Machines) -> str:
    return (
        f"Not feasible: {step} would hold about {need_mb / 1e3:,.0f} GB on each instance, and {machines.instance_type}, the "
        f"largest that larger_instance_types allows, has {machines.memory_mb / 1e3:,.0f} GB to give; allow larger types, or "
        "train on fewer rows."
    )


def _asked_for(name: str, value: object) -> str:
    return f"The input asks for {name} = {str(value).lower()}."


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def plan_of_export(account: Mapping[str, Any], planning: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan of the rows and devices that WriteManifest counted, under what PrepareRun planned with; None is what an
    execution gives that was started before there were plans, and asks for nothing."""
    rows, devices = account["rows"], account["devices"]
    under = Planning.from_json(planning) if planning else Planning()
    return jobs_plan(rows, under, Rates.read(), devices=devices).to_json()


def is_infeasible(sentence: str) -> bool:
    """Whether a reason says that a limit is passed whatever is chosen within the settings."""
    return sentence.startswith("Not feasible")
