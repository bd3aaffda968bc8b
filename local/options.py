"""What a person may set for `make run`: environment variables, parsed once, each refusal naming variable, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEASURED_FILE = Path("data/measured.jsonl.gz")
DEFAULT_INSIGHTS = "measured"
KNOWN = (
    "INSIGHTS",
    "RECORDS",
    "SEED",
    "GATE_MIN_ACCURACY",
    "GATE_MAX_RMSE",
    "TUNING_JOBS",
    "TUNING_PARALLEL",
)


class InvalidOption(ValueError):
    """An environment variable of `make run` has a value that cannot be meant."""

    def __init__(self, name: str, value: str, remedy: str) -> None:
        super().__init__(f"{name}={value}: {remedy}")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """insights: "synthetic", or the file whose insights are loaded into the table first."""

    insights: str | Path
    records: int = 10_000
    seed: int = 7
    min_accuracy: float | None = None
    max_rmse: float | None = None
    tuning_jobs: int = 50
    tuning_parallel: int = 5

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RunOptions:
        jobs = _whole(environment, "TUNING_JOBS", default=50, low=1, high=750)
        return cls(
            insights=_insights(environment.get("INSIGHTS") or DEFAULT_INSIGHTS),
            records=_whole(environment, "RECORDS", default=10_000, low=1_000, high=10_000_000),
            seed=_whole(environment, "SEED", default=7, low=0, high=2**31 - 1),
            min_accuracy=_number(environment, "GATE_MIN_ACCURACY", low=0.0, high=1.0),
            max_rmse=_number(environment, "GATE_MAX_RMSE", low=0.0, high=100.0),
            tuning_jobs=jobs,
            tuning_parallel=_whole(environment, "TUNING_PARALLEL", default=min(5, jobs), low=1, high=10),
        )

    def execution_input(self) -> dict[str, Any]:
        """The input of TrainModels: what a person would type into the console for the same run."""
        synthetic = self.insights == "synthetic"
        source: dict[str, Any] = {"kind": "dynamodb"}
        if synthetic:
            source = {"kind": "synthetic", "records": self.records, "seed": self.seed}
        thresholds = {"min_accuracy": self.min_accuracy, "max_rmse": self.max_rmse}
        gate = {name: value for name, value in thresholds.items() if value is not None}
        tuning = {"max_jobs": self.tuning_jobs, "max_parallel_jobs": self.tuning_parallel}
        return {"source": source, "tuning": tuning, **({"gate": gate} if gate else {})}


def _insights(value: str) -> str | Path:
    if value == "synthetic":
        return value
    path = MEASURED_FILE if value == "measured" else Path(value)
    if not path.is_file():
        raise InvalidOption(
            "INSIGHTS",
            value,
            "no such file; give measured, synthetic, or a .jsonl, .json or .csv file (.gz too)",
        )
    return path


def _whole(environment: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise InvalidOption(name, text, f"give a whole number from {low} to {high}")
    return int(text)


def _number(environment: Mapping[str, str], name: str, *, low: float, high: float) -> float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InvalidOption(name, text, f"give a number from {low:g} to {high:g}")
    return value
