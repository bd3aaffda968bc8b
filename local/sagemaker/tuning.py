"""Hyperparameter tuning jobs: trials are real training jobs, run side by side and suggested from finished ones."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from local.sagemaker import jobs, training
from local.sagemaker.errors import limit_exceeded, not_on_the_laptop, resource_in_use, resource_not_found, validation
from local.sagemaker.search import Search, combinations, ranges_of
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope, listing, now, page_of
from local.sagemaker.tags import as_mapping
from local.sagemaker.training_requests import check_training_request
from local.sagemaker.trials import KIND, TrialBook, final_value, summary

MOST_JOBS = {"Bayesian": 750, "Random": 10_000, "Grid": 10_000}
MOST_PARALLEL = 100
MOST_RANGES = 30
ATTEMPTS_WITHOUT_SUCCESS = 5
"""SageMaker gives up when the first five training jobs have failed."""
STOP_POLL_SECONDS = 0.2
DESCRIBED = ("HyperParameterTuningJobName", "HyperParameterTuningJobConfig", "TrainingJobDefinition")


def create_tuning_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    check(service, request)
    name = request["HyperParameterTuningJobName"]
    arn = scope.arn(f"hyper-parameter-tuning-job/{name}")
    created = now()
    body = {
        **{key: request[key] for key in DESCRIBED},
        "HyperParameterTuningJobArn": arn,
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": created,
        "LastModifiedTime": created,
    }
    record = Record(KIND, name, arn, scope, body, tags=as_mapping(request.get("Tags")))
    record.memory.update(control=jobs.Control(), book=TrialBook(service.store, record))
    exists = f"A hyperparameter tuning job with the name, {name}, already exists. Choose a different name."
    service.store.add(record, already_exists=resource_in_use(exists))
    jobs.run_in_background(f"tuning-{name}", lambda: Tuning(service, record).run())
    return {"HyperParameterTuningJobArn": arn}


def check(service: Service, request: Mapping[str, Any]) -> None:
    """SageMaker's limits, and what the laptop has no optimiser for."""
    config = request["HyperParameterTuningJobConfig"]
    for member in ("TrainingJobDefinitions", "WarmStartConfig", "Autotune"):
        if member in request:
            raise not_on_the_laptop(member)
    if "TrainingJobDefinition" not in request:
        raise validation("TrainingJobDefinition is required.")
    strategy = config["Strategy"]
    if strategy not in MOST_JOBS:
        raise not_on_the_laptop(f"the tuning strategy {strategy}")
    _check_limits(config["ResourceLimits"], strategy)
    definition = request["TrainingJobDefinition"]
    _check_ranges(config, definition)
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise validation("HyperParameterTuningJobObjective is required.")
    defined = [metric["Name"] for metric in definition["AlgorithmSpecification"].get("MetricDefinitions", [])]
    if objective["MetricName"] not in defined:
        raise validation(
            f"The objective metric for the hyperparameter tuning job, [{objective['MetricName']}], isn't in the list "
            f"of defined metrics, {defined}. Choose one of the defined metrics."
        )
    check_training_request(service, job_request(definition, "check", {}))


def _check_limits(limits: Mapping[str, int], strategy: str) -> None:
    count, parallel = limits.get("MaxNumberOfTrainingJobs", 1), limits["MaxParallelTrainingJobs"]
    if count > MOST_JOBS[strategy]:
        raise limit_exceeded(
            f"MaxNumberOfTrainingJobs {count} exceeds the limit of {MOST_JOBS[strategy]} for the {strategy} strategy."
        )
    if parallel > MOST_PARALLEL:
        raise limit_exceeded(f"MaxParallelTrainingJobs {parallel} exceeds the limit of {MOST_PARALLEL}.")
    if parallel > count:
        raise validation(
            f"MaxParallelTrainingJobs {parallel} must not be greater than MaxNumberOfTrainingJobs {count}."
        )


