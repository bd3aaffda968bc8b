"""The quick deployment that other end-to-end tests start from is what a training run would have left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.served_models import ServedModels, ServingOptions, image_uri
from training_container.model_folder import read_golden, write_golden
from training_container.predictor import Predictor

pytestmark = pytest.mark.e2e

LOUD_IMAGE = Path(__file__).parent / "images" / "loud.py"


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=("performance",), images={"loud:1": str(LOUD_IMAGE)}, wait_scale=0.02)


def test_the_trained_model_is_live_and_gives_its_golden_answers(served: ServedModels):
    golden = json.loads((served.folders["performance"] / "golden.json").read_text())
    answer = served.invoke("performance")

    assert answer["model_version"] == served.live_package("performance")
    assert [p["performance_score"] for p in answer["predictions"]] == pytest.approx(
        [p["performance_score"] for p in golden["predictions"]], abs=1e-4
    )
    assert served.endpoint("performance")["EndpointStatus"] == "InService"


def test_a_package_may_bring_another_image(served: ServedModels):
    before = served.live_package("performance")
    loud = served.make_live("performance", served.register("performance", image=image_uri("loud:1")))
    answer = served.invoke("performance")

    assert answer["model_version"] == loud
    assert all(prediction["loud"] == "yes" for prediction in answer["predictions"])
    served.make_live("performance", before)


def test_an_edited_model_is_another_model_and_golden_answers_can_be_wrong_for_it(served: ServedModels, tmp_path: Path):
    before = served.live_package("performance")
    golden = json.loads((served.folders["performance"] / "golden.json").read_text())
    golden["predictions"][0]["performance_score"] += 1
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    folder = served.variant("performance", tmp_path / "wider", widen)
    package = served.register("performance", folder=folder, golden=tmp_path / "golden.json")
    execution = served.promote("performance", package)

    assert execution.status == "FAILED"
    assert "is not the one stored with the model's evaluation" in execution.cause
    assert served.live_package("performance") == before
    assert served.invoke("performance")["model_version"] == before


def widen(folder: Path) -> None:
    """Twice the interval, and golden rows that say so, so that the container finds itself in order."""
    described = json.loads((folder / "model.json").read_text())
    described["conformal_quantile"] *= 2
    (folder / "model.json").write_text(json.dumps(described))
    rows, _ = read_golden(folder)
    write_golden(folder, "performance", rows, Predictor.load(folder).answers(rows, explain=False))
