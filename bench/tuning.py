"""How much the tuning step costs above its limit: the pure `xgboost.train` time of the same trials on the same cores.

Deploys to a laptop cloud of its own, runs TrainModels, then trains every trial again, side by side in as many processes
as there are cores, with nothing around `xgboost.train`. TUNING_JOBS sets the trials for each model (50).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from local.cloud import LaptopCloud
from local.deploy import deploy
from local.execution import Execution, history, run_execution
from local.options import RunOptions
from local.run import Deployment, load_insights
from training_container.hyperparameters import Hyperparameters
from training_container.split_file import Split
from training_container.train import fit

KINDS = ("risk", "performance")


def main() -> None:
    options = RunOptions.from_environment(os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "columnar"
        with LaptopCloud(Path(scratch) / "cloud", port=0) as cloud:
            trials, tuning_seconds = run_workflow(cloud, options, folder)
        # Measured after the cloud has stopped, so that nothing competes for the cores.
        pure_seconds = seconds_of_pure_training(trials, folder)
    report(len(trials), tuning_seconds, pure_seconds)


def run_workflow(cloud: LaptopCloud, options: RunOptions, folder: Path) -> tuple[list[dict[str, str]], float]:
    """Every completed trial's hyperparameters and the seconds of the tuning step; the splits go into `folder`."""
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
    return [trial for kind in KINDS for trial in trials_of(cloud, kind)], seconds_of_tuning(cloud, execution)


def seconds_of_tuning(cloud: LaptopCloud, execution: Execution) -> float:
    """From the first tuning job's start to the last one's end; the two run side by side."""
    entered, exited = [], []
    for event in history(cloud.client("stepfunctions"), execution.arn):
        for kind, times in (("stateEnteredEventDetails", entered), ("stateExitedEventDetails", exited)):
            if event.get(kind, {}).get("name", "").startswith("Tune"):
                times.append(event["timestamp"])
    return (max(exited) - min(entered)).total_seconds()


def trials_of(cloud: LaptopCloud, kind: str) -> list[dict[str, str]]:
    """The hyperparameters of every completed trial."""
    sagemaker = cloud.client("sagemaker")
    jobs = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=f"{kind}-", StatusEquals="Completed")
    names = [job["TrainingJobName"] for page in jobs for job in page["TrainingJobSummaries"]]
    described = (sagemaker.describe_training_job(TrainingJobName=name) for name in names)
    return [job["HyperParameters"] for job in described]


def download_splits(cloud: LaptopCloud, deployment: Deployment, run_id: str, folder: Path) -> None:
    folder.mkdir()
    for name in ("train", "validation"):
        key = f"features/{run_id}/columnar/{name}.npz"
        cloud.client("s3").download_file(deployment["IopsData.BucketName"], key, str(folder / f"{name}.npz"))


def seconds_of_pure_training(trials: list[dict[str, str]], folder: Path) -> float:
    splits = {
        kind: tuple(Split.read(folder, name).labelled(kind) for name in ("train", "validation")) for kind in KINDS
    }
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(cores, initializer=_keep, initargs=(splits,)) as pool:
        pool.map(_warm, range(cores))
        started = time.perf_counter()
        pool.map(_train, trials, chunksize=1)
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


def report(trials: int, tuning_seconds: float, pure_seconds: float) -> None:
    figures = {
        "trials": trials,
        "tuning_seconds": round(tuning_seconds, 2),
        "pure_training_seconds": round(pure_seconds, 2),
        "ratio": round(tuning_seconds / pure_seconds, 2),
    }
    for name, value in figures.items():
        print(f"{name:24} {value:>10}")
    path = Path("build/bench/tuning.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
