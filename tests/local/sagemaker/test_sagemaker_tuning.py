"""Tuning jobs as boto3 sees them: trials are training jobs that overlap, and the best one is found and told."""

from typing import Any

import pytest
from botocore.exceptions import ClientError


def request_of(toy: Any, *, jobs: int, parallel: int, strategy: str = "Bayesian", **statics: str) -> dict[str, Any]:
    name = toy.name("tune")
    training = toy.training_request(name, **statics)
    definition = {key: value for key, value in training.items() if key not in ("TrainingJobName", "HyperParameters")}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "-10", "MaxValue": "10", "ScalingType": "Linear"}
                ]
            },
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": statics},
    }


def run(toy: Any, request: dict[str, Any]) -> dict[str, Any]:
    toy.sagemaker.create_hyper_parameter_tuning_job(**request)
    return toy.ended("tuning", request["HyperParameterTuningJobName"])


def trials_of(toy: Any, name: str, **members: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = toy.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **{"MaxResults": 100, **members}
    )["TrainingJobSummaries"]
    return found


def test_the_best_of_the_trials_is_told_with_its_hyperparameters(toy):
    request = request_of(toy, jobs=14, parallel=2)
    done = run(toy, request)
    name = request["HyperParameterTuningJobName"]
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["TrainingJobStatusCounters"] == {
        "Completed": 14,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert done["ObjectiveStatusCounters"] == {"Succeeded": 14, "Pending": 0, "Failed": 0}

    trials = trials_of(toy, name, SortBy="FinalObjectiveMetricValue", SortOrder="Ascending")
    values = [trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for trial in trials]
    assert values == sorted(values)
    assert all(trial["ObjectiveStatus"] == "Succeeded" for trial in trials)
    best = done["BestTrainingJob"]
    assert best["TrainingJobName"] == trials[0]["TrainingJobName"]
    x = float(best["TunedHyperParameters"]["x"])
    metric = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert metric == {"Type": "Minimize", "MetricName": "validation:loss", "Value": pytest.approx((x - 3) ** 2)}

    job = toy.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert job["TuningJobArn"] == done["HyperParameterTuningJobArn"]
    assert job["HyperParameters"] == {
        **best["TunedHyperParameters"],
        "_tuning_objective_metric": "validation:loss",
    }
    number = int(best["TrainingJobName"].removeprefix(f"{name}-").split("-")[0])
    assert 1 <= number <= 14


def test_five_parallel_trials_run_at_once(toy, tmp_path):
    done = run(toy, request_of(toy, jobs=5, parallel=5, behaviour="meet", folder=str(tmp_path), count="5"))
    assert done["TrainingJobStatusCounters"]["Completed"] == 5


def test_failed_trials_are_counted_and_do_not_fail_the_tuning_job(toy):
    request = request_of(toy, jobs=8, parallel=2, strategy="Random", behaviour="fail above 4")
    done = run(toy, request)
    trials = trials_of(toy, request["HyperParameterTuningJobName"])
    above = [trial for trial in trials if float(trial["TunedHyperParameters"]["x"]) > 4]
    assert 0 < len(above) < 8
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["TrainingJobStatusCounters"]["NonRetryableError"] == len(above)
    assert done["ObjectiveStatusCounters"] == {"Succeeded": 8 - len(above), "Pending": 0, "Failed": len(above)}
    assert {trial["FailureReason"] for trial in above} == {"AlgorithmError: x is above 4, exit code: 1"}


def test_a_tuning_job_gives_up_after_five_failures(toy):
    request = request_of(toy, jobs=20, parallel=1, behaviour="crash")
    done = run(toy, request)
    assert done["HyperParameterTuningJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    assert len(trials_of(toy, request["HyperParameterTuningJobName"])) == 5


def test_a_stopped_tuning_job_stops_its_trials(toy, tmp_path):
    ready = tmp_path / "ready"
    request = request_of(toy, jobs=10, parallel=2, behaviour="sleep", ready=str(ready))
    name = request["HyperParameterTuningJobName"]
    toy.sagemaker.create_hyper_parameter_tuning_job(**request)
    toy.until(ready.exists, bool)
    toy.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert toy.ended("tuning", name)["HyperParameterTuningJobStatus"] == "Stopped"
    states = [trial["TrainingJobStatus"] for trial in trials_of(toy, name)]
    assert states == ["Stopped"] * len(states)
    assert len(states) == 2


def test_a_target_value_ends_the_search_early(toy):
    request = request_of(toy, jobs=30, parallel=1)
    request["HyperParameterTuningJobConfig"]["TuningJobCompletionCriteria"] = {"TargetObjectiveMetricValue": 60.0}
    done = run(toy, request)
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] <= 60.0
    assert done["TrainingJobStatusCounters"]["Completed"] < 30


def refusal(toy: Any, request: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as caught:
        toy.sagemaker.create_hyper_parameter_tuning_job(**request)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_names_limits_and_ranges_are_sagemakers(toy):
    request = request_of(toy, jobs=2, parallel=1)
    config = request["HyperParameterTuningJobConfig"]
    long = {**request, "HyperParameterTuningJobName": "n" * 33}
    assert refusal(toy, long).startswith(
        f"ValidationException: 2 validation errors detected: Value '{'n' * 33}' at 'hyperParameterTuningJobName' failed "
        "to satisfy constraint: Member must have length less than or equal to 32; "
    )
    many = {"MaxNumberOfTrainingJobs": 751, "MaxParallelTrainingJobs": 5}
    assert refusal(toy, {**request, "HyperParameterTuningJobConfig": {**config, "ResourceLimits": many}}).startswith(
        "ResourceLimitExceeded: MaxNumberOfTrainingJobs 751 exceeds the limit of 750"
    )
    number = {
        **config,
        "ParameterRanges": {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1.5", "MaxValue": "4"}]},
    }
    assert "The range of hyperparameter n must have integer numbers" in refusal(
        toy, {**request, "HyperParameterTuningJobConfig": number}
    )
    other = {**config, "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "other"}}
    assert "[other], isn't in the list of defined metrics" in refusal(
        toy, {**request, "HyperParameterTuningJobConfig": other}
    )
    few = {**config, "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a"]}]}}
    assert "You don't have enough combinations" in refusal(toy, {**request, "HyperParameterTuningJobConfig": few})


def test_an_unknown_tuning_job_is_a_resource_not_found(toy):
    with pytest.raises(toy.sagemaker.exceptions.ResourceNotFound, match="can't find a tuning job called nobody"):
        toy.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nobody")
