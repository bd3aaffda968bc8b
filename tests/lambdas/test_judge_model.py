from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest

from lambdas.judge_model import handler as adapter
from lambdas.judge_model.judge_model import judge_model, property_text
from lambdas.objects import ObjectMissing, UnreadableObject

PREFIX = "models/0123456789ab/risk/evaluation/"
GATE = {"min_accuracy": 0.9, "max_rmse": 10.0}
MADE = {
    "hyperparameters": {"max_depth": 6, "eta": 0.1},
    "best_iteration": 120,
    "training_rows": 5400,
    "calibration_rows": 900,
    "feature_table_hash": "feed",
    "package_versions": {"numpy": "2.1.0"},
    "code_version": "0123456789abcdef",
}
RUN = {
    "run_id": "0123456789ab",
    "execution": "arn:aws:states:us-east-1:123456789012:execution:TrainModels:drift-risk",
    "trigger": "drift",
    "reason": "psi 0.4 of p99_latency",
    "image": "training:1",
    "training_job": "risk-0123456789ab-0-007",
    "manifest": "s3://iops-bucket/raw/0123456789ab/manifest.json",
    "manifest_sha256": "beef",
    "source": "dynamodb",
    "features": "s3://iops-bucket/features/0123456789ab/",
    "model_data": "s3://iops-bucket/models/0123456789ab/risk/job/output/model.tar.gz",
}


def put_metrics(cloud: Any, **metrics: Any) -> None:
    cloud.put(f"{PREFIX}metrics.json", json.dumps(metrics).encode())
    cloud.put(f"{PREFIX}lineage.json", json.dumps(MADE).encode())


def judged(cloud: Any, kind: str = "risk") -> dict[str, Any]:
    return judge_model(kind=kind, bucket=cloud.bucket, evaluation_prefix=PREFIX, gate=GATE, run=RUN, s3=cloud.s3)


def test_a_good_model_passes_with_its_reasons_and_few_numbers(cloud: Any) -> None:
    critical = {"recall": 0.9, "support": 40}
    put_metrics(
        cloud,
        kind="risk",
        accuracy=0.931,
        macro_f1=0.9,
        rows=1500,
        per_class={"critical": critical},
        rivals={"persistence": {"macro_f1": 0.8}},
        against_live=None,
        log_loss=None,
    )
    answer = judged(cloud)
    assert {name: value for name, value in answer.items() if name not in ("card", "lineage")} == {
        "passed": True,
        "reasons": [
            "accuracy 0.931 >= 0.900: passed",
            "recall of critical 0.900 >= 0.800 (on 40 rows): passed",
            "macro-F1 0.900 > persistence 0.800: passed",
            "no live model to compare with: passed",
        ],
        "metrics": {"accuracy": 0.931, "macro_f1": 0.9, "rows": 1500},
        "report": f"s3://iops-bucket/{PREFIX}report.html",
        "golden": f"s3://iops-bucket/{PREFIX}golden.json",
        "metrics_uri": f"s3://iops-bucket/{PREFIX}metrics.json",
    }


def test_a_poor_model_is_rejected_with_the_reason(cloud: Any) -> None:
    put_metrics(cloud, kind="performance", rmse=12.5, rows=10)
    answer = judged(cloud, "performance")
    assert not answer["passed"]
    assert "RMSE 12.500 > 10.000: failed" in answer["reasons"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "risk",
            "accuracy balanced_accuracy macro_f1 recall_critical log_loss expected_calibration_error rows devices",
        ),
        ("performance", "rmse mae r2 interval_coverage interval_width rows devices"),
    ],
)
def test_these_numbers_and_no_others_stand_on_the_package(cloud: Any, kind: str, names: str) -> None:
    """The API and the page name them, and alarms and operators look for them: they are a contract."""
    numbers: dict[str, float] = {name: place + 0.5 for place, name in enumerate(names.split())}
    numbers |= {"devices": sys.float_info.max}
    put_metrics(cloud, kind=kind, brier=0.1, **numbers)
    assert judged(cloud, kind)["metrics"] == numbers


