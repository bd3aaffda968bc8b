"""What a person may set for `make run`: environment variables, parsed once, each refusal naming variable, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insights.gate import THRESHOLDS, InvalidThreshold, checked_thresholds
from local.settings import DEFAULT_PORT

MEASURED_FILE = Path("data/measured.jsonl.gz")
DEFAULT_INSIGHTS = "measured"
THIS_HOST = "this-host"
DEFAULT_DASHBOARD_PORT = 3000
GATE_VARIABLES = {f"GATE_{name.upper()}": name for name in THRESHOLDS}


class InvalidOption(ValueError):
    """An environment variable of `make run` has a value that cannot be meant."""

    def __init__(self, name: str, value: str, remedy: str) -> None:
        super().__init__(f"{name}={value[:200]}: {remedy}")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """insights: "synthetic", or the file whose insights are loaded into the table first. watch_seconds: how long this
    machine's disks are watched after the training, None for not at all."""

    insights: str | Path
    records: int = 10_000
    seed: int = 7
    gate: Mapping[str, float] = field(default_factory=dict)
    tuning_jobs: int = 50
    tuning_parallel: int = 5
    dashboard_port: int = DEFAULT_DASHBOARD_PORT
    watch_seconds: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RunOptions:
        cloud_port(environment)  # a wrong one is said before anything starts
        is_watch = environment.get("INSIGHTS") == THIS_HOST
        seconds = _whole(environment, "WATCH_SECONDS", default=60, low=5, high=3600)
        jobs = _whole(environment, "TUNING_JOBS", default=50, low=1, high=750)
        return cls(
            insights=_insights(environment.get("INSIGHTS") or DEFAULT_INSIGHTS),
            records=_whole(environment, "RECORDS", default=10_000, low=1_000, high=10_000_000),
            seed=_whole(environment, "SEED", default=7, low=0, high=2**31 - 1),
            gate=_gate(environment),
            tuning_jobs=jobs,
            tuning_parallel=_whole(environment, "TUNING_PARALLEL", default=min(5, jobs), low=1, high=10),
            dashboard_port=_whole(environment, "DASHBOARD_PORT", default=DEFAULT_DASHBOARD_PORT, low=1, high=65_535),
            watch_seconds=seconds if is_watch else None,
        )

    def execution_input(self) -> dict[str, Any]:
        """The input of TrainModels: what a person would type into the console for the same run."""
        synthetic = self.insights == "synthetic"
        source: dict[str, Any] = {"kind": "dynamodb"}
        if synthetic:
            source = {"kind": "synthetic", "records": self.records, "seed": self.seed}
        tuning = {"max_jobs": self.tuning_jobs, "max_parallel_jobs": self.tuning_parallel}
        return {"source": source, "tuning": tuning, **({"gate": dict(self.gate)} if self.gate else {})}


def cloud_port(environment: Mapping[str, str]) -> int:
    """Where the laptop cloud listens on 127.0.0.1; 0: on a free port."""
    return _whole(environment, "CLOUD_PORT", default=DEFAULT_PORT, low=0, high=65_535)


def _insights(value: str) -> str | Path:
    if value == "synthetic":
        return value
    path = MEASURED_FILE if value in ("measured", THIS_HOST) else Path(value)
    if not _is_file(path):
        raise InvalidOption(
            "INSIGHTS",
            value,
            "no such file; give measured, synthetic, this-host, or a .jsonl, .json or .csv file (.gz too)",
        )
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _whole(environment: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or len(text) > 18 or not low <= int(text) <= high:
        raise InvalidOption(name, text, f"give a whole number from {low} to {high}")
    return int(text)


def _gate(environment: Mapping[str, str]) -> dict[str, float]:
    """The thresholds that were given, as the execution's input takes them; a misspelt one would be left out in silence."""
    for name, value in environment.items():
        if name.startswith("GATE_") and name not in GATE_VARIABLES:
            raise InvalidOption(name, value, f"no such threshold; known are {', '.join(GATE_VARIABLES)}")
    given = {name: environment[variable] for variable, name in GATE_VARIABLES.items() if environment.get(variable)}
    try:
        return checked_thresholds({name: _number(text) for name, text in given.items()})
    except InvalidThreshold as refused:
        raise InvalidOption(f"GATE_{refused.name.upper()}", given[refused.name], refused.remedy) from refused


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
