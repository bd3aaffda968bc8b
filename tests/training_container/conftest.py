"""One small pipeline, run by hand's commands once, that the tests of every step look at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from training_container.__main__ import main

ROUNDS = "30"


class Pipeline(NamedTuple):
    raw: Path
    features: Path
    models: dict[str, Path]
    evaluations: dict[str, Path]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    root = tmp_path_factory.mktemp("pipeline")
    raw, features = root / "raw", root / "features"
    assert main(["generate", "--records", "3000", "--seed", "5", "--output", str(raw)]) == 0
    assert main(["engineer", "--input", str(raw / "training-data.json"), "--output", str(features)]) == 0
    models, evaluations = {}, {}
    for kind in ("risk", "performance"):
        models[kind], evaluations[kind] = root / kind, root / f"{kind}-evaluation"
        trained = ["--kind", kind, "--input", str(features), "--model", str(models[kind])]
        assert main(["train", *trained, "--num-round", ROUNDS, "--nthread", "1"]) == 0
        assert main(["evaluate", *trained, "--output", str(evaluations[kind])]) == 0
    return Pipeline(raw, features, models, evaluations)