def test_what_is_no_finite_number_does_not_stand_on_the_package(cloud: Any) -> None:
    put_metrics(cloud, kind="risk", accuracy=math.inf, macro_f1=True, rows=10**400, devices="7", log_loss=0.5)
    assert judged(cloud)["metrics"] == {"log_loss": 0.5}


def test_the_evaluations_prefix_may_end_in_a_slash_or_not(cloud: Any) -> None:
    put_metrics(cloud, kind="risk", accuracy=0.93)
    answer = judge_model(
        kind="risk", bucket=cloud.bucket, evaluation_prefix=PREFIX.removesuffix("/"), gate=GATE, run=RUN, s3=cloud.s3
    )
    assert answer == judged(cloud)


def test_missing_unreadable_or_other_metrics_are_named(cloud: Any) -> None:
    with pytest.raises(ObjectMissing, match=r"metrics\.json does not exist; look into the log"):
        judged(cloud)
    put_metrics(cloud, kind="performance")
    with pytest.raises(UnreadableObject, match="is of kind 'performance' where 'risk'"):
        judged(cloud)
    cloud.put(f"{PREFIX}metrics.json", b"{nan")
    with pytest.raises(UnreadableObject, match="is not JSON"):
        judged(cloud)


def test_the_handler_passes_the_gate_on(cloud: Any, event: Any, context: Any) -> None:
    put_metrics(cloud, kind="risk", accuracy=0.5)
    asked = {**event("judge_model"), "gate": {"min_accuracy": 0.4}}
    judgement = adapter.handler(asked, context)
    assert judgement["passed"] is False
    assert "accuracy 0.500 >= 0.400: passed" in judgement["reasons"]
    assert "accuracy 0.500 < 0.900: failed" in adapter.handler({**asked, "gate": None}, context)["reasons"]


