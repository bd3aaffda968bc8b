"""The .sync pattern of SageMaker jobs: create, wait for the end, give back what Describe says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local.states import naming

STARTED_BY = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
"""Step Functions puts this tag on the jobs that it waits for, hence the need for sagemaker:AddTags."""

ENDED_WELL = ("Completed",)
ENDED_BADLY = ("Failed", "Stopped")


@dataclass(frozen=True)
class JobKind:
    name: str
    status: str

    @property
    def noun(self) -> str:
        return self.name.removesuffix("Name")


KINDS = {
    "CreateTrainingJob": JobKind("TrainingJobName", "TrainingJobStatus"),
    "CreateProcessingJob": JobKind("ProcessingJobName", "ProcessingJobStatus"),
    "CreateHyperParameterTuningJob": JobKind("HyperParameterTuningJobName", "HyperParameterTuningJobStatus"),
}


class Caller(Protocol):
    """What is needed of Integrations."""

    def optimized(self, service: str, integration: str, operation: str, arguments: Any) -> dict[str, Any]: ...

    def wait_or_stop(self, stop: Any) -> None: ...

    def client(self, service: str) -> Any: ...


def run(caller: Caller, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The Describe answer of the completed job; a failed or stopped job is States.TaskFailed with that answer as the
    cause."""
    from local.states.integrations import failed

    kind = KINDS.get(operation)
    if kind is None:
        raise failed("States.Runtime", f"The resource sagemaker:{operation}.sync is not recognized.")
    tags = [*arguments.get("Tags", []), STARTED_BY]
    caller.optimized("sagemaker", "sagemaker", operation, {**arguments, "Tags": tags})
    named = {kind.name: arguments[kind.name]}
    while True:
        described = caller.optimized("sagemaker", "sagemaker", f"Describe{kind.noun}", named)
        if described[kind.status] in (*ENDED_WELL, *ENDED_BADLY):
            break
        caller.wait_or_stop(lambda: caller.optimized("sagemaker", "sagemaker", f"Stop{kind.noun}", named))
    shape = caller.client("sagemaker").meta.service_model.operation_model(f"Describe{kind.noun}").output_shape
    result: dict[str, Any] = naming.result_members(described, shape, epoch_milliseconds=True)
    if described[kind.status] in ENDED_BADLY:
        raise failed("States.TaskFailed", json.dumps(result))
    return result