def _check_ranges(config: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    ranges = ranges_of(config.get("ParameterRanges", {}))
    if not 1 <= len(ranges) <= MOST_RANGES:
        raise validation(f"Between 1 and {MOST_RANGES} hyperparameters can be searched; given are {len(ranges)}.")
    both = sorted(set(ranges) & set(definition.get("StaticHyperParameters", {})))
    if both:
        raise validation(f"Hyperparameters cannot be both static and searched: {', '.join(both)}.")
    if config["Strategy"] == "Grid" and any(span.kind != "Categorical" for span in ranges.values()):
        raise validation("The Grid strategy searches categorical hyperparameters only.")
    wanted = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 1)
    if combinations(ranges) < wanted:
        raise validation(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            f"combinations for the provided ranges [{combinations(ranges)}] must be equal or greater than the value "
            f"of MaxNumberOfJobs, [{wanted}]. Provide additional ranges."
        )


class Tuning:
    """One tuning job in its own thread, with a thread for every trial that runs."""

    def __init__(self, service: Service, record: Record) -> None:
        config = record.body["HyperParameterTuningJobConfig"]
        self._service = service
        self._record = record
        self._book: TrialBook = record.memory["book"]
        self._control: jobs.Control = record.memory["control"]
        self._definition = record.body["TrainingJobDefinition"]
        self._criteria = config.get("TuningJobCompletionCriteria", {})
        limits = config["ResourceLimits"]
        self._count = limits.get("MaxNumberOfTrainingJobs", 1)
        self._parallel = limits["MaxParallelTrainingJobs"]
        self._deadline = time.monotonic() + limits.get("MaxRuntimeInSeconds", math.inf)
        self._search = Search(
            ranges_of(config["ParameterRanges"]),
            strategy=config["Strategy"],
            objective=config["HyperParameterTuningJobObjective"],
            seed=config.get("RandomSeed"),
        )

    def run(self) -> None:
        try:
            self._run_trials()
        except Exception as error:
            self._stop_trials()
            self._end("Failed", FailureReason=jobs.reason_of(error))
            return
        self._finish()

    def _run_trials(self) -> None:
        started = 0
        pending: set[Future[None]] = set()
        with ThreadPoolExecutor(self._parallel, f"trials-{self._record.name}") as pool:
            while True:
                is_over = self._is_over()
                while not is_over and started < self._count and len(pending) < self._parallel:
                    started += 1
                    pending.add(pool.submit(self._trial, started, *self._search.suggest()))
                if not pending:
                    return
                if is_over:
                    self._stop_trials()
                done, pending = wait(pending, timeout=STOP_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()

    def _is_over(self) -> bool:
        """No further trial: told to stop, out of time, good enough, no longer improving, or hopeless."""
        if self._control.is_stop_requested or time.monotonic() >= self._deadline or self._is_hopeless():
            return True
        target = self._criteria.get("TargetObjectiveMetricValue")
        if target is not None and self._book.has_reached(target):
            return True
        patience = self._criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        return patience is not None and self._book.not_improving() >= patience

    def _is_hopeless(self) -> bool:
        counts = self._book.job_counters()
        return counts["Completed"] == 0 and counts["NonRetryableError"] >= ATTEMPTS_WITHOUT_SUCCESS

    def _trial(self, number: int, trial: Any, searched: dict[str, str]) -> None:
        """One training job from its start to what the search learns from it."""
        name = f"{self._record.name}-{number:03d}-{secrets.token_hex(4)}"
        request = job_request(self._definition, name, searched)
        request["HyperParameters"]["_tuning_objective_metric"] = self._book.metric
        job = training.register(self._service, self._record.scope, request, TuningJobArn=self._record.arn)
        job.memory["searched"] = searched
        self._book.add(job)
        training.run(self._service, job)
        self._search.tell(trial, self._book.value(job))
        self._book.refresh()

    def _stop_trials(self) -> None:
        for job in self._book.jobs():
            if job.body["TrainingJobStatus"] == "InProgress":
                with self._service.store.changing(job) as body:
                    body["TrainingJobStatus"] = "Stopping"
                job.memory["control"].request_stop()

    def _finish(self) -> None:
        counts = self._book.job_counters()
        if self._control.is_stop_requested:
            self._end("Stopped")
        elif counts["Completed"]:
            self._end("Completed")
        elif self._is_hopeless():
            self._end(
                "Failed",
                FailureReason=f"No training job succeeded after {ATTEMPTS_WITHOUT_SUCCESS} attempts. Please take a "
                "look at the training job failures to get more details.",
            )
        else:
            self._end(
                "Failed",
                FailureReason="All training jobs failed. Please take a look at the training job failures to get more "
                "details.",
            )

    def _end(self, status: str, **members: Any) -> None:
        self._book.refresh()
        with self._service.store.changing(self._record) as body:
            body.update(HyperParameterTuningJobStatus=status, HyperParameterTuningEndTime=now(), **members)


def job_request(definition: Mapping[str, Any], name: str, searched: Mapping[str, str]) -> dict[str, Any]:
    """The training job of one trial."""
    own = ("StaticHyperParameters", "DefinitionName", "TuningObjective", "HyperParameterRanges")
    request = {key: value for key, value in definition.items() if key not in own}
    statics = definition.get("StaticHyperParameters", {})
    resources = definition.get("HyperParameterTuningResourceConfig")
    if resources is not None and "ResourceConfig" not in request:
        request["ResourceConfig"] = {key: resources[key] for key in resources if key != "AllocationStrategy"}
    return {**request, "TrainingJobName": name, "HyperParameters": {**statics, **searched}}


def get(service: Service, scope: Scope, name: str) -> Record:
    missing = f"Amazon SageMaker can't find a tuning job called {name}. Type another name."
    return service.store.get(KIND, scope, name, missing=resource_not_found(missing))


def describe_tuning_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    return service.store.snapshot(get(service, scope, request["HyperParameterTuningJobName"]))


def stop_tuning_job(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    jobs.request_stop(service, get(service, scope, request["HyperParameterTuningJobName"]), "tuning")
    return {}


def list_tuning_jobs(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    bodies = [_listed(service.store.snapshot(record)) for record in service.store.all(KIND, scope)]
    page, token = listing(bodies, request, kind=KIND)
    return {"HyperParameterTuningJobSummaries": page, "NextToken": token}


def _listed(body: dict[str, Any]) -> dict[str, Any]:
    config = body["HyperParameterTuningJobConfig"]
    return {**body, "Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}


def list_trials(service: Service, scope: Scope, request: dict[str, Any]) -> dict[str, Any]:
    book: TrialBook = get(service, scope, request["HyperParameterTuningJobName"]).memory["book"]
    trials = [summary(job, book.objective) for job in book.jobs()]
    if request.get("SortBy") == "FinalObjectiveMetricValue":
        # Trials without a value, and those of another status than asked for, are left out of this order.
        wanted = request.get("StatusEquals")
        judged = [trial for trial in trials if final_value(trial) is not None]
        judged = [trial for trial in judged if wanted in (None, trial["TrainingJobStatus"])]
        judged.sort(key=lambda trial: final_value(trial) or 0.0, reverse=request.get("SortOrder") == "Descending")
        page, token = page_of(judged, request)
    else:
        page, token = listing(trials, {"SortBy": "Name", **request}, kind="TrainingJob")
    return {"TrainingJobSummaries": page, "NextToken": token}


ACTIONS = {
    "CreateHyperParameterTuningJob": create_tuning_job,
    "DescribeHyperParameterTuningJob": describe_tuning_job,
    "StopHyperParameterTuningJob": stop_tuning_job,
    "ListHyperParameterTuningJobs": list_tuning_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": list_trials,
}
