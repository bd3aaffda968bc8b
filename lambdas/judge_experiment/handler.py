"""JudgeExperiment: adapter between who looks (a workflow or a person) and `judge_experiment`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.judge_experiment.judge_experiment import JudgeEnvironment, judge_experiment
from lambdas.parameters import parameter_value

logger = Logger()


@cache
def environment() -> JudgeEnvironment:
    return read_environment(JudgeEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    found = judge_experiment(
        kind=event["kind"],
        outcomes_uri=event["outcomes_uri"],
        environment=environment(),
        now=datetime.now(UTC),
        read_note=parameter_value,
    )
    logger.info("experiment judged", extra={"verdict": found})
    return found
