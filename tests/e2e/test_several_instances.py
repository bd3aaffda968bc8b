"""TrainModels as deployed, over two instances: what one makes of the same input, and the same again when a worker of each
step was killed on the way."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from local.execution import Execution
from local.faults.book import Book, Fault
from tests.e2e.served_models import ServedModels, ServingOptions
from tests.faults.attempts import failed_states

pytestmark = pytest.mark.e2e

GIVEN: Mapping[str, Any] = {
    "source": {"kind": "synthetic", "records": 2500, "seed": 3},
    "models": ["risk"],
    "tuning": {"max_jobs": 1, "max_parallel_jobs": 1},
    "promote": False,
}
ONE = {**GIVEN, "plan": {"segments": 1}}
TWO = {**GIVEN, "plan": {"segments": 2, "processing_instances": 2, "training_instances": 2}}
KILLED = (
    Fault(id="export", where="function", name="export_insights", what="crashes"),
    Fault(id="engineer", where="job", name="engineer", what="crashes", skip=1),  # the second instance
    Fault(id="merge", where="job", name="merge", what="lost"),
    Fault(id="train", where="job", name="train", what="lost"),
    Fault(id="evaluate", where="job", name="evaluate", what="crashes"),
)
OF_THE_TRAINING_ROWS = "columnar/train"


@dataclass(frozen=True)
class Run:
    """A run that has ended, and what it left in the bucket."""

    served: ServedModels
    execution: Execution

    @property
    def id(self) -> str:
        return str(self.execution.output["run_id"])

    def folder(self, prefix: str) -> dict[str, bytes]:
        s3, bucket = self.served.cloud.client("s3"), self.served.deployment["IopsData.BucketName"]
        listed = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in listed for item in page.get("Contents", [])]
        return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    @property
    def features(self) -> dict[str, bytes]:
        return self.folder(f"features/{self.id}/")

    @property
    def training_rows(self) -> dict[str, np.ndarray[Any, Any]]:
        """Features and labels of the training split, all parts one after the other."""
        found = sorted((name, body) for name, body in self.features.items() if name.startswith(OF_THE_TRAINING_ROWS))
        parts = [np.load(io.BytesIO(body), allow_pickle=False) for _, body in found]
        return {name: np.concatenate([part[name] for part in parts]) for name in ("X", "risk", "score", "time")}

    @property
    def model(self) -> dict[str, bytes]:
        [archive] = [body for name, body in self.folder(f"models/{self.id}/risk/").items() if name.endswith(".tar.gz")]
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return {item.name: tar.extractfile(item).read() for item in tar.getmembers()}  # type: ignore[union-attr]

    @property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.folder(f"models/{self.id}/risk/evaluation/")["metrics.json"])
        return found

    def failed_attempts(self) -> list[str]:
        return failed_states(self.served.cloud.client("stepfunctions"), self.execution.arn)


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=(), faults=True, wait_scale=0.02, record_calls=False)


@pytest.fixture(scope="module")
def book(served: ServedModels) -> Book:
    return Book(served.cloud.settings.state_dir)


TrainFrom = Callable[..., Run]


@pytest.fixture(scope="module")
def train(served: ServedModels, book: Book) -> Iterator[TrainFrom]:
    def trained(given: Mapping[str, Any], *faults: Fault) -> Run:
        """As the first run of a deployment, which no earlier one gives its splits."""
        bucket = served.deployment["IopsData.BucketName"]
        served.cloud.client("s3").delete_object(Bucket=bucket, Key="features/splits.json")
        book.arm(faults)
        run = Run(served, served.execute("TrainModels", given))
        assert run.execution.status == "SUCCEEDED", run.execution.cause
        return run

    yield trained
    book.arm([])


@pytest.fixture(scope="module")
def one(train: TrainFrom) -> Run:
    return train(ONE)


@pytest.fixture(scope="module")
def two(train: TrainFrom) -> Run:
    return train(TWO)


@pytest.fixture(scope="module")
def disturbed(train: TrainFrom, two: Run) -> Run:
    return train(TWO, *KILLED)


def test_two_instances_leave_the_features_statistics_and_splits_that_one_leaves(one: Run, two: Run):
    def comparable(features: Mapping[str, bytes]) -> dict[str, bytes]:
        return {name: body for name, body in features.items() if not name.startswith(OF_THE_TRAINING_ROWS)}

    assert two.execution.output["plan"]["processing_instances"] == 2
    assert {"features.csv", "splits.json", "feature-statistics.json", "preprocessing.json"} < set(one.features)
    assert comparable(two.features) == comparable(one.features)


def test_the_parts_that_two_instances_train_on_are_the_rows_that_one_trains_on(one: Run, two: Run):
    assert [len([name for name in run.features if name.startswith(OF_THE_TRAINING_ROWS)]) for run in (one, two)] == [
        1,
        2,
    ]
    for name, values in one.training_rows.items():
        np.testing.assert_array_equal(two.training_rows[name], values, err_msg=name)


def test_a_model_of_two_instances_agrees_with_that_of_one_within_its_interval(one: Run, two: Run):
    for name in ("accuracy", "macro_f1"):
        ends = one.metrics["intervals"][name]
        assert ends["lower"] <= two.metrics[name] <= ends["upper"], name


def test_a_run_whose_workers_were_killed_at_each_step_leaves_what_an_undisturbed_one_leaves(
    two: Run, disturbed: Run, book: Book
):
    assert [book.struck(fault.id) for fault in KILLED] == [1] * len(KILLED)
    assert disturbed.features == two.features
    assert disturbed.model == two.model
    assert disturbed.metrics == two.metrics
    assert disturbed.execution.output["models"]["risk"]["metrics"] == two.execution.output["models"]["risk"]["metrics"]


def test_each_lost_attempt_is_seen_in_the_history(two: Run, disturbed: Run):
    assert two.failed_attempts() == []
    assert disturbed.failed_attempts() == ["EngineerFeatures", "MergeFeatures", "EvaluateRisk"]
    sagemaker = disturbed.served.cloud.client("sagemaker")
    [trial] = sagemaker.list_training_jobs(NameContains=disturbed.id)["TrainingJobSummaries"]
    described = sagemaker.describe_training_job(TrainingJobName=trial["TrainingJobName"])
    states = [each["Status"] for each in described["SecondaryStatusTransitions"]]
    assert states.count("Training") == 2


def test_only_the_killed_segment_of_the_export_was_tried_again(served: ServedModels, disturbed: Run):
    states = served.cloud.client("stepfunctions")
    [run] = states.list_map_runs(executionArn=disturbed.execution.arn)["mapRuns"]
    children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    failed = [len(failed_states(states, child["executionArn"])) for child in children]
    assert sorted(failed) == [0, 1]
