"""Training jobs of two instances on the laptop's SageMaker: the app's own image, XGBoost's collective between them."""

import io
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insights.feature_table import FEATURE_NAMES
from training_container.split_file import Split

APP = "000000000000.dkr.ecr.us-east-1.amazonaws.com/iops-insights:laptop"
GROUP = "/aws/sagemaker/TrainingJobs"
METRIC = {"Name": "validation:mlogloss", "Regex": "validation-mlogloss=([0-9.eE+-]+);"}


def split(devices: range, seed: int) -> Split:
    """Forty rows a device, whose level shows in three features."""
    random = np.random.default_rng(seed)
    count = 40 * len(devices)
    X = random.integers(0, 100, (count, len(FEATURE_NAMES))).astype(np.float32)
    risk = np.digitize(X[:, 0] + X[:, 1] * X[:, 2] / 100 + random.normal(0, 10, count), [60, 100, 140])
    nothing = np.full(count, -1, np.int8)
    return Split(
        X=X,
        risk=risk.astype(np.int8),
        score=(100 - 25 * risk).astype(np.float32),
        device=np.repeat(np.array(devices, np.int32), 40),
        devices=np.array([f"d{number:03d}" for number in range(100)]),
        time=np.tile(np.arange(40) * 300.0, len(devices)),
        persistence_risk=nothing,
        persistence_score=np.full(count, np.nan, np.float32),
        device_class=np.full(count, -1, np.int32),
        device_classes=np.array([], np.str_),
        workload=nothing,
        breach=nothing,
        oracle_risk=nothing,
        oracle_score=np.full(count, np.nan, np.float32),
    )


@pytest.fixture(scope="module")
def channels(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("columnar")
    files = {
        "train-00000-of-00002": split(range(30), 1),
        "train-00001-of-00002": split(range(30, 60), 2),
        "validation": split(range(60, 80), 3),
        "calibration": split(range(80, 100), 4),
    }
    for name, rows in files.items():
        rows.write(folder / f"{name}.npz")
        toy.put(f"columnar/{name}.npz", (folder / f"{name}.npz").read_bytes())
    return [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"s3://toy-data/columnar/{name}",
                    "S3DataDistributionType": "ShardedByS3Key" if name == "train" else "FullyReplicated",
                }
            },
        }
        for name in ("train", "validation", "calibration")
    ]


def request_of(toy: Any, channels: list[dict[str, Any]], **hyperparameters: str) -> dict[str, Any]:
    request: dict[str, Any] = toy.training_request(toy.name("job"), instances=2, kind="risk", **hyperparameters)
    request["AlgorithmSpecification"] = {
        "TrainingImage": APP,
        "TrainingInputMode": "File",
        "MetricDefinitions": [METRIC],
    }
    request["InputDataConfig"] = channels
    return request


def trained(toy: Any, request: dict[str, Any]) -> dict[str, bytes]:
    toy.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    done = toy.ended("training", name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    with tarfile.open(fileobj=io.BytesIO(toy.read(f"models/{name}/output/model.tar.gz"))) as tar:
        return {item.name: tar.extractfile(item).read() for item in tar.getmembers()}  # type: ignore[union-attr]


def instance_pid(toy: Any, job: str, host: str) -> int:
    """The process that writes the instance's log."""
    log = Path(toy.cloud.settings.state_dir).resolve() / "logs" / "training" / job / f"{host}.log"
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "fd" / "1").readlink() == log:
                return int(entry.name)
        except OSError:
            continue
    raise LookupError(f"no process writes {log}")


def test_parallel_trials_of_two_instances_each_train_side_by_side(toy: Any, channels: list[dict[str, Any]]):
    request = request_of(toy, channels, num_round="4")
    definition = {key: request[key] for key in request if key not in ("TrainingJobName", "HyperParameters")}
    name = toy.name("tune")
    toy.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": METRIC["Name"]},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "3", "MaxValue": "5"}],
            },
        },
        TrainingJobDefinition={**definition, "StaticHyperParameters": request["HyperParameters"]},
    )
    done = toy.ended("tuning", name)

    assert done["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}
    best = done["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    assert 0 < best["Value"] < np.log(4)


@pytest.mark.skipif(not Path("/proc").exists(), reason="the instance's process is found through /proc")
def test_a_killed_instance_fails_the_job_by_its_name_and_the_next_job_is_as_if_nothing_had_been(
    toy: Any, channels: list[dict[str, Any]]
):
    undisturbed = trained(toy, request_of(toy, channels, num_round="6"))
    long = request_of(toy, channels, num_round="10000", early_stopping_rounds="1000", eta="0.01", max_depth="10")
    name = long["TrainingJobName"]
    toy.sagemaker.create_training_job(**long)
    toy.until(lambda: toy.log_text(GROUP, f"{name}/algo-1-"), lambda lines: any("[3]" in line for line in lines))
    os.kill(instance_pid(toy, name, "algo-2"), signal.SIGKILL)
    done = toy.ended("training", name)

    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"] == (
        "AlgorithmError: algo-2 was lost: its process ended without a word (killed, or out of memory), "
        "or its machine did, exit code: 3"
    )
    assert not toy.keys(f"models/{name}/output/model")
    assert trained(toy, request_of(toy, channels, num_round="6")) == undisturbed
