"""An instance that goes: the platform's failure, which a training job's RetryStrategy is for. A container that is killed on
an instance that stays is a failure of its own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.faults.book import Book, Fault
from tests.local.sagemaker.test_sagemaker_processing import request_of as processing_request
from tests.local.sagemaker.test_sagemaker_processing import run as run_processing
from tests.local.sagemaker.test_sagemaker_tuning import request_of as tuning_request
from tests.local.sagemaker.test_sagemaker_tuning import run as run_tuning
from tests.local.sagemaker.test_sagemaker_tuning import trials_of

LOST = "InternalServerError: We encountered an internal error. Please try again."


@pytest.fixture
def book(toy: Any) -> Iterator[Book]:
    book = Book(toy.cloud.settings.state_dir)
    yield book
    book.arm([])


def lost(toy: Any, *, job: str = "train", times: int = 1) -> Fault:
    return Fault(id=toy.name("lost"), where="job", name=job, what="lost", times=times)


def trained(toy: Any, restarts: int = 1, **hyper: str) -> dict[str, Any]:
    request = {
        **toy.training_request(toy.name("job"), **hyper),
        "RetryStrategy": {"MaximumRetryAttempts": restarts},
    }
    toy.sagemaker.create_training_job(**request)
    done: dict[str, Any] = toy.ended("training", request["TrainingJobName"])
    return done


def states(done: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in done["SecondaryStatusTransitions"]]


def files(toy: Any, done: dict[str, Any]) -> list[str]:
    archive = toy.read(f"models/{done['TrainingJobName']}/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_a_lost_instance_is_replaced_and_the_job_runs_again_with_nothing_of_the_first_attempt(
    toy: Any, book: Book, tmp_path: Path
):
    book.arm([lost(toy)])
    done = trained(toy, behaviour="be killed once", folder=str(tmp_path), x="5")

    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    once = ["Starting", "Downloading", "Training"]
    assert states(done) == [*once, *once, "Uploading", "Completed"]
    assert done["RetryStrategy"] == {"MaximumRetryAttempts": 1}
    assert files(toy, done) == ["algo-1.json"]
    assert [metric["Value"] for metric in done["FinalMetricDataList"]] == [4.0]


def test_a_job_whose_instances_are_lost_more_often_than_it_may_be_retried_fails_by_the_platform(toy: Any, book: Book):
    book.arm([lost(toy, times=3)])
    done = trained(toy, restarts=2, behaviour="be killed")

    assert (done["TrainingJobStatus"], done["FailureReason"]) == ("Failed", LOST)
    assert states(done).count("Training") == 3


def test_a_container_killed_on_an_instance_that_stays_is_not_run_again(toy: Any):
    done = trained(toy, behaviour="be killed")

    assert (done["TrainingJobStatus"], done["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 137")
    assert states(done).count("Training") == 1


def test_a_tuning_job_goes_on_with_the_lost_trials_own_result_so_that_the_best_is_that_of_an_undisturbed_one(
    toy: Any, book: Book, tmp_path: Path
):
    def searched(folder: Path, *faults: Fault) -> tuple[dict[str, Any], list[tuple[str, float]]]:
        book.arm(faults)
        request = tuning_request(toy, jobs=4, parallel=1, behaviour="be killed once", folder=str(folder))
        request["TrainingJobDefinition"]["RetryStrategy"] = {"MaximumRetryAttempts": 1}
        done = run_tuning(toy, request)
        trials = trials_of(toy, request["HyperParameterTuningJobName"])
        return done, [
            (trial["TunedHyperParameters"]["x"], trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
            for trial in trials
        ]

    for name in ("undisturbed", "disturbed"):
        (tmp_path / name).mkdir()
    (tmp_path / "undisturbed" / "was-here").touch()
    undisturbed = searched(tmp_path / "undisturbed")
    disturbed = searched(tmp_path / "disturbed", lost(toy))

    assert (tmp_path / "disturbed" / "was-here").exists()
    assert disturbed[0]["TrainingJobStatusCounters"] == undisturbed[0]["TrainingJobStatusCounters"]
    assert disturbed[0]["TrainingJobStatusCounters"]["Completed"] == 4
    assert disturbed[1] == undisturbed[1]


def test_a_processing_job_whose_instance_was_lost_says_so_and_leaves_no_output(toy: Any, book: Book):
    book.arm([lost(toy, job="process")])
    request = processing_request(toy, "lose", "algo-1", instances=2)
    done = run_processing(toy, request)

    assert (done["ProcessingJobStatus"], done["FailureReason"]) == ("Failed", LOST)
    assert "ExitMessage" not in done
    assert toy.keys(f"out/{request['ProcessingJobName']}/") == []


def test_what_any_instance_said_at_its_end_is_the_jobs_exit_message(toy: Any):
    done = run_processing(toy, processing_request(toy, "refuse", "algo-2", instances=2))

    assert (done["ProcessingJobStatus"], done["ExitMessage"]) == ("Failed", "there are no rows")
