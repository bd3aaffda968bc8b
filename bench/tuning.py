"""What tuning gains and costs: the best loss after so many trials, and the step's time above its limit, which is the pure
`xgboost.train` time of the same trials on the same cores.

Deploys to a laptop cloud of its own, runs TrainModels, then trains every trial again, side by side in as many processes
as there are cores, with nothing around `xgboost.train`. TUNING_JOBS sets the trials for each model (50).
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.material.table import keep, show
from local.cloud import LaptopCloud
from local.deploy import deploy
from local.execution import Execution, history, run_execution
from local.options import RunOptions
from local.run import Deployment, load_insights
from training_container.hyperparameters import Hyperparameters
from training_container.split_file import Split
from training_container.train import fit

KINDS = ("risk", "performance")
MARKS = (1, 2, 3, 5, 10, 20, 30, 50, 100)


def main() -> None:
    options = RunOptions.from_environment(os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "columnar"
        with LaptopCloud(Path(scratch) / "cloud", port=0) as cloud:
            trials, tuning_seconds = run_workflow(cloud, options, folder)
        # Measured after the cloud has stopped, so that nothing competes for the cores.
        pure_seconds = seconds_of_pure_training(trials, folder)
    report(trials, tuning_seconds, pure_seconds)


class Trial(NamedTuple):
    """A completed training job: its hyperparameters and its loss on the validation split."""

    given: dict[str, str]
    loss: float


def run_workflow(cloud: LaptopCloud, options: RunOptions, folder: Path) -> tuple[dict[str, list[Trial]], float]:
    """Each kind's trials in the order of their end and the seconds of the tuning step; the splits go into `folder`."""
    deploy(cloud)
    deployment = Deployment.of(cloud)
    if isinstance(options.insights, Path):
        load_insights(cloud, deployment, options.insights)
    execution = run_execution(
        cloud.client("stepfunctions"),
        state_machine_arn=deployment["IopsTraining.TrainModelsArn"],
        execution_input={**options.execution_input(), "promote": False},
    )
    download_splits(cloud, deployment, execution.output["run_id"], folder)
    return {kind: trials_of(cloud, kind) for kind in KINDS}, seconds_of_tuning(cloud, execution)


def seconds_of_tuning(cloud: LaptopCloud, execution: Execution) -> float:
    """From the first tuning job's start to the last one's end; the two run side by side."""
    entered, exited = [], []
    for event in history(cloud.client("stepfunctions"), execution.arn):
        for kind, times in (("stateEnteredEventDetails", entered), ("stateExitedEventDetails", exited)):
            if event.get(kind, {}).get("name", "").startswith("Tune"):
                times.append(event["timestamp"])
    return (max(exited) - min(entered)).total_seconds()


def trials_of(cloud: LaptopCloud, kind: str) -> list[Trial]:
    sagemaker = cloud.client("sagemaker")
    jobs = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=f"{kind}-", StatusEquals="Completed")
    names = [job["TrainingJobName"] for page in jobs for job in page["TrainingJobSummaries"]]
    described = [sagemaker.describe_training_job(TrainingJobName=name) for name in names]
    described.sort(key=lambda job: job["TrainingEndTime"])
    return [Trial(job["HyperParameters"], float(job["FinalMetricDataList"][0]["Value"])) for job in described]


def download_splits(cloud: LaptopCloud, deployment: Deployment, run_id: str, folder: Path) -> None:
    folder.mkdir()
    for name in ("train", "validation"):
        key = f"features/{run_id}/columnar/{name}.npz"
        cloud.client("s3").download_file(deployment["IopsData.BucketName"], key, str(folder / f"{name}.npz"))


def seconds_of_pure_training(trials: Mapping[str, list[Trial]], folder: Path) -> float:
    splits = {
        kind: tuple(Split.read(folder, name).labelled(kind) for name in ("train", "validation")) for kind in KINDS
    }
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(cores, initializer=_keep, initargs=(splits,)) as pool:
        pool.map(_warm, range(cores))
        started = time.perf_counter()
        pool.map(_train, [trial.given for kind in KINDS for trial in trials[kind]], chunksize=1)
        return time.perf_counter() - started


_splits: dict[str, Any] = {}


def _keep(splits: dict[str, Any]) -> None:
    _splits.update(splits)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the trials' own progress is not this table


def _warm(_: int) -> None:
    time.sleep(0.2)


def _train(given: dict[str, str]) -> None:
    hyperparameters = Hyperparameters.parse({**given, "nthread": "1"})
    fit(hyperparameters, *_splits[hyperparameters.kind])


def report(trials: Mapping[str, list[Trial]], tuning_seconds: float, pure_seconds: float) -> None:
    count = sum(map(len, trials.values()))
    cost = {
        "trials": count,
        "tuning step, s": tuning_seconds,
        "xgb.train alone, s": pure_seconds,
        "ratio": tuning_seconds / pure_seconds,
        "seconds per trial": tuning_seconds / count,
    }
    best = [{"model": kind, **best_after(trials[kind])} for kind in KINDS]
    show("Best validation loss after so many trials (risk: log loss; performance: RMSE)", best)
    show("The tuning step against pure training on the same cores", [cost])
    keep("tuning", {"best": best, "cost": cost})


def best_after(trials: list[Trial]) -> dict[str, float]:
    """The smallest loss among the first 1, 5, 10, ... trials; the same columns for both kinds."""
    return {str(n): min(trial.loss for trial in trials[:n]) for n in MARKS if n <= len(trials)}