def test_every_judgement_stands_in_the_functions_log(
    cloud: Any, event: Any, context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """People look there for why a model was refused, long after the history of its execution is gone."""
    put_metrics(cloud, kind="risk", accuracy=0.5)
    judgement = adapter.handler(event("judge_model"), context)
    [told] = caplog.records
    assert (told.getMessage(), vars(told)["kind"], vars(told)["judgement"]) == ("model judged", "risk", judgement)


def test_the_lineage_on_the_package_is_what_the_registry_accepts(cloud: Any) -> None:
    put_metrics(cloud, kind="risk", accuracy=0.93)
    assert judged(cloud)["lineage"] == {
        "execution": RUN["execution"],
        "trigger": "drift",
        "training_job": "risk-0123456789ab-0-007",
        "manifest": RUN["manifest"],
        "manifest_sha256": "beef",
        "code_version": "0123456789abcdef",
        "feature_table_hash": "feed",
    }
    assert property_text("psi 0.4 (p99); 'bad', 50%" + "x" * 300) == ("psi 0.4  p99    bad   50 " + "x" * 300)[:256]


def test_the_card_says_what_it_is_for_what_it_was_made_of_and_how_good_it_is(cloud: Any) -> None:
    put_metrics(
        cloud,
        kind="risk",
        accuracy=0.931,
        intervals={"accuracy": {"lower": 0.91, "upper": 0.95}},
        rivals={"persistence": {"macro_f1": 0.81}},
        cannot_be_judged=["the recall of critical: 3 rows"],
    )
    card = json.loads(judged(cloud)["card"])
    job = card["training_details"]["training_job_details"]
    assert job["training_datasets"] == [RUN["manifest"]]
    assert job["training_environment"] == {"container_image": ["training:1"]}
    assert job["hyper_parameters"] == [{"name": "max_depth", "value": "6"}, {"name": "eta", "value": "0.1"}]
    (evaluation,) = card["evaluation_details"]
    own, rivals = evaluation["metric_groups"]
    notes = "95% interval over devices 0.91 to 0.95"
    assert own["metric_data"] == [{"name": "accuracy", "type": "number", "value": 0.931, "notes": notes}]
    assert rivals["metric_data"] == [{"name": "persistence macro_f1", "type": "number", "value": 0.81}]
    assert "accuracy 0.931 >= 0.900: passed" in evaluation["evaluation_observation"]
    assert (
        "Not judged: the recall of critical: 3 rows." in card["additional_information"]["caveats_and_recommendations"]
    )
    assert card["additional_information"]["custom_details"]["manifest_sha256"] == "beef"
    assert "operator" in card["intended_uses"]["intended_uses"]


CARDS = {
    "risk": {
        "facet": "Loss",
        "notes": "validation:mlogloss",
        "purpose": "Foretells the risk level (low, medium, high, critical) of a storage device's next half hour.",
        "own": "accuracy",
        "rival": "macro_f1",
    },
    "performance": {
        "facet": "RMSE",
        "notes": "validation:rmse",
        "purpose": (
            "Foretells the performance score (0-100) of a storage device's next half hour, with a 90% interval."
        ),
        "own": "rmse",
        "rival": "rmse",
    },
}


@pytest.mark.parametrize("kind", ["risk", "performance"])
def test_the_card_has_sagemakers_fields_and_no_others(cloud: Any, kind: str) -> None:
    """Names and nesting are those of the registry's schema ("Model package model card schema"), which refuses others."""
    said = CARDS[kind]
    put_metrics(cloud, kind=kind, rivals={"persistence": {said["rival"]: 0.25}, "odd": {}}, **{said["own"]: 0.5})
    card = json.loads(judged(cloud, kind)["card"])
    texts = ["intended_uses", "factors_affecting_model_efficiency", "explanations_for_risk_rating"]
    for name in texts:
        assert card["intended_uses"].pop(name)
    assert card["additional_information"].pop("caveats_and_recommendations").startswith("It sees one device's last 12")
    assert card["evaluation_details"][0].pop("evaluation_observation")
    assert card == {
        "model_overview": {"model_creator": "IOPS Insights, TrainModels", "model_artifact": [RUN["model_data"]]},
        "intended_uses": {"purpose_of_model": said["purpose"], "risk_rating": "Low"},
        "training_details": {
            "objective_function": {
                "function": {"function": "Minimize", "facet": said["facet"]},
                "notes": said["notes"],
            },
            "training_observations": (
                "5400 labelled rows, 900 more for calibration; devices of the validation, calibration and test splits "
                "are never trained on."
            ),
            "training_job_details": {
                "training_datasets": [RUN["manifest"]],
                "training_environment": {"container_image": ["training:1"]},
                "hyper_parameters": [{"name": "max_depth", "value": "6"}, {"name": "eta", "value": "0.1"}],
            },
        },
        "evaluation_details": [
            {
                "name": "test split",
                "datasets": [RUN["features"]],
                "metric_groups": [
                    {"name": "model", "metric_data": [{"name": said["own"], "type": "number", "value": 0.5}]},
                    {
                        "name": "rivals on the same rows",
                        "metric_data": [{"name": f"persistence {said['rival']}", "type": "number", "value": 0.25}],
                    },
                ],
            }
        ],
        "additional_information": {
            "custom_details": {
                "run_id": "0123456789ab",
                "execution": RUN["execution"],
                "trigger": "drift",
                "reason": "psi 0.4 of p99_latency",
                "manifest_sha256": "beef",
                "code_version": "0123456789abcdef",
                "feature_table_hash": "feed",
                "training_job": "risk-0123456789ab-0-007",
                "package_versions": "{'numpy': '2.1.0'}",
            }
        },
    }


def test_texts_of_the_card_keep_to_the_schemas_length(cloud: Any) -> None:
    """2,048 characters of a text, 1,024 of a custom detail."""
    put_metrics(cloud, kind="risk", accuracy=0.93, cannot_be_judged=["x" * 3000])
    run = {**RUN, "reason": "y" * 3000}
    answer = judge_model(kind="risk", bucket=cloud.bucket, evaluation_prefix=PREFIX, gate=GATE, run=run, s3=cloud.s3)
    further = json.loads(answer["card"])["additional_information"]
    assert further["caveats_and_recommendations"].endswith("x...")
    assert len(further["caveats_and_recommendations"]) == 2048
    assert further["custom_details"]["reason"] == "y" * 1024
