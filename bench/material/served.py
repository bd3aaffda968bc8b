"""One trained model and the requests that every contender of a serving bench gets: windows, and their rows of features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.material.fleets import fleet
from bench.material.tuned import silent
from insights.feature_table import FEATURE_NAMES
from insights.features import compute_window
from insights.generator import generate_cohorts
from insights.schema import Insight
from training_container.train import train

RECORDS, SEED = 10_000, 7
WINDOW_ROWS = 12


@dataclass(frozen=True, kw_only=True)
class Served:
    """`model` is a folder as train writes it; a body's path by its form and its number of rows."""

    model: Path
    bodies: dict[tuple[str, int], Path]


def served(counts: tuple[int, ...]) -> Served:
    """The risk model of a synthetic fleet; the forms are window (JSON), csv and named (JSON rows of features)."""
    with silent():
        features = fleet(RECORDS, SEED)
        folder = features.parent
        if not (folder / "risk" / "golden.json").is_file():
            channels = dict.fromkeys(("train", "validation", "calibration"), features / "columnar")
            train({"kind": "risk", "nthread": "1"}, channels, folder / "risk")
    windows = _windows(list(next(iter(generate_cohorts(RECORDS, SEED, futures=0))).columns.insights()), max(counts))
    rows = [compute_window(window).tolist() for window in windows]
    bodies = {}
    for count in counts:
        for form, text in _texts(windows[:count], rows[:count]).items():
            bodies[form, count] = folder / f"{form}-{count}"
            bodies[form, count].write_text(text)
    return Served(model=folder / "risk", bodies=bodies)


def _windows(rows: list[Insight], count: int) -> list[list[Insight]]:
    """Twelve consecutive insights of one device each, spread over the fleet; `rows` are by device and time."""
    begins = [i for i in range(len(rows) - WINDOW_ROWS) if rows[i].device_id == rows[i + WINDOW_ROWS].device_id]
    chosen = np.linspace(0, len(begins) - 1, count).astype(int)
    return [rows[begins[i] : begins[i] + WINDOW_ROWS] for i in chosen]


def _texts(windows: list[list[Insight]], rows: list[list[float]]) -> dict[str, str]:
    known = [[None if np.isnan(value) else value for value in row] for row in rows]
    return {
        "window": json.dumps({"instances": [{"insights": [row.to_json() for row in window]} for window in windows]}),
        "csv": "\n".join(",".join("" if value is None else repr(value) for value in row) for row in known),
        "named": json.dumps({"instances": [dict(zip(FEATURE_NAMES, row, strict=True)) for row in known]}),
    }
