"""The bench `soak` for some seconds: what must hold for ten minutes holds for these, or it never will."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.soak import growth_percent, soaked
from tests.training_container.conftest import Pipeline

SECONDS = 15.0
WORKERS = 2


def test_above_the_shedding_point_callers_get_answers_or_503_and_memory_stays_flat(pipeline: Pipeline, tmp_path: Path):
    body = tmp_path / "window"
    body.write_text(json.dumps({"insights": json.loads((pipeline.raw / "training-data.json").read_text())[:12]}))

    found = soaked(pipeline.models["risk"], body, seconds=SECONDS, workers=WORKERS)

    assert set(found["statuses"]) == {"200", "503"}
    assert (found["lost connections"], found["unexplained"], found["workers_replaced"]) == (0, 0, False)
    assert (found["pings"] > 10, found["pings_unanswered"]) == (True, 0)
    assert found["memory_growth_percent"] <= 5.0


def test_a_leak_would_be_seen():
    leaking = [{"s": float(i), "worker 1": 100.0, "worker 2": 100.0 + 0.2 * i} for i in range(50)]

    assert growth_percent(leaking) == pytest.approx(5.7, abs=0.5)
