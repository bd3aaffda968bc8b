"""A caught error as one sentence with the failed job's own reason and the place of its log. It never fails itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.clients import client
from lambdas.describe_failure.causes import Failure, read_failure, sentence
from lambdas.describe_failure.container_log import container_words
from lambdas.describe_failure.map_runs import THRESHOLD_EXCEEDED, failed_child

logger = Logger(child=True)
# A state's cause has at most 32,768 characters (Step Functions API reference, Fail state); a reader needs fewer.
LONGEST_CAUSE = 2000
# Of SageMaker's reason for an endpoint none of whose new containers ever answered.
HEALTH_CHECK = "health check"


def describe_failure(
    event: object, *, sagemaker: Any = None, cloudformation: Any = None, logs: Any = None, states: Any = None
) -> dict[str, Any]:
    """{"error","cause","job","log_group","log_stream_prefix","container_said"}; null where nothing is known."""
    given: Mapping[str, Any] = event if isinstance(event, Mapping) else {"cause": event}
    error, cause = _error_and_cause(given)
    failure = read_failure(error, cause)
    if failure.error == THRESHOLD_EXCEEDED and given.get("execution"):
        failure = failed_child(states or client("stepfunctions"), str(given["execution"])) or failure
    trial_job, trial_reason = "", ""
    if failure.is_tuning:
        trial_job, trial_reason = _failed_trial(sagemaker or client("sagemaker"), failure)
    if given.get("stack_name"):
        reason = _failed_resource(cloudformation or client("cloudformation"), given)
        failure = replace(failure, reason=reason or failure.reason)
    said = ""
    if given.get("endpoint_name") and given.get("since"):
        said = container_words(
            logs or client("logs"),
            str(given["endpoint_name"]),
            str(given["since"]),
            has_not_started=HEALTH_CHECK in failure.reason,
        )
        failure = replace(failure, reason=with_words(failure.reason, said))
    state = given.get("state") or given.get("step") or ""
    text = sentence(failure, state=str(state), trial_job=trial_job, trial_reason=trial_reason)
    return {
        "error": failure.error,
        "cause": text if len(text) <= LONGEST_CAUSE else text[: LONGEST_CAUSE - 3] + "...",
        "job": failure.job or None,
        "log_group": failure.log_group or None,
        "log_stream_prefix": trial_job or failure.job or None,
        "container_said": said or None,
    }


def with_words(reason: str, said: str) -> str:
    return f"{reason.rstrip('.')}; the container said: {said}" if said else reason


def _error_and_cause(given: Mapping[str, Any]) -> tuple[object, object]:
    """Both spellings: Step Functions' own (Error, Cause; perhaps below `error`) and the workflows' (error, cause)."""
    nested = given.get("error")
    if isinstance(nested, Mapping):
        return _error_and_cause(nested)
    return given.get("Error", nested), given.get("Cause", given.get("cause"))


def _failed_trial(sagemaker: Any, failure: Failure) -> tuple[str, str]:
    """Name and reason of a training job that failed, or else was stopped: a tuning job often only says that all of its
    training jobs failed, and SageMaker gives no reason for one that it stopped at its time limit."""
    for status, otherwise in (
        ("Failed", ""),
        ("Stopped", "it was stopped, as at its time limit (MaxRuntimeInSeconds)"),
    ):
        for trial in _trials(sagemaker, failure.job, status):
            if reason := trial.get("FailureReason") or otherwise:
                return str(trial["TrainingJobName"]), " ".join(str(reason).split())
    return "", ""


def _trials(sagemaker: Any, tuning_job: str, status: str) -> Sequence[Mapping[str, Any]]:
    try:
        answer = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=tuning_job, StatusEquals=status, MaxResults=10
        )
    except (ClientError, BotoCoreError):
        logger.warning("the tuning job's training jobs cannot be listed", exc_info=True)
        return []
    found: Sequence[Mapping[str, Any]] = answer.get("TrainingJobSummaries", [])
    return found


def _failed_resource(cloudformation: Any, given: Mapping[str, Any]) -> str:
    """The first failed resource of the newest update (or of the one with this token): the rest failed because of it."""
    token = given.get("client_request_token")
    reason = ""
    try:
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=given["stack_name"]):
            for event in page.get("StackEvents", []):  # newest first
                if token is not None and event.get("ClientRequestToken") != token:
                    continue
                status = str(event.get("ResourceStatus", ""))
                if status.endswith("_FAILED"):
                    reason = f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"
                elif _begins_update(event, status):
                    return reason
    except (ClientError, BotoCoreError):
        logger.warning("the stack's events cannot be read", exc_info=True)
    return reason


def _begins_update(event: Mapping[str, Any], status: str) -> bool:
    is_stack = event.get("PhysicalResourceId") == event.get("StackId")
    return is_stack and status in {"UPDATE_IN_PROGRESS", "CREATE_IN_PROGRESS"}
