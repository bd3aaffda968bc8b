"""From feedback and joined outcomes to what a model is trained on: export, manifest and the engineer job, as they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from insights.schema import Insight, timestamp_text
from lambdas.export_insights.export_insights import ExportEnvironment, Segment, export_insights
from lambdas.give_feedback.give_feedback import give_feedback
from lambdas.insight_writer import InsightWriter
from lambdas.join_outcomes.join_outcomes import JoinEnvironment, join_outcomes
from lambdas.predict.predictions import Predictions
from lambdas.write_manifest.write_manifest import write_manifest
from tests.lambdas.conftest import START
from training_container.engineer import Source, engineer

RUN, PREFIX = "0123456789ab", "raw/0123456789ab/"
DEVICES, ROWS = 8, 20
HORIZON = 6


@pytest.fixture
def fleet(make_insight: Callable[..., Insight]) -> list[Insight]:
    """Quiet devices: by hindsight every row with half a horizon is low."""
    return [
        make_insight(f"disk-{device}", n, avg_latency_ms=5.0, latency_slo_ms=10.0)
        for device in range(DEVICES)
        for n in range(ROWS)
    ]


class Trained:
    """The rows of a training set, whichever split they are in."""

    def __init__(self, folder: Path) -> None:
        splits = [pd.read_csv(folder / f"{name}.csv") for name in ("train", "val", "calibration", "test")]
        self.rows = pd.concat(splits).set_index(["device_id", "timestamp"])

    def label(self, row: Insight) -> tuple[Any, ...] | None:
        key = (row.device_id, timestamp_text(row.timestamp))
        if key not in self.rows.index:
            return None
        found = self.rows.loc[key]
        return found["risk_level"], found["label_source"]


class Loop:
    """What a deployment does between two trainings."""

    def __init__(self, cloud: Any, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder

    def write(self, rows: Sequence[Insight]) -> None:
        InsightWriter("insights", self.cloud.dynamodb).write(rows)

    def predict(self, row: Insight) -> str:
        predicted_at = row.timestamp + timedelta(minutes=1)
        answer = {
            "device_id": row.device_id,
            "kind": "risk",
            "risk_level": "medium",
            "as_of": timestamp_text(row.timestamp),
            "prediction_id": f"{timestamp_text(predicted_at)}#risk#0",
        }
        Predictions("predictions", 90, self.cloud.dynamodb).store([answer], newest=[row], predicted_at=predicted_at)
        return str(answer["prediction_id"])

    def feedback(self, row: Insight, level: str) -> None:
        give_feedback(
            {"device_id": row.device_id, "prediction_id": self.predict(row), "risk_level": level},
            given_by="operator@example.com",
            predictions_table="predictions",
            insights_table="insights",
            dynamodb=self.cloud.dynamodb,
        )

    def join(self) -> None:
        environment = JoinEnvironment(insights_table_name="insights", predictions_table_name="predictions")
        join_outcomes(
            environment=environment,
            dynamodb=self.cloud.dynamodb,
            now=START + timedelta(hours=4),
            remaining_seconds=lambda: 900.0,
        )

    def train(self) -> Trained:
        segment = Segment(
            run_id=RUN,
            bucket=self.cloud.bucket,
            raw_prefix=PREFIX,
            device_prefix=None,
            segment=0,
            total_segments=1,
            start_key=None,
            batch=0,
        )
        export_insights(
            segment,
            environment=ExportEnvironment(insights_table_name="insights"),
            remaining_seconds=lambda: 900.0,
            dynamodb=self.cloud.dynamodb,
            s3=self.cloud.s3,
        )
        write_manifest(run_id=RUN, bucket=self.cloud.bucket, raw_prefix=PREFIX, s3=self.cloud.s3)
        raw = self.folder / "raw"
        for key, body in self.cloud.objects(PREFIX).items():
            path = raw / key.removeprefix(PREFIX)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        engineer(Source(raw), self.folder / "features")
        return Trained(self.folder / "features")


@pytest.fixture
def loop(cloud: Any, tmp_path: Path) -> Loop:
    return Loop(cloud, tmp_path)


def test_feedback_and_outcomes_are_trained_on_and_leave_hindsight_to_every_other_row(
    loop: Loop, fleet: list[Insight]
) -> None:
    loop.write(fleet)
    disputed, joined, other = fleet[3], fleet[4], fleet[5]
    loop.predict(joined)
    loop.feedback(disputed, "critical")
    loop.join()
    trained = loop.train()

    assert trained.label(disputed) == ("critical", "operator")
    assert trained.label(joined) == ("low", "auto")
    assert trained.label(other) == ("low", "auto")
    # The last three of each device have too little after them, as they had before anything was said.
    assert len(trained.rows) == DEVICES * (ROWS - HORIZON // 2)


def test_of_a_source_with_labels_only_what_was_said_later_is_added(loop: Loop, fleet: list[Insight]) -> None:
    """Rows that the source leaves unlabelled stay so, but for those whose outcome was joined or told."""
    labelled = [
        Insight.from_json({**row.to_json(), "risk_level": "high", "label_source": "auto"}) if row in fleet[::2] else row
        for row in fleet
    ]
    loop.write(labelled)
    disputed, joined, told, silent = fleet[2], fleet[3], fleet[5], fleet[7]
    loop.predict(joined)
    loop.feedback(disputed, "critical")
    loop.feedback(told, "medium")
    loop.join()
    trained = loop.train()

    assert trained.label(disputed) == ("critical", "operator")
    assert trained.label(told) == ("medium", "operator")
    assert trained.label(joined) == ("low", "auto")
    assert trained.label(silent) is None
    assert trained.label(fleet[4]) == ("high", "auto")


@pytest.mark.parametrize("operator_is_first", [True, False])
def test_the_operator_goes_before_the_outcome_whoever_is_first(
    loop: Loop, fleet: list[Insight], operator_is_first: bool
) -> None:
    loop.write(fleet)
    row = fleet[3]
    loop.predict(row)
    if operator_is_first:
        loop.feedback(row, "critical")
        loop.join()
    else:
        loop.join()
        loop.feedback(row, "critical")
    assert loop.train().label(row) == ("critical", "operator")
