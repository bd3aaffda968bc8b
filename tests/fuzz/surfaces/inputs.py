"""What people and deployments set: inputs of executions, functions' environments, settings, hyperparameters."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from lambdas.describe_failure.causes import read_failure
from lambdas.describe_models.describe_models import ModelsEnvironment
from lambdas.environment import InvalidEnvironment, read_environment
from lambdas.predict.experiment import UnreadableNote, experiment_of
from lambdas.prepare_promotion.promotion_input import InvalidPromotion, parse_promotion_input
from lambdas.prepare_run.prepare_run import PrepareRunEnvironment
from lambdas.prepare_run.run_input import InvalidRunInput, Tuning, parse_run_input
from lambdas.prepare_watch.prepare_watch import InvalidWatchInput, period_of
from lambdas.restore_package.restore_package import NothingToRestore, restore_package
from lambdas.serving_hours import ServingHours
from local.options import InvalidOption, RunOptions
from tests.fuzz.target import NotJson, Target, WellFormed, json_seeds, parsed, scratch, texts
from training_container.errors import UnusableInput
from training_container.hyperparameters import Hyperparameters
from training_container.sagemaker_contract import ContainerPaths

ROOT = Path(__file__).resolve().parents[3]
STARTED = "2026-03-02T11:00:00.000Z"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3"


def run_input(data: bytes) -> None:
    parse_run_input(parsed(data), tuning=Tuning(max_jobs=50, max_parallel_jobs=5))


def promotion_input(data: bytes) -> None:
    parse_promotion_input(parsed(data))


def watch_input(data: bytes) -> None:
    period_of(parsed(data), STARTED, 24).name  # noqa: B018 - the name must be sayable


def restore_input(data: bytes) -> None:
    with suppress(WellFormed):
        restore_package(parsed(data), bucket="b", s3=_NoStore(), sagemaker=None)


class _NoStore:
    def get_object(self, **_: Any) -> Any:
        raise WellFormed


def environment(kind: Any, data: bytes) -> None:
    read_environment(kind, texts(data))


def hours_of_environment(data: bytes) -> None:
    """The stack's own variables; a wrong one is the deployment's fault, and is said as such."""
    given = texts(data)
    ServingHours.from_environment(given.get("text", ""), given.get("windows", ""))


def run_options(data: bytes) -> None:
    RunOptions.from_environment(texts(data))


def settings(data: bytes) -> None:
    from stacks.settings import Settings  # starts the CDK's engine, which the other targets need not wait for

    value = parsed(data)
    Settings.from_mapping(value if isinstance(value, dict) else {})


def hyperparameters(data: bytes) -> None:
    Hyperparameters.parse(texts(data))


def hyperparameters_file(data: bytes) -> None:
    path = scratch() / "input" / "config" / "hyperparameters.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    ContainerPaths(scratch()).hyperparameters()


def failure_cause(data: bytes) -> None:
    """Nothing is refused: whatever a task said when it failed must become a sentence."""
    read_failure("States.TaskFailed", data.decode("utf-8", "replace"))


def experiment_note(data: bytes) -> None:
    experiment_of(data.decode("utf-8", "replace"))


def _settings_seeds() -> tuple[bytes, ...]:
    iops = json.loads((ROOT / "cdk.json").read_text())["context"]["iops"]
    return json_seeds(
        [iops, {**iops, "serving_hours": "Mon-Fri 06:00-20:00, Sat 08:00-12:00", "monthly_budget_usd": "400"}]
    )


def _setting_refused() -> tuple[type[Exception], ...]:
    from stacks.settings import InvalidSetting

    return (InvalidSetting, NotJson)


_RUN = {
    "source": {"kind": "s3", "uri": "s3://b/p/"},
    "models": ["risk"],
    "tuning": {"max_jobs": 5, "max_parallel_jobs": 2},
    "gate": {"min_accuracy": 0.9, "min_critical_rows": 30, "min_coverage": 0.8, "max_coverage": 0.95},
    "promote": False,
    "split": "time",
    "trigger": "drift",
    "reason": "why",
}
_PREPARE = {
    "BUCKET_NAME": "b",
    "INSIGHTS_TABLE_NAME": "t",
    "MODEL_TYPE": "both",
    "SCAN_SEGMENTS": "4",
    "CREATE_BUCKET": "true",
}
_MODELS = {name.upper(): "3" for name in ModelsEnvironment.__dataclass_fields__}
TARGETS = (
    Target(
        "run_input",
        run_input,
        (InvalidRunInput, NotJson),
        json_seeds([_RUN, {}, {"source": {"kind": "synthetic", "records": 1000, "seed": 1}}]),
    ),
    Target(
        "promotion_input",
        promotion_input,
        (InvalidPromotion, NotJson),
        json_seeds(
            [
                {"kind": "risk", "version": 3, "reason": "r", "traffic_shift": "canary"},
                {"kind": "risk", "version": "12"},
                {"kind": "risk", "model_package_arn": ARN, "challenger": "ab", "share": 10},
                {"kind": "performance", "drop_challenger": True},
            ]
        ),
    ),
    Target(
        "watch_input",
        watch_input,
        (InvalidWatchInput, NotJson),
        json_seeds([{"end": STARTED, "hours": 24}, {"hours": 0.5}]),
    ),
    Target("restore_input", restore_input, (NothingToRestore, NotJson), json_seeds([{"kind": "risk", "version": 3}])),
    Target(
        "environment_run",
        partial(environment, PrepareRunEnvironment),
        (InvalidEnvironment, NotJson),
        json_seeds([_PREPARE]),
    ),
    Target(
        "environment_models",
        partial(environment, ModelsEnvironment),
        (InvalidEnvironment, NotJson),
        json_seeds([_MODELS]),
    ),
    Target(
        "serving_hours",
        hours_of_environment,
        (InvalidEnvironment, NotJson),
        json_seeds([{"text": "Mon 06:00-07:00", "windows": "[[360, 420]]"}]),
    ),
    Target(
        "run_options",
        run_options,
        (InvalidOption, NotJson),
        json_seeds(
            [
                {
                    "INSIGHTS": "synthetic",
                    "RECORDS": "5000",
                    "SEED": "3",
                    "GATE_MAX_RMSE": "9",
                    "GATE_MIN_ACCURACY": "0.8",
                }
            ]
        ),
    ),
    Target(
        "hyperparameters",
        hyperparameters,
        (UnusableInput, NotJson),
        json_seeds(
            [
                {
                    "kind": "risk",
                    "max_depth": "4",
                    "eta": "0.1",
                    "lambda": "1",
                    "num_round": "30",
                    "_tuning_objective_metric": "x",
                }
            ]
        ),
    ),
    Target(
        "hyperparameters_file", hyperparameters_file, (UnusableInput,), json_seeds([{"kind": "risk", "eta": "0.1"}])
    ),
    Target(
        "failure_cause",
        failure_cause,
        (),
        json_seeds(
            [
                {"ExecutionArn": "a", "Cause": '{"errorMessage":"m","errorType":"t"}', "Error": "E"},
                {"TrainingJobName": "j", "FailureReason": "AlgorithmError: x"},
                "plain",
            ]
        ),
    ),
    Target(
        "experiment_note",
        experiment_note,
        (UnreadableNote,),
        json_seeds([{"mode": "ab", "challenger": ARN, "share": 10}]),
    ),
)


def slow_targets() -> tuple[Target, ...]:
    """Those whose import takes seconds."""
    return (Target("settings", settings, _setting_refused(), _settings_seeds()),)
