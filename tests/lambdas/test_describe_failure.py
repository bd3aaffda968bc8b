from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from lambdas.describe_failure import handler as adapter
from lambdas.describe_failure.describe_failure import LONGEST_CAUSE, describe_failure


class Trials:
    """SageMaker's list of a tuning job's failed training jobs."""

    def __init__(self, *summaries: dict[str, str], error: Exception | None = None) -> None:
        self.summaries = summaries
        self.error = error
        self.request: dict[str, Any] = {}

    def list_training_jobs_for_hyper_parameter_tuning_job(self, **request: Any) -> dict[str, Any]:
        self.request = request
        if self.error:
            raise self.error
        return {"TrainingJobSummaries": list(self.summaries)}


def test_a_failed_processing_job_tells_its_reason_and_where_its_log_is(event: Any, context: Any) -> None:
    assert adapter.handler(event("describe_failure_processing"), context) == {
        "error": "States.TaskFailed",
        "cause": (
            "EngineerFeatures: processing job iops-engineer-0123456789ab-0 failed: AlgorithmError: the data hold 2 "
            "groups of devices; at least 10 are needed, exit code: 2 "
            "[log /aws/sagemaker/ProcessingJobs, streams iops-engineer-0123456789ab-0]"
        ),
        "job": "iops-engineer-0123456789ab-0",
        "log_group": "/aws/sagemaker/ProcessingJobs",
        "log_stream_prefix": "iops-engineer-0123456789ab-0",
        "container_said": None,
    }


def test_a_job_that_was_stopped_without_a_reason_tells_its_time_limit() -> None:
    cause = {
        "ProcessingJobName": "iops-engineer-0123456789ab-0",
        "ProcessingJobStatus": "Stopped",
        "StoppingCondition": {"MaxRuntimeInSeconds": 14400},
    }
    described = describe_failure(
        {"state": "EngineerFeatures", "error": "States.TaskFailed", "cause": json.dumps(cause)}
    )
    assert described["cause"].startswith(
        "EngineerFeatures: processing job iops-engineer-0123456789ab-0 failed: it was stopped; its time limit is "
        "14400 s (MaxRuntimeInSeconds)"
    )


def test_a_failed_tuning_job_tells_what_a_training_job_died_of(event: Any) -> None:
    trials = Trials(
        {"TrainingJobName": "risk-0123456789ab-0-001-aa"},
        {"TrainingJobName": "risk-0123456789ab-0-002-bb", "FailureReason": "AlgorithmError: channel train is empty"},
    )
    described = describe_failure(event("describe_failure_tuning"), sagemaker=trials)
    assert described["cause"] == (
        "TuneRisk: tuning job risk-0123456789ab-0 failed: All training jobs failed; training job "
        "risk-0123456789ab-0-002-bb: AlgorithmError: channel train is empty "
        "[log /aws/sagemaker/TrainingJobs, streams risk-0123456789ab-0-002-bb]"
    )
    assert described["job"] == "risk-0123456789ab-0"
    assert described["log_stream_prefix"] == "risk-0123456789ab-0-002-bb"
    assert trials.request["HyperParameterTuningJobName"] == "risk-0123456789ab-0"
    assert trials.request["StatusEquals"] == "Failed"


def test_a_tuning_job_whose_trials_were_stopped_says_so(event: Any) -> None:
    class OutOfTime:
        def list_training_jobs_for_hyper_parameter_tuning_job(self, **request: Any) -> dict[str, Any]:
            stopped = [{"TrainingJobName": "risk-0123456789ab-0-001-aa", "TrainingJobStatus": "Stopped"}]
            return {"TrainingJobSummaries": stopped if request["StatusEquals"] == "Stopped" else []}

    described = describe_failure(event("describe_failure_tuning"), sagemaker=OutOfTime())
    assert "training job risk-0123456789ab-0-001-aa: it was stopped, as at its time limit" in described["cause"]
    assert described["log_stream_prefix"] == "risk-0123456789ab-0-001-aa"


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFound", None])
def test_a_tuning_job_whose_trials_cannot_be_listed_is_described_without_them(
    event: Any, make_refusal: Any, code: str | None
) -> None:
    error = make_refusal(code, "List") if code else EndpointConnectionError(endpoint_url="https://x")
    described = describe_failure(event("describe_failure_tuning"), sagemaker=Trials(error=error))
    assert described["cause"].startswith("TuneRisk: tuning job risk-0123456789ab-0 failed: All training jobs failed.")
    assert described["log_stream_prefix"] == "risk-0123456789ab-0"


def test_a_lambdas_message_is_given_without_its_trace(event: Any) -> None:
    described = describe_failure(event("describe_failure_lambda"))
    assert described["error"] == "InvalidRunInput"
    assert described["cause"] == (
        "PrepareRun failed: field modles has the value ['risk']; no such field; known are gate, models, promote, "
        "source, split, tuning (InvalidRunInput)"
    )
    assert described["job"] is None


