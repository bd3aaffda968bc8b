"""A training job of several instances as SageMaker lays it out, with real processes on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training_container.split_file import Split

LEVELS = 200  # of each feature: below XGBoost's 256 bins, so that every sketch finds the same cuts


def prequantised(split: Split) -> Split:
    """The same rows, with features of so few values that quantiles are the values themselves."""
    known = ~np.isnan(split.X)
    low, high = np.nanmin(split.X, axis=0), np.nanmax(split.X, axis=0)
    places = np.round((split.X - low) / np.maximum(high - low, 1e-9) * (LEVELS - 1))
    return replace(split, X=np.where(known, places, np.nan).astype(np.float32))


def write_parts(split: Split, folder: Path, count: int) -> None:
    """Whole devices, contiguous, named as the engineer names them."""
    starts = np.flatnonzero(np.diff(split.device, prepend=-1))
    cuts = [0, *(int(starts[len(starts) * number // count]) for number in range(1, count)), len(split)]
    for number in range(count):
        rows = np.arange(cuts[number], cuts[number + 1])
        split.take(rows).write(folder / f"train-{number:05d}-of-{count:05d}.npz")


@dataclass
class Instances:
    """The hosts of one job, each with its own /opt/ml; `columnar` holds its splits."""

    folder: Path
    columnar: Path
    count: int
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]

    def root(self, number: int) -> Path:
        return self.folder / f"algo-{number}"

    def lay_out(self) -> None:
        parts = sorted(self.columnar.glob("train*.npz"))
        hosts = [f"algo-{number}" for number in range(1, self.count + 1)]
        for number, host in enumerate(hosts, start=1):
            given = {"train": parts[number - 1 :: self.count]}
            given |= {name: [self.columnar / f"{name}.npz"] for name in ("validation", "calibration")}
            for name, files in given.items():
                channel = self.root(number) / "input" / "data" / name
                channel.mkdir(parents=True)
                for file in files:
                    (channel / file.name).symlink_to(file)
            config = self.root(number) / "input" / "config"
            config.mkdir()
            (config / "hyperparameters.json").write_text(json.dumps(self.hyperparameters))
            resources = {"current_host": host, "hosts": hosts, "network_interface_name": "lo"}
            (config / "resourceconfig.json").write_text(json.dumps(resources))
            channels = {name: {"S3DistributionType": "FullyReplicated"} for name in given}
            channels["train"] = {"S3DistributionType": "ShardedByS3Key"}
            (config / "inputdataconfig.json").write_text(json.dumps(channels))

    def start(self, numbers: Sequence[int] = ()) -> list[subprocess.Popen[str]]:
        """The entry point on all hosts, or on some of them."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        own = {"TRAINING_ROLL_CALL": f"127.0.0.1:{port}", "OMP_NUM_THREADS": "1", **self.environment}
        return [
            subprocess.Popen(
                [sys.executable, "-m", "training_container", "train"],
                env={**os.environ, **own, "SAGEMAKER_ROOT": str(self.root(number))},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in numbers or range(1, self.count + 1)
        ]

    def run(self) -> list[str]:
        """To a good end; what each host printed."""
        processes = self.start()
        printed = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * self.count, printed
        return printed

    def failure(self, number: int) -> str:
        return (self.root(number) / "output" / "failure").read_text()

    def model(self) -> dict[str, bytes]:
        return files_of_model(self.root(1) / "model")


def instances(
    folder: Path, columnar: Path, count: int, environment: Mapping[str, str] | None = None, **hyperparameters: str
) -> Instances:
    made = Instances(folder, columnar, count, hyperparameters, environment or {})
    made.lay_out()
    return made


def files_of_model(folder: Path) -> dict[str, bytes]:
    """Each file of a model folder; of the compressed baseline its arrays."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".npz"}
    with np.load(folder / "baseline.npz") as arrays:
        return {**files, **{name: arrays[name].tobytes() for name in arrays.files}}
