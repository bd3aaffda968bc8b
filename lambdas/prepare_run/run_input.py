"""The input of a training run as a person types it: every field optional, every wrong one refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from insights.gate import GATE_DEFAULTS, InvalidThreshold, checked_thresholds
from insights.schema import KINDS, shown
from lambdas.executions import STEP_FUNCTIONS_FIELDS
from lambdas.prepare_run.planning import METHODS, MOST_SEGMENTS, Chosen, Limits
from lambdas.training_terms import TRIGGERS

SPLITS = ("device", "time")
LONGEST_REASON = 1000
FIELDS = frozenset({"source", "models", "tuning", "gate", "promote", "split", "trigger", "reason", "plan"})
PLAN_FIELDS = frozenset(Chosen.__dataclass_fields__)
SOURCE_FIELDS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset({"kind", "device_prefix"}),
    "synthetic": frozenset({"kind", "records", "seed"}),
    "s3": frozenset({"kind", "uri"}),
}
# Amazon SageMaker AI, "Resource limits for automatic model tuning": 750 training jobs of a Bayesian tuning job,
# 10 in parallel unless the quota was raised.
MOST_TUNING_JOBS = 750
MOST_PARALLEL_JOBS = 10
MOST_RECORDS = 10_000_000
LARGEST_SEED = 2**31 - 1


class InvalidRunInput(ValueError):
    """The execution's input has a field that is unknown or wrong."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"field {field[:120]} has the value {shown(value, 120)}; {remedy}")
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the insights come from; the fields of the other kinds are null."""

    kind: str
    device_prefix: str | None = None
    records: int | None = None
    seed: int | None = None
    uri: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tuning:
    max_jobs: int
    max_parallel_jobs: int


@dataclass(frozen=True, kw_only=True)
class RunInput:
    source: Source
    models: tuple[str, ...]
    tuning: Tuning
    gate: Mapping[str, float]
    promote: bool
    split: str
    trigger: str
    reason: str
    plan: Chosen


def parse_run_input(
    given: object, *, models: tuple[str, ...] = KINDS, tuning: Tuning, limits: Limits | None = None
) -> RunInput:
    """The input with its defaults filled in; `models` and `tuning` are what the deployment chose as default, and `limits`
    what it allows a plan."""
    fields = _object("input", given, FIELDS, STEP_FUNCTIONS_FIELDS)
    source = _source(fields.get("source"))
    return RunInput(
        source=source,
        models=_models(fields["models"]) if "models" in fields else models,
        tuning=_tuning(fields.get("tuning"), tuning),
        gate=_gate(fields.get("gate")),
        promote=_boolean("promote", fields.get("promote", True)),
        split=_choice("split", fields.get("split", "device"), SPLITS),
        trigger=_choice("trigger", fields.get("trigger", "request"), TRIGGERS),
        reason=_text("reason", fields.get("reason", "")),
        plan=_plan(fields.get("plan"), source.kind, limits or Limits()),
    )


def _source(given: object) -> Source:
    fields = _object("source", given, frozenset[str]().union(*SOURCE_FIELDS.values()))
    kind = _choice("source.kind", fields.get("kind", "dynamodb"), tuple(SOURCE_FIELDS))
    for name in fields:
        if name not in SOURCE_FIELDS[kind]:
            raise InvalidRunInput(
                f"source.{name}", fields[name], f"a source of kind {kind} has no such field; leave it out"
            )
    if kind == "synthetic":
        seed = _whole_number("source.seed", fields.get("seed", 7), 0, LARGEST_SEED)
        records = _whole_number("source.records", fields.get("records", 10_000), 100, MOST_RECORDS)
        return Source(kind=kind, records=records, seed=seed, device_prefix=f"synthetic-{seed}-")
    if kind == "s3":
        return Source(kind=kind, uri=_folder_uri(fields.get("uri")))
    return Source(kind=kind, device_prefix=_device_prefix(fields.get("device_prefix")))


def _folder_uri(value: object) -> str:
    remedy = "write the folder of insight files as s3://bucket/prefix/"
    if not isinstance(value, str) or not value.startswith("s3://"):
        raise InvalidRunInput("source.uri", value, remedy)
    bucket, _, prefix = value.removeprefix("s3://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise InvalidRunInput("source.uri", value, remedy)
    return value if value.endswith("/") else value + "/"


def _device_prefix(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise InvalidRunInput("source.device_prefix", value, "write the first 1 to 128 characters of the device ids")
    return value


def _models(value: object) -> tuple[str, ...]:
    remedy = "list one or both of risk and performance, each once"
    if not isinstance(value, list) or not value:
        raise InvalidRunInput("models", value, remedy)
    for position, model in enumerate(value):
        if model not in KINDS or model in value[:position]:
            raise InvalidRunInput(f"models[{position}]", model, remedy)
    return tuple(model for model in KINDS if model in value)


def _tuning(given: object, default: Tuning) -> Tuning:
    fields = _object("tuning", given, {"max_jobs", "max_parallel_jobs"})
    jobs = _whole_number("tuning.max_jobs", fields.get("max_jobs", default.max_jobs), 1, MOST_TUNING_JOBS)
    if "max_parallel_jobs" not in fields:
        return Tuning(max_jobs=jobs, max_parallel_jobs=min(default.max_parallel_jobs, jobs))
    parallel = _whole_number("tuning.max_parallel_jobs", fields["max_parallel_jobs"], 1, MOST_PARALLEL_JOBS)
    if parallel > jobs:
        raise InvalidRunInput(
            "tuning.max_parallel_jobs",
            parallel,
            f"it must not be above tuning.max_jobs ({jobs}); lower it or raise that",
        )
    return Tuning(max_jobs=jobs, max_parallel_jobs=parallel)


def _gate(given: object) -> dict[str, float]:
    fields = _object("gate", given, GATE_DEFAULTS.keys())
    try:
        return {**GATE_DEFAULTS, **checked_thresholds(fields)}
    except InvalidThreshold as refused:
        raise InvalidRunInput(f"gate.{refused.name}", refused.value, refused.remedy) from refused


def _plan(given: object, source_kind: str, limits: Limits) -> Chosen:
    """What is left out is the plan's to decide."""
    fields = _object("plan", given, PLAN_FIELDS)
    for name in ("export", "segments", "processing_instances"):
        if name in fields and source_kind == "s3":
            remedy = "a source of kind s3 exports nothing, and one instance reads its files; leave it out"
            raise InvalidRunInput(f"plan.{name}", fields[name], remedy)
    highest = {
        "processing_instances": limits.most_processing_instances,
        "training_instances": limits.most_training_instances,
        "segments": MOST_SEGMENTS,
    }
    counts = {name: _count(f"plan.{name}", fields[name], most) for name, most in highest.items() if name in fields}
    external = _boolean("plan.external_memory", fields["external_memory"]) if "external_memory" in fields else None
    return Chosen(
        **counts,
        export=_choice("plan.export", fields["export"], METHODS) if "export" in fields else None,
        external_memory=external,
    )


