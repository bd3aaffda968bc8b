"""Says how far each hyperparameter tuning job is, whenever that changed: `tuning risk 23/50, best mlogloss 0.412`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class TuningProgress:
    def __init__(self, sagemaker: Any, say: Callable[[str], None]) -> None:
        self._sagemaker = sagemaker
        self._say = say
        self._said: dict[str, int] = {}

    def announce(self) -> None:
        jobs = self._sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
        for job in jobs:
            counters = job["TrainingJobStatusCounters"]
            done = counters["Completed"] + counters.get("RetryableError", 0) + counters.get("NonRetryableError", 0)
            name = job["HyperParameterTuningJobName"]
            if done != self._said.get(name, 0):
                self._said[name] = done
                limit = job["ResourceLimits"].get("MaxNumberOfTrainingJobs", 0)
                self._say(f"    tuning {name.split('-')[0]} {done}/{limit}{self._best(name)}")

    def _best(self, name: str) -> str:
        described = self._sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        metric = described.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric")
        return f", best {metric['MetricName']} {metric['Value']:.4f}" if metric else ""