def test_a_nested_execution_tells_the_innermost_cause(event: Any) -> None:
    described = describe_failure(event("describe_failure_execution"))
    assert described["error"] == "PromotionRefused"
    assert described["cause"] == (
        "PromoteRisk failed: the endpoint does not give the golden answers: golden prediction 3 confidence: expected "
        "0.5, got 0.7 (PromotionRefused) [execution "
        "arn:aws:states:us-east-1:123456789012:execution:PromoteModel:train-0123456789ab-risk-0]"
    )


def test_step_functions_own_spelling_is_read_too() -> None:
    spelt = {"Error": "States.Timeout", "Cause": ""}
    for given_event in (spelt, {"error": spelt}):
        assert describe_failure(given_event)["cause"] == "no reason was given (States.Timeout)"


class StackEvents:
    """CloudFormation's events of a stack, newest first, two to a page."""

    def __init__(self, *events: dict[str, str]) -> None:
        self.events = [{"StackId": "stack-id", **event} for event in events]

    def get_paginator(self, _: str) -> StackEvents:
        return self

    def paginate(self, StackName: str) -> Any:
        assert StackName == "IopsRiskEndpoint"
        for start in range(0, len(self.events), 2):
            yield {"StackEvents": self.events[start : start + 2]}


def test_a_rolled_back_stack_tells_its_first_failed_resource() -> None:
    def resource(name: str, status: str, token: str, reason: str = "") -> dict[str, str]:
        return {
            "LogicalResourceId": name,
            "PhysicalResourceId": "stack-id" if name == "IopsRiskEndpoint" else name,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "ClientRequestToken": token,
        }

    events = StackEvents(
        resource("IopsRiskEndpoint", "UPDATE_ROLLBACK_COMPLETE", "p-2"),
        resource("Scaling", "UPDATE_FAILED", "p-2", "Resource update cancelled"),
        resource("Endpoint", "UPDATE_FAILED", "p-2", "The primary container did not pass the ping health check"),
        resource("IopsRiskEndpoint", "UPDATE_IN_PROGRESS", "p-2", "User Initiated"),
        resource("Endpoint", "UPDATE_FAILED", "p-1", "an older trouble"),
    )
    asked = {
        "state": "UpdateStack",
        "error": "PromotionRolledBack",
        "cause": "the stack ended as UPDATE_ROLLBACK_COMPLETE",
        "stack_name": "IopsRiskEndpoint",
    }
    for given_event in (asked, asked | {"client_request_token": "p-2"}):
        assert describe_failure(given_event, cloudformation=events)["cause"] == (
            "UpdateStack failed: Endpoint: The primary container did not pass the ping health check "
            "(PromotionRolledBack)"
        )
    other = describe_failure(asked | {"client_request_token": "p-9"}, cloudformation=events)
    assert "the stack ended as UPDATE_ROLLBACK_COMPLETE" in other["cause"]


class EndpointLog:
    """CloudWatch Logs with (milliseconds, stream, message), two events to a page."""

    def __init__(self, *events: tuple[int, str, str], error: Exception | None = None) -> None:
        self.events, self.error = events, error

    def filter_log_events(self, logGroupName: str, startTime: int, nextToken: str = "0") -> Any:
        if self.error:
            raise self.error
        assert logGroupName == "/aws/sagemaker/Endpoints/iops-risk-predictor"
        found = [event for event in self.events if event[0] >= startTime]
        start = int(nextToken)
        page = [{"timestamp": t, "logStreamName": s, "message": m} for t, s, m in found[start : start + 2]]
        return {"events": page} | ({"nextToken": str(start + 2)} if start + 2 < len(found) else {})


MOMENT, SINCE_MS = "2026-03-02T10:00:00.500Z", 1_772_445_600_500  # date -d 2026-03-02T10:00:00Z +%s
UPDATE = {
    "state": "UpdateStack",
    "error": "PromotionRolledBack",
    "cause": "did not pass the ping health check.",
    "endpoint_name": "iops-risk-predictor",
    "since": MOMENT,
}


def test_an_endpoint_that_did_not_start_tells_the_containers_own_sentence() -> None:
    log = EndpointLog(
        (SINCE_MS - 1, "live/old", "refused: something of last week"),
        (SINCE_MS, "live/new-1", "refused: the model was trained on\nanother feature table"),
        (SINCE_MS + 5, "live/new-1", "shutting down"),
        (SINCE_MS + 9, "live/old", "a warning of the old fleet"),
    )
    described = describe_failure(UPDATE, logs=log)
    assert described["container_said"] == "refused: the model was trained on another feature table"
    assert described["cause"] == (
        "UpdateStack failed: did not pass the ping health check; the container said: refused: the model was trained on "
        "another feature table (PromotionRolledBack)"
    )