def _count(field: str, value: object, most: int) -> int:
    try:
        return _whole_number(field, value, 1, most)
    except InvalidRunInput as refused:
        setting = f"most_{field.removeprefix('plan.')}"
        if field == "plan.segments" or not isinstance(value, int) or value <= most:
            raise
        raise InvalidRunInput(
            field, value, f"the setting {setting} allows {most}; raise it or ask for less"
        ) from refused


def _object(field: str, value: object, known: Collection[str], ignored: Collection[str] = ()) -> Mapping[str, Any]:
    """The fields that were given; null counts as not given, at every level."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRunInput(field, value, 'it must be a JSON object such as {} (fields in quotes, with ":")')
    for name in value:
        if name not in known and name not in ignored:
            place = str(name) if field == "input" else f"{field}.{name}"
            raise InvalidRunInput(place, value[name], f"no such field; known are {', '.join(sorted(known))}")
    return {name: given for name, given in value.items() if given is not None}


def _choice(field: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise InvalidRunInput(field, value, f"it must be one of {', '.join(choices)}")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_REASON:
        raise InvalidRunInput(field, value, f"it must be text of at most {LONGEST_REASON} characters")
    return value


def _boolean(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRunInput(field, value, "it must be true or false, without quotes")
    return value


def _whole_number(field: str, value: object, lowest: int, highest: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidRunInput(field, value, f"it must be a whole number from {lowest} to {highest}")
    return value
