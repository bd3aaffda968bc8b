"""The tuning request of a run whose plan asks for several instances, for external memory, or for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.stacks.test_training_paths import World
from tests.stacks.walk import definition, install, walk

Templates = Mapping[str, dict[str, Any]]
TUNE = "sagemaker:createHyperParameterTuningJob.sync"


def tuning_of(templates: Templates, monkeypatch: pytest.MonkeyPatch, plan: Mapping[str, Any]) -> dict[str, Any]:
    world = World(plan=plan)
    machine = definition(templates["IopsTraining"], "TrainModels")
    install(monkeypatch, world.call)
    walk(machine, {})
    asked = [request for name, request in world.asked if name == TUNE]
    assert len(asked) == 2
    return asked[0]


def definition_of_trial(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, plan: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = tuning_of(templates, monkeypatch, plan)["TrainingJobDefinition"]
    return found


def distributions(trial: Mapping[str, Any]) -> dict[str, str]:
    return {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3DataDistributionType"]
        for channel in trial["InputDataConfig"]
    }


def test_a_plan_of_several_instances_gives_each_its_part_of_the_training_rows_and_all_the_held_out_ones(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
):
    plan = {
        "training_instances": 4,
        "training_instance_type": "ml.m5.4xlarge",
        "training_volume_gb": 120,
        "external_memory": False,
    }
    trial = definition_of_trial(templates, monkeypatch, plan)

    resources = {"InstanceCount": 4, "InstanceType": "ml.m5.4xlarge", "VolumeSizeInGB": 120}
    assert trial["ResourceConfig"] == resources
    assert distributions(trial) == {
        "train": "ShardedByS3Key",
        "validation": "FullyReplicated",
        "calibration": "FullyReplicated",
    }
    assert trial["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"].endswith("/columnar/train")
    assert trial["StaticHyperParameters"]["external_memory"] == "false"


def test_external_memory_is_a_hyperparameter_of_every_trial(templates: Templates, monkeypatch: pytest.MonkeyPatch):
    trial = definition_of_trial(templates, monkeypatch, {"training_instances": 1, "external_memory": True})

    assert trial["StaticHyperParameters"]["external_memory"] == "true"
    assert distributions(trial)["train"] == "FullyReplicated"


def test_a_small_runs_trial_is_one_instance_of_the_settings_type(templates: Templates, monkeypatch: pytest.MonkeyPatch):
    trial = definition_of_trial(templates, monkeypatch, {})

    assert trial["ResourceConfig"] == {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
    assert set(distributions(trial).values()) == {"FullyReplicated"}
    assert trial["StaticHyperParameters"]["external_memory"] == "false"


@pytest.mark.parametrize(("instances", "parallel"), [(1, 5), (2, 2), (5, 1), (8, 1)])
def test_trials_at_a_time_take_no_more_instances_than_trials_of_one_would(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, instances: int, parallel: int
):
    config = tuning_of(templates, monkeypatch, {"training_instances": instances})["HyperParameterTuningJobConfig"]

    assert config["ResourceLimits"]["MaxParallelTrainingJobs"] == parallel


def test_a_trial_whose_instance_is_lost_is_run_again_within_its_hour(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
):
    trial = definition_of_trial(templates, monkeypatch, {})

    assert trial["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert trial["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