def test_a_red_ping_is_a_refusal_too() -> None:
    log = EndpointLog((SINCE_MS, "live/new", "/ping stays red: golden row 3"), (SINCE_MS + 1, "live/new", "INFO"))
    assert describe_failure(UPDATE, logs=log)["container_said"] == "/ping stays red: golden row 3"


def test_of_a_container_that_was_killed_its_last_line_is_told() -> None:
    log = EndpointLog(
        (SINCE_MS, "live/old", "a warning of the old fleet"),
        (SINCE_MS + 1, "live/new", "rehearsal: 8 callers at once"),
        (SINCE_MS + 2, "live/old", "another warning"),
    )
    assert describe_failure(UPDATE, logs=log)["container_said"] == "rehearsal: 8 callers at once"
    by_alarm = UPDATE | {"cause": "alarms are in the ALARM state"}
    assert describe_failure(by_alarm, logs=log)["container_said"] is None  # it served, so its last line says nothing


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_without_a_readable_log_the_cause_stands_by_itself(make_refusal: Any, code: str) -> None:
    described = describe_failure(UPDATE, logs=EndpointLog(error=make_refusal(code, "FilterLogEvents")))
    assert described["container_said"] is None
    assert described["cause"].startswith("UpdateStack failed: did not pass the ping health check.")


def test_a_long_cause_is_cut() -> None:
    assert len(describe_failure({"error": "X", "cause": "word " * 9000})["cause"]) == LONGEST_CAUSE


KEYS = (
    *("Error", "Cause", "error", "cause", "state"),
    *("errorMessage", "ExecutionArn", "FailureReason", "ProcessingJobName"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Error",
                    "Cause",
                    "error",
                    "cause",
                    "errorMessage",
                    "ExecutionArn",
                    "FailureReason",
                    "state",
                    "ProcessingJobName",
                ]
            ),
            inner | inner.map(json.dumps),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_it_is_given_it_answers_with_a_sentence(event_given: object) -> None:
    described = describe_failure(event_given)
    assert isinstance(described["cause"], str)
    assert described["cause"]
    assert isinstance(described["error"], str)


class MapRuns:
    """Step Functions with one execution whose second Map Run has failed children."""

    def __init__(self, *, children: list[dict[str, Any]], error: Exception | None = None) -> None:
        self._children = {child["executionArn"]: child for child in children}
        self._error = error

    def list_map_runs(self, *, executionArn: str) -> dict[str, Any]:
        if self._error:
            raise self._error
        runs = [("arn:run:1", 1), ("arn:run:2", 2)]
        return {
            "mapRuns": [{"mapRunArn": arn, "startDate": date} for arn, date in runs if executionArn == "arn:execution"]
        }

    def list_executions(self, **request: Any) -> dict[str, Any]:
        assert (request["mapRunArn"], request["statusFilter"]) == ("arn:run:2", "FAILED")
        return {"executions": [{"executionArn": arn} for arn in self._children]}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        return self._children[executionArn]


EXCEEDED = {
    "state": "ExportInsights",
    "error": "States.ExceedToleratedFailureThreshold",
    "cause": "The specified tolerated failure threshold was exceeded",
    "execution": "arn:execution",
}
DAMAGED = json.dumps({"errorMessage": "data/0.json.gz holds 6 items and not 7", "errorType": "DamagedDataFile"})


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"segment": 3, "total_segments": 8}, "segment 3: "),
        ({"segment": 0, "data_file": {"dataFileS3Key": "data/0.json.gz"}}, "file data/0.json.gz: "),
    ],
)
def test_a_failed_distributed_map_tells_the_cause_of_the_child_that_failed_first(
    given: dict[str, Any], part: str
) -> None:
    later = {"executionArn": "arn:child:2", "error": "Other", "cause": "came later", "input": "{}"}
    first = {"executionArn": "arn:child:1", "error": "DamagedDataFile", "cause": DAMAGED, "input": json.dumps(given)}
    described = describe_failure(EXCEEDED, states=MapRuns(children=[later, first]))
    assert described["error"] == "DamagedDataFile"
    assert described["cause"] == (
        f"ExportInsights failed: {part}data/0.json.gz holds 6 items and not 7 (DamagedDataFile) [execution arn:child:1]"
    )


@pytest.mark.parametrize(
    "states",
    [
        MapRuns(children=[]),
        MapRuns(children=[], error=EndpointConnectionError(endpoint_url="https://states")),
    ],
    ids=["no child", "no answer"],
)
def test_a_distributed_map_whose_child_is_unknown_keeps_its_own_cause(states: MapRuns) -> None:
    assert "threshold was exceeded" in describe_failure(EXCEEDED, states=states)["cause"]
