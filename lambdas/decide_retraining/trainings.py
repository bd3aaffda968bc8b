"""TrainModels as the decision sees it: what ran within the last week, and how another run is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import KINDS
from lambdas.client_errors import is_started_already
from lambdas.decide_retraining.decision import WEEK, Asked, Run

# TrainModels ends by itself after 40 hours (stacks/workflows/train_models.py), so nothing older is still running.
LONGEST_RUN: Final = timedelta(hours=40)
_LONGEST_NAME: Final = 80  # Step Functions API reference, StartExecution


@dataclass(frozen=True)
class Trainings:
    state_machine_arn: str
    stepfunctions: Any
    models: tuple[str, ...]

    def of_last_week(self, *, now: datetime) -> list[Run]:
        """Newest first; a run that began earlier counts as long as it runs."""
        runs = []
        for page in self._pages():
            for execution in page["executions"]:
                age, is_running = now - execution["startDate"], execution["status"] == "RUNNING"
                if is_running or age < WEEK:
                    runs.append(self._run(execution, is_running))
                elif age > LONGEST_RUN + WEEK:
                    return runs
        return runs

    def _pages(self) -> Any:
        paginator = self.stepfunctions.get_paginator("list_executions")
        return paginator.paginate(stateMachineArn=self.state_machine_arn, PaginationConfig={"PageSize": 100})

    def _run(self, execution: Mapping[str, Any], is_running: bool) -> Run:
        """An input that TrainModels refused trained nothing; it counts as what it left out, which is every model."""
        described = self.stepfunctions.describe_execution(executionArn=execution["executionArn"])
        try:
            given = json.loads(described.get("input") or "{}")
        except ValueError:
            given = {}
        given = given if isinstance(given, dict) else {}
        models = given.get("models")
        return Run(
            name=execution["name"],
            kinds=tuple(kind for kind in KINDS if kind in models) if isinstance(models, list) else self.models,
            trigger=str(given.get("trigger") or "request"),
            started_at=execution["startDate"],
            is_running=is_running,
        )

    def start(self, name: str, asked: Asked, kinds: tuple[str, ...]) -> str:
        """The execution's ARN; the same name again is the same execution."""
        given = {"models": list(kinds), "trigger": asked.trigger, "reason": f"{asked.reason} ({asked.requested_by})"}
        try:
            started = self.stepfunctions.start_execution(
                stateMachineArn=self.state_machine_arn, name=name, input=json.dumps(given)
            )
        except ClientError as error:
            if not is_started_already(error):
                raise
            return self.arn_of(name)
        return str(started["executionArn"])

    def arn_of(self, name: str) -> str:
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def execution_name(asked: Asked, event_id: str) -> str:
    """EventBridge may deliver an event twice: its id makes both one execution."""
    return f"{asked.trigger}-{'-'.join(asked.kinds)}-{event_id}"[:_LONGEST_NAME]
