"""Step Functions causes as they come: which job, nested execution or function speaks, and what it says. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from insights.schema import shown

# Name field of a job's description -> what the job is called, and where CloudWatch keeps its log
# (Amazon SageMaker AI, "CloudWatch Logs for Amazon SageMaker AI"). A tuning job's log is that of its training jobs.
JOB_KINDS: Final = (
    ("ProcessingJobName", "processing job", "/aws/sagemaker/ProcessingJobs"),
    ("HyperParameterTuningJobName", "tuning job", "/aws/sagemaker/TrainingJobs"),
    ("TrainingJobName", "training job", "/aws/sagemaker/TrainingJobs"),
)
_DEEPEST_NESTING = 5


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What is known of a failure; empty text where the cause does not say."""

    error: str
    reason: str
    job: str = ""
    job_kind: str = ""
    log_group: str = ""
    execution: str = ""

    @property
    def is_tuning(self) -> bool:
        return self.job_kind == "tuning job"


def read_failure(error: object, cause: object, *, depth: int = 0) -> Failure:
    """The innermost failure that the cause tells of; a cause of unknown shape is its own reason."""
    name = _text(error) or "Unknown"
    text = _text(cause)
    told = _parsed(cause)
    if not isinstance(told, Mapping):
        return Failure(error=name, reason=text)
    for field, kind, log_group in JOB_KINDS:
        if told.get(field):
            reason = _text(told.get("FailureReason") or told.get("ExitMessage")) or _limit(told)
            return Failure(error=name, reason=reason, job=_text(told[field]), job_kind=kind, log_group=log_group)
    if "ExecutionArn" in told and depth < _DEEPEST_NESTING:
        inner = read_failure(told.get("Error") or name, told.get("Cause"), depth=depth + 1)
        execution = inner.execution or _text(told["ExecutionArn"])
        return replace(inner, execution=execution)
    if "errorMessage" in told:
        return Failure(error=_text(told.get("errorType")) or name, reason=_text(told["errorMessage"]))
    return Failure(error=name, reason=_text(told.get("message") or told.get("Message")) or text)


def _limit(job: Mapping[str, object]) -> str:
    """SageMaker gives no reason for a job that it stopped at its time limit."""
    stopping = job.get("StoppingCondition")
    is_stopped = "Stopped" in (job.get("ProcessingJobStatus"), job.get("TrainingJobStatus"))
    if not is_stopped or not isinstance(stopping, Mapping):
        return ""
    return f"it was stopped; its time limit is {_text(stopping.get('MaxRuntimeInSeconds'))} s (MaxRuntimeInSeconds)"


def _parsed(cause: object) -> object:
    if not isinstance(cause, str):
        return cause
    try:
        return json.loads(cause)
    except (ValueError, RecursionError):
        return cause


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return shown(value, 1000)


def sentence(failure: Failure, *, state: str, trial_job: str, trial_reason: str) -> str:
    """One sentence a person can act on: where, what, why, and where to read more."""
    subject = f"{failure.job_kind} {failure.job}" if failure.job else ""
    where = ": ".join(part for part in (state, subject) if part)
    reason = (trial_reason and _with_trial(failure, trial_job, trial_reason)) or failure.reason or "no reason was given"
    text = f"{where} failed: {reason}" if where else reason
    if not failure.job and failure.error not in {"", "Unknown", "States.TaskFailed"}:
        text += f" ({failure.error})"
    if failure.log_group:
        text += f" [log {failure.log_group}, streams {trial_job or failure.job}]"
    if failure.execution:
        text += f" [execution {failure.execution}]"
    return text


def _with_trial(failure: Failure, trial_job: str, trial_reason: str) -> str:
    own = f"{failure.reason.rstrip('.')}; " if failure.reason else ""
    return f"{own}training job {trial_job}: {trial_reason}"
