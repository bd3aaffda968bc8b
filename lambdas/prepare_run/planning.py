"""Under what a plan is made: what the deployment allows, and what the execution's input decides instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

METHODS = ("scan", "point_in_time")
MOST_SEGMENTS = 1000  # the segment has three digits in the names of its batches; 45 KB of the answer's 256 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the deployment allows: its settings of the same names."""

    processing_instance_type: str = "ml.m5.xlarge"
    training_instance_type: str = "ml.m5.xlarge"
    larger_instance_types: tuple[str, ...] = ()
    most_processing_instances: int = 1
    most_training_instances: int = 1
    scan_segments: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The execution input's `plan`: what a person decides instead; None is left to the plan."""

    processing_instances: int | None = None
    training_instances: int | None = None
    export: str | None = None
    segments: int | None = None
    external_memory: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """Under what a plan is made; it goes with the run, so that the plan of the exported rows is made under the same."""

    limits: Limits = field(default_factory=Limits)
    chosen: Chosen = field(default_factory=Chosen)
    source_kind: str = "dynamodb"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        limits = {**value["limits"], "larger_instance_types": tuple(value["limits"]["larger_instance_types"])}
        return cls(limits=Limits(**limits), chosen=Chosen(**value["chosen"]), source_kind=value["source_kind"])
