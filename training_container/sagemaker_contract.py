"""The SageMaker contract in one module: its paths under one replaceable root, its files, its exit codes.

Everything else takes ordinary paths and values. `SAGEMAKER_ROOT` replaces /opt/ml where several containers share a machine.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from training_container.errors import (
    EXIT_BUG,
    EXIT_LOST,
    EXIT_STOPPED,
    EXIT_UNUSABLE,
    LostHost,
    Stopped,
    UnusableInput,
)

FAILURE_CHARACTERS = 1024  # what SageMaker copies into FailureReason


@dataclass(frozen=True, slots=True)
class Hosts:
    """The instances of one training job; the first of the names leads."""

    names: tuple[str, ...]
    current: str

    @property
    def rank(self) -> int:
        return self.names.index(self.current)


ONE_HOST = Hosts(("algo-1",), "algo-1")


@dataclass(frozen=True, slots=True)
class ContainerPaths:
    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ContainerPaths:
        return cls(Path(environment.get("SAGEMAKER_ROOT", "/opt/ml")))

    @property
    def model(self) -> Path:
        return self.root / "model"

    def channel(self, name: str) -> Path:
        """A training channel's folder; raises UnusableInput before any data is read if it was not given."""
        folder = self.root / "input" / "data" / name
        if not folder.is_dir():
            given = sorted(entry.name for entry in (self.root / "input" / "data").glob("*"))
            raise UnusableInput(
                f"channel {name!r} is missing; given: {', '.join(given) or 'none'}; add it to InputDataConfig"
            )
        return folder

    def processing_input(self, name: str) -> Path:
        return self.root / "processing" / "input" / name

    def processing_output(self, name: str) -> Path:
        return self.root / "processing" / "output" / name

    def processing_place(self) -> tuple[int, int]:
        """Which instance of a processing job this is, and of how many; 0 of 1 by hand."""
        path = self.root / "config" / "resourceconfig.json"
        if not path.is_file():
            return 0, 1
        resources = read_json(path)
        hosts = sorted(resources["hosts"])
        return hosts.index(resources["current_host"]), len(hosts)

    def hyperparameters(self) -> dict[str, str]:
        """All values are strings in the API; an absent file is an empty set."""
        path = self.root / "input" / "config" / "hyperparameters.json"
        if not path.is_file():
            return {}
        found = read_json(path)
        if not isinstance(found, dict):
            raise UnusableInput(f"{path} holds no object of names and values; give the hyperparameters as one")
        return {name: str(value) for name, value in found.items()}

    def hosts(self) -> Hosts:
        """From resourceconfig.json; by hand there is none, and one host."""
        path = self.root / "input" / "config" / "resourceconfig.json"
        if not path.is_file():
            return ONE_HOST
        found = read_json(path)
        hosts = Hosts(tuple(sorted(found["hosts"])), found["current_host"])
        if len(hosts.names) > 1:
            self._check_sharded("train")
        return hosts

    def _check_sharded(self, channel: str) -> None:
        path = self.root / "input" / "config" / "inputdataconfig.json"
        given = read_json(path).get(channel, {}).get("S3DistributionType") if path.is_file() else None
        if given == "FullyReplicated":
            raise UnusableInput(
                f"channel {channel!r} is FullyReplicated over several instances: every row would count once for each; "
                "give it the S3DataDistributionType ShardedByS3Key"
            )

    @property
    def scratch(self) -> Path | None:
        """A folder on the instance's storage volume for what need not stay; by hand there is none."""
        return self.root if self.root.is_dir() else None

    def end_lost(self, sentence: str) -> NoReturn:
        """End this process from another thread than the main one, which does not come back by itself."""
        print(f"lost: {sentence}", file=sys.stderr, flush=True)
        self.write_failure(sentence)
        os._exit(EXIT_LOST)

    def write_failure(self, sentence: str) -> None:
        """For FailureReason (training) and ExitMessage (processing); by hand there is no such folder and none is made."""
        output = self.root / "output"
        if not self.root.is_dir():
            return
        output.mkdir(exist_ok=True)
        for name in ("failure", "message"):
            (output / name).write_text(sentence[:FAILURE_CHARACTERS])


def run_contained(command: Callable[[], None], paths: ContainerPaths) -> int:
    """Run one command to its exit code; what failed is said on stderr and left in the failure file."""
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        command()
        return 0
    except Stopped:
        print("stopped by SIGTERM", file=sys.stderr, flush=True)
        return EXIT_STOPPED
    except UnusableInput as refused:
        print(f"refused: {refused}", file=sys.stderr, flush=True)
        paths.write_failure(str(refused))
        return EXIT_UNUSABLE
    except LostHost as lost:
        print(f"lost: {lost}", file=sys.stderr, flush=True)
        paths.write_failure(str(lost))
        return EXIT_LOST
    except Exception as bug:
        traceback.print_exc()
        paths.write_failure(_neither_data_nor_host(bug))
        return EXIT_BUG
    finally:
        signal.signal(signal.SIGTERM, previous)


def _neither_data_nor_host(bug: Exception) -> str:
    # NumPy's own words for an array that was written in part have no errno.
    half_written = re.search(r"^\d+ requested and \d+ written", str(bug))
    if isinstance(bug, OSError) and (bug.errno == errno.ENOSPC or half_written):
        return (
            f"the volume of the instance is full: {bug}; more instances share the rows among more volumes, as with "
            '{"plan": {"processing_instances": 2, "training_instances": 2}} in the execution\'s input'
        )
    return f"a bug of the container, not of the data: {type(bug).__name__}: {bug}; the log has the trace"


def leave_at_once(code: int) -> NoReturn:
    """Without the libraries' destructors: XGBoost's crash where other hosts were lost, and signal 11 took the code's place."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableInput(f"{path} cannot be read as JSON: {error}") from error


def cores() -> int:
    """Threads that a training may use: what the platform says, else every core of the instance."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
