"""What each step of a run costs by its rows, as measured: rates.json, written by the command that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

RATES_FILE = Path(__file__).with_name("rates.json")
_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRate:
    """Of one process; a trial's seconds grow with its boosting rounds as well."""

    fixed_seconds: float
    seconds_per_million_rows: float
    fixed_mb: float
    peak_bytes_per_row: float
    fixed_seconds_per_round: float = 0.0
    seconds_per_million_rows_and_round: float = 0.0

    def seconds(self, rows: float, *, rounds: int = 0) -> float:
        round_seconds = self.fixed_seconds_per_round + rows / _MILLION * self.seconds_per_million_rows_and_round
        return self.fixed_seconds + rows / _MILLION * self.seconds_per_million_rows + rounds * round_seconds

    def peak_mb(self, rows: float) -> float:
        return self.fixed_mb + rows * self.peak_bytes_per_row / _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """`cores` worked in each step's seconds; `bytes_per_row` says what a row takes in each form in which it lies on disk."""

    measured_on: str
    command: str
    cores: int
    steps: Mapping[str, StepRate]
    bytes_per_row: Mapping[str, float]

    @classmethod
    def read(cls, path: Path = RATES_FILE) -> Self:
        return cls.from_json(json.loads(path.read_text()))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        steps = {name: StepRate(**rate) for name, rate in value["steps"].items()}
        return cls(**{**value, "steps": steps})

    @staticmethod
    def text_of(value: Mapping[str, Any]) -> str:
        return json.dumps(value, indent=1) + "\n"
