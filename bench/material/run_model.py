"""Time, cost and memory of one run of TrainModels at any row count: the plan's own decisions, measured rates, list prices.

Quotas and limits that a size meets are told with what happens then. Wall-clock seconds add up along the workflow; the two
models train side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from insights.schema import KINDS
from lambdas.prepare_run.estimates import (
    INITIAL_READ_UNITS,
    READ_UNIT_BYTES,
    Machines,
    kind_trial_seconds,
    scan_seconds,
    training_need_mb,
)
from lambdas.prepare_run.plan import ExportPlan, JobsPlan, export_plan, is_infeasible, jobs_plan
from lambdas.prepare_run.planning import MOST_SEGMENTS, Limits, Planning
from lambdas.prepare_run.rates import Rates
from stacks.costs.load import HOURS_PER_MONTH
from stacks.costs.prices import PriceTable, instance_hour
from stacks.settings import Settings
from stacks.workflows.exporting import MOST_PARTS_AT_ONCE

# Limits as deployed (stacks/training_functions.py, stacks/workflows/) and AWS's own, by the page that names each.
LAMBDA_SECONDS = 840  # "Lambda quotas": 15 minutes, less a margin
EXPORT_GIB, MANIFEST_GIB = 2.0, 2.94
FEATURES_SECONDS, TRIAL_SECONDS, TUNING_SECONDS, EVALUATION_SECONDS = 4 * 3600, 3600, 24 * 3600, 3600
WORKFLOW_SECONDS = 40 * 3600
STARTING_SECONDS = 150  # assumed: a job's instance and image, before it works and is billed for some of it
POINT_IN_TIME_SECONDS, POINT_IN_TIME_GB_PER_SECOND = 600, 0.5  # assumed; AWS promises no duration of an export
STATES_PER_SEGMENT = 4
_GB, _GIB_MB = 1e9, 1073.741824


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`machines` as people read it; peak memory is that of one of them."""

    name: str
    machines: str
    seconds: float
    usd: float
    peak_mb: float
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunModel:
    settings: Settings
    table: PriceTable
    rates: Rates
    rows: int
    devices: int
    planning: Planning = field(default_factory=Planning)

    @classmethod
    def of(cls, settings: Settings, rows: int, *, devices: int, table: PriceTable, rates: Rates) -> RunModel:
        names = Limits.__dataclass_fields__
        planning = Planning(limits=Limits(**{name: getattr(settings, name) for name in names}))
        return cls(settings=settings, table=table, rates=rates, rows=rows, devices=devices, planning=planning)

    @cached_property
    def export(self) -> ExportPlan:
        return export_plan(self.rows, self.planning, self.rates)

    @cached_property
    def jobs(self) -> JobsPlan:
        return jobs_plan(self.rows, self.planning, self.rates, devices=self.devices)

    @cached_property
    def steps(self) -> list[Step]:
        trained = [step for kind in self._kinds for step in (self._tuning(kind), self._evaluation(kind))]
        return [self._exported(), self._manifest(), self._features(), *trained]

    @property
    def seconds(self) -> float:
        """Of the whole: the slower of the two models' branches counts."""
        shared = sum(step.seconds for step in self.steps[:3])
        branches = [sum(step.seconds for step in self.steps if step.name.endswith(kind)) for kind in self._kinds]
        return shared + max(branches)

    @property
    def usd(self) -> float:
        return sum(step.usd for step in self.steps)

    @property
    def limits(self) -> list[str]:
        """What is met on the way, the plan's own sentences about it first."""
        told = filter(is_infeasible, self.jobs.reasons)
        found = [f"{step.name}: {limit}" for step in self.steps for limit in step.limits]
        return [*told, *found, *self._of_the_whole()]

    @property
    def is_feasible(self) -> bool:
        return not any("not feasible" in limit.lower() for limit in self.limits)

    @property
    def _item_bytes(self) -> float:
        return self.rates.bytes_per_row["item"]

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in KINDS if self.settings.model_type in ("both", kind))

    def _exported(self) -> Step:
        segments = self.export.segments
        rate = self.rates.steps["export"]
        each = rate.seconds(self.rows / segments)
        working = each * math.ceil(segments / MOST_PARTS_AT_ONCE)
        gigabytes = self.rows * self._item_bytes / _GB
        functions = segments * (
            each * EXPORT_GIB * self._usd("lambda_arm_gb_second") + STATES_PER_SEGMENT * self._usd("state_transition")
        )
        if self.export.method == "scan":
            seconds = max(working, scan_seconds(self.rows, self.rates))
            usd = functions + self.rows * self._item_bytes / READ_UNIT_BYTES * self._usd("dynamodb_read")
        else:
            seconds = working + POINT_IN_TIME_SECONDS + gigabytes / POINT_IN_TIME_GB_PER_SECOND
            usd = functions + gigabytes * self._usd("dynamodb_export_gb")
        return Step(
            name=f"export ({self.export.method})",
            machines=f"{segments} Lambdas",
            seconds=seconds,
            usd=usd,
            peak_mb=min(rate.peak_mb(self.rows / segments), EXPORT_GIB * _GIB_MB),
            limits=tuple(self._export_limits(each)),
        )

    def _export_limits(self, each: float) -> Iterator[str]:
        segments = self.export.segments
        if self.export.method == "point_in_time":
            hours = scan_seconds(self.rows, self.rates) / 3600
            yield f"the method changes: a scan would take {hours:.1f} h of the table's read capacity"
        elif scan_seconds(self.rows, self.rates) > each:
            yield (
                f"the table's first {INITIAL_READ_UNITS:,} read units a second bound the scan, not the functions; "
                "throttling is waited out"
            )
        if segments > MOST_PARTS_AT_ONCE:
            yield f"{segments} segments, {MOST_PARTS_AT_ONCE} at once: about what the table's quota of read units feeds"
        if segments == MOST_SEGMENTS and each > LAMBDA_SECONDS:
            yield f"{MOST_SEGMENTS} segments are the most: each is handed on {each / LAMBDA_SECONDS:.0f} times"

    def _manifest(self) -> Step:
        rate = self.rates.steps["manifest"]
        seconds = rate.seconds(self.rows)
        limits = []
        if seconds > LAMBDA_SECONDS:
            most = (LAMBDA_SECONDS - rate.fixed_seconds) / rate.seconds_per_million_rows * 1e6
            limits.append(
                "not feasible: one Lambda writes it and the whole export's CSV, and its 15 minutes end at "
                f"{most:,.0f} rows"
            )
        usd = seconds * MANIFEST_GIB * self._usd("lambda_arm_gb_second")
        peak = rate.peak_mb(self.rows)
        if peak > MANIFEST_GIB * _GIB_MB:
            limits.append(f"not feasible: it would hold {peak:,.0f} MB, and the function has {MANIFEST_GIB:.1f} GiB")
        return Step(name="manifest", machines="1 Lambda", seconds=seconds, usd=usd, peak_mb=peak, limits=tuple(limits))

    def _features(self) -> Step:
        jobs, rate = self.jobs, self.rates.steps["features"]
        shard = self.rows / jobs.processing_instances
        seconds = rate.seconds(shard)
        limits = []
        if seconds > FEATURES_SECONDS:
            limits.append(
                f"not feasible: the job ends after {FEATURES_SECONDS // 3600} h; raise most_processing_instances "
                f"({self.settings.most_processing_instances})"
            )
        machines = Machines(jobs.processing_instances, jobs.processing_instance_type)
        if machines.instances > 1:
            limits.append(f"instance count rises: the quota '{machines.instance_type} for processing job usage' "
                          f"must allow {machines.instances}")  # fmt: skip
        return self._job("features", machines, seconds, 1, jobs.processing_volume_gb, rate.peak_mb(shard), limits)

    def _tuning(self, kind: str) -> Step:
        jobs, tuned = self.jobs, self.settings
        machines = Machines(jobs.training_instances, jobs.training_instance_type, jobs.external_memory)
        trial = kind_trial_seconds(kind, self.rows, machines, self.rates)
        rounds = math.ceil(tuned.tuning_max_jobs / tuned.tuning_max_parallel_jobs)
        at_once = machines.instances * tuned.tuning_max_parallel_jobs * len(self._kinds)
        limits = []
        if trial > TRIAL_SECONDS:
            limits.append(
                f"not feasible: a trial ends after {TRIAL_SECONDS // 3600} h and would take {trial / 3600:.1f}"
            )
        if rounds * (trial + STARTING_SECONDS) > TUNING_SECONDS:
            limits.append(f"tuning ends after {TUNING_SECONDS // 3600} h with the trials that are done then")
        if machines.instances > 1 or machines.instance_type != tuned.training_instance_type:
            limits.append(f"the quota '{machines.instance_type} for training job usage' must allow {at_once}: "
                          f"{machines} for each trial, {at_once // machines.instances} trials at once")  # fmt: skip
        step = self._job(f"tune {kind}", machines, trial, tuned.tuning_max_jobs, jobs.training_volume_gb,
                         training_need_mb(self.rows, machines, self.rates), limits)  # fmt: skip
        waves = min(rounds * (trial + STARTING_SECONDS), TUNING_SECONDS)
        return Step(**{**_fields(step), "seconds": waves, "machines": f"{tuned.tuning_max_jobs} x {machines}"})

    def _evaluation(self, kind: str) -> Step:
        rate = self.rates.steps[f"evaluate_{kind}"]
        machines = Machines(1, self.jobs.processing_instance_type)
        seconds, peak = rate.seconds(self.rows), rate.peak_mb(self.rows)
        limits = []
        if seconds > EVALUATION_SECONDS:
            limits.append(f"not feasible: the job ends after {EVALUATION_SECONDS // 3600} h, on one instance")
        return self._job(f"evaluate {kind}", machines, seconds, 1, self.jobs.processing_volume_gb, peak, limits)

    def _job(
        self,
        name: str,
        machines: Machines,
        seconds: float,
        times: int,
        volume_gb: int,
        peak_mb: float,
        limits: list[str],
    ) -> Step:
        """`times` jobs of so many instances, one after the other in cost; each waits for its machines before it works."""
        hours = times * machines.instances * (seconds + STARTING_SECONDS) / 3600
        volume = hours / HOURS_PER_MONTH * volume_gb * self._usd("sagemaker_storage_gb_month")
        return Step(
            name=name,
            machines=str(machines) + (" (external memory)" if machines.external_memory else ""),
            seconds=seconds + STARTING_SECONDS,
            usd=hours * self._usd(instance_hour(machines.instance_type)) + volume,
            peak_mb=peak_mb,
            limits=tuple(limits),
        )

    def _of_the_whole(self) -> Iterator[str]:
        if self.seconds > WORKFLOW_SECONDS:
            yield f"not feasible: the execution ends after {WORKFLOW_SECONDS // 3600} h"
        budget = self.settings.monthly_budget_usd
        if budget is not None and self.usd > budget:
            yield f"one run costs more than a month's budget ({budget:,.0f} USD)"

    def _usd(self, price: str) -> float:
        return self.table.price(price).usd


def _fields(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in Step.__dataclass_fields__}
