"""What training and processing jobs share: instances as containers, stopping, the reason of a failure, names and waits."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from local.containers.container import Container, Start
from local.sagemaker.errors import InstanceLost, JobFailed, SageMakerError, resource_in_use, validation
from local.sagemaker.logs import LogTail
from local.sagemaker.service import Service
from local.sagemaker.store import Record

logger = logging.getLogger("iops.sagemaker")
FAILURE_CHARACTERS = 1024
LAST_WORDS_SECONDS = 5.0
STOPPED = 143  # 128 + SIGTERM: the instances that were stopped after the one that failed
Ending = Literal["ended", "stopped", "max_runtime"]


@dataclass
class Control:
    """How a running job is told to stop; lives in its record's memory."""

    wake: threading.Event = field(default_factory=threading.Event)
    is_stop_requested: bool = False

    def request_stop(self) -> None:
        self.is_stop_requested = True
        self.wake.set()


class Stopped(Exception):
    """The job was told to stop before its containers started."""


@dataclass
class Instance:
    """One instance of a job: its contract root, log and container."""

    host: str
    root: Path
    log: Path
    start: Start | None = None
    container: Container | None = None


@dataclass
class Execution:
    """The containers of one job, from their start to the end of the last."""

    service: Service
    record: Record
    instances: list[Instance]
    log_group: str
    role_arn: str
    ending: Ending = "ended"
    failed: Instance | None = None
    """The first; the others are then stopped, and that they were is no reason."""

    def run(self, *, max_runtime_seconds: float) -> None:
        """Start every instance and wait; raises JobFailed when one fails by itself, InstanceLost when one is lost."""
        control: Control = self.record.memory["control"]
        epoch = int(time.time())
        tails = [self._tail(instance, epoch) for instance in self.instances]
        try:
            for instance in self.instances:
                assert instance.start is not None  # noqa: S101 - set by the job's preparation
                instance.container = self.service.containers.start(instance.start)
                instance.container.when_ended(control.wake.set)
            self._wait(control, time.monotonic() + max_runtime_seconds)
        finally:
            for tail in tails:
                self.service.logs.detach(tail)
        if self.ending == "ended":
            if any(instance.container and instance.container.is_lost for instance in self.instances):
                raise InstanceLost  # what the others say of it is no reason of the job's
            self._raise_failure()

    def _tail(self, instance: Instance, epoch: int) -> LogTail:
        stream = f"{self.record.name}/{instance.host}-{epoch}"
        return self.service.logs.attach(instance.log, group=self.log_group, stream=stream, role_arn=self.role_arn)

    def _wait(self, control: Control, deadline: float) -> None:
        containers = [instance.container for instance in self.instances if instance.container]
        while any(container.is_running for container in containers):
            if control.is_stop_requested:
                self.ending = "stopped"
            elif time.monotonic() >= deadline:
                self.ending = "max_runtime"
            self.failed = next((one for one in self.instances if one.container and one.container.exit_code), None)
            if self.failed or self.ending != "ended":
                if self.failed:
                    wait_together(containers, LAST_WORDS_SECONDS)
                stop_together(containers, self.service.settings.job_stop_grace_seconds)
                return
            control.wake.wait(deadline - time.monotonic())
            control.wake.clear()

    def _raise_failure(self) -> None:
        """Of several that were not stopped after it, one that says why, the first to end before the others: one that was
        killed says nothing."""
        ended = [instance for instance in (self.failed, *self.instances) if instance and instance.container]
        failed = [
            (failure_text(instance.root), instance.container.exit_code)
            for instance in ended
            if instance.container and instance.container.exit_code
        ]
        if failed:
            by_themselves = [found for found in failed if found[1] != STOPPED] or failed
            text, code = next((found for found in by_themselves if found[0]), by_themselves[0])
            raise JobFailed(f"AlgorithmError: {text}, exit code: {code}")


def wait_together(containers: Sequence[Container], seconds: float) -> None:
    """Those that notice by themselves that another has failed may say so."""
    deadline = time.monotonic() + seconds
    for container in containers:
        container.wait(max(0.0, deadline - time.monotonic()))


def stop_together(containers: Sequence[Container], grace_seconds: float) -> None:
    """SIGTERM to all at once, SIGKILL to those still there after one common grace."""
    for container in containers:
        container.terminate()
    deadline = time.monotonic() + grace_seconds
    for container in containers:
        if container.wait(max(0.0, deadline - time.monotonic())) is None:
            container.kill()
            container.wait()


def failure_text(root: Path) -> str:
    """What the container says about its failure: the first 1,024 characters of its failure file."""
    for name in ("failure", "message"):
        file = root / "output" / name
        if file.exists():
            return file.read_text(errors="replace")[:FAILURE_CHARACTERS].strip()
    return ""


def instances_of(service: Service, kind: str, job: str, count: int, *, restart: int = 0) -> list[Instance]:
    """Fresh roots for algo-1 ... algo-n; what an earlier job of that name, or attempt at this one, left is removed. A
    restart has a log of its own."""
    base, logs = service.settings.containers_dir / kind / job, service.settings.state_dir / "logs" / kind / job
    shutil.rmtree(base, ignore_errors=True)
    instances = []
    for number in range(1, count + 1):
        host = f"algo-{number}"
        (base / host).mkdir(parents=True)
        log = logs / (f"{host}-restart-{restart}.log" if restart else f"{host}.log")
        instances.append(Instance(host, (base / host).resolve(), log))
    return instances


def clear(instances: Sequence[Instance]) -> None:
    """Give the disk back: fifty trials would keep fifty copies of the training data."""
    for instance in instances:
        shutil.rmtree(instance.root, ignore_errors=True)


def run_in_background(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True, name=name).start()


def check_not_stopped(record: Record) -> None:
    if record.memory["control"].is_stop_requested:
        raise Stopped


def already_exists(record: Record) -> SageMakerError:
    return resource_in_use(
        "Job name must be unique within an AWS account and region, "
        f"and a job with this name already exists ({record.arn})"
    )


def request_stop(service: Service, record: Record, noun: str) -> None:
    """StopTrainingJob and StopProcessingJob: refused once the job has ended."""
    member = f"{record.kind}Status"
    with service.store.changing(record) as body:
        if body[member] not in ("InProgress", "Stopping"):
            raise validation(f"The request was rejected because the {noun} job is in status {body[member]}.")
        body[member] = "Stopping"
    record.memory["control"].request_stop()


def reason_of(error: BaseException) -> str:
    """A FailureReason: the job's own, an AWS refusal as ClientError, or the platform's fault."""
    if isinstance(error, JobFailed):
        return str(error)
    if isinstance(error, SageMakerError):
        return f"ClientError: {error.message}"
    if type(error).__name__ == "ClientError":
        return f"ClientError: {error}"
    logger.error("a job failed by the laptop cloud's own fault", exc_info=error)
    return f"InternalServerError: {type(error).__name__}: {error}. See the laptop cloud's log."
