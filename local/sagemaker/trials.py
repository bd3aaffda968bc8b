"""The trials of one tuning job: how they stand, which is the best, and what Describe and List say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from local.sagemaker.store import Record, Store

KIND = "HyperParameterTuningJob"
ENDED = ("Completed", "Failed", "Stopped")


class TrialBook:
    """Reads its trials' records and keeps the tuning job's counters and best job in step with them."""

    def __init__(self, store: Store, record: Record) -> None:
        self.objective: Mapping[str, str] = record.body["HyperParameterTuningJobConfig"][
            "HyperParameterTuningJobObjective"
        ]
        self.metric = self.objective["MetricName"]
        self._sign = 1 if self.objective["Type"] == "Minimize" else -1
        self._store = store
        self._record = record
        self._jobs: list[Record] = []
        record.body.update(self._members())

    def add(self, job: Record) -> None:
        with self._store.lock:
            self._jobs.append(job)
        self.refresh()

    def jobs(self) -> list[Record]:
        with self._store.lock:
            return list(self._jobs)

    def refresh(self) -> None:
        with self._store.changing(self._record) as body:
            body.update(self._members())

    def value(self, job: Record) -> float | None:
        return objective_of(job, self.metric)

    def has_reached(self, target: float) -> bool:
        best = self._best()
        return best is not None and self._sign * (self.value(best) or 0.0) <= self._sign * target

    def not_improving(self) -> int:
        """Finished trials since the best one."""
        ended = [job for job in self.jobs() if job.body["TrainingJobStatus"] in ENDED]
        ended.sort(key=lambda job: job.body["TrainingEndTime"])
        best = self._best()
        return len(ended) - 1 - ended.index(best) if best in ended else 0

    def job_counters(self) -> dict[str, int]:
        states = [job.body["TrainingJobStatus"] for job in self.jobs()]
        return {
            "Completed": states.count("Completed"),
            "InProgress": len(states) - sum(state in ENDED for state in states),
            "RetryableError": 0,
            "NonRetryableError": states.count("Failed"),
            "Stopped": states.count("Stopped"),
        }

    def _members(self) -> dict[str, Any]:
        counters = self.job_counters()
        succeeded = sum(self.value(job) is not None for job in self.jobs())
        pending = counters["InProgress"]
        best = self._best()
        return {
            "TrainingJobStatusCounters": counters,
            "ObjectiveStatusCounters": {
                "Succeeded": succeeded,
                "Pending": pending,
                "Failed": sum(counters.values()) - pending - succeeded,
            },
            **({"BestTrainingJob": summary(best, self.objective)} if best else {}),
        }

    def _best(self) -> Record | None:
        judged = [(self._sign * value, job) for job in self.jobs() if (value := self.value(job)) is not None]
        return min(judged, key=lambda pair: pair[0])[1] if judged else None


def objective_of(job: Record, metric: str) -> float | None:
    """The trial's final objective; None while it runs, when it failed, and when it printed none."""
    if job.body["TrainingJobStatus"] != "Completed":
        return None
    found = [entry["Value"] for entry in job.body.get("FinalMetricDataList", []) if entry["MetricName"] == metric]
    return float(found[0]) if found and math.isfinite(found[0]) else None


def summary(job: Record, objective: Mapping[str, str]) -> dict[str, Any]:
    """A trial as HyperParameterTrainingJobSummary."""
    body = job.body
    kept = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "FailureReason", "TrainingJobStatus")
    value = objective_of(job, objective["MetricName"])
    status = "Pending" if body["TrainingJobStatus"] not in ENDED else "Failed" if value is None else "Succeeded"
    metric = {"Type": objective["Type"], "MetricName": objective["MetricName"], "Value": value}
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "TunedHyperParameters": dict(job.memory["searched"]),
        "ObjectiveStatus": status,
        **{key: body[key] for key in kept if key in body},
        **({"FinalHyperParameterTuningJobObjectiveMetric": metric} if value is not None else {}),
    }


def final_value(trial: Mapping[str, Any]) -> float | None:
    metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    return float(metric["Value"]) if metric else None
