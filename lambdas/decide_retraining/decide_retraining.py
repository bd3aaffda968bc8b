"""A training that somebody or something asks for: decided, started or refused, and recorded either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from insights.schema import timestamp_text
from lambdas.decide_retraining.decision import Asked, Decision, Rules, decide
from lambdas.decide_retraining.trainings import Trainings, execution_name
from lambdas.objects import json_bytes, put_text
from lambdas.training_terms import KINDS_OF_MODEL_TYPE, check_model_type

PREFIX = "retraining"


@dataclass(frozen=True)
class RetrainingEnvironment:
    state_machine_arn: str
    bucket_name: str
    switch_parameter: str
    risk_drift_alarm: str
    performance_drift_alarm: str
    model_type: str = "both"
    debounce_hours: int = 24
    drift_runs_per_week: int = 2

    def __post_init__(self) -> None:
        check_model_type(self.model_type)

    @property
    def alarms(self) -> Mapping[str, str]:
        return {"risk": self.risk_drift_alarm, "performance": self.performance_drift_alarm}

    @property
    def models(self) -> tuple[str, ...]:
        return KINDS_OF_MODEL_TYPE[self.model_type]

    @property
    def rules(self) -> Rules:
        return Rules(debounce=timedelta(hours=self.debounce_hours), drift_runs_per_week=self.drift_runs_per_week)


@dataclass(frozen=True, kw_only=True)
class Clients:
    s3: Any
    ssm: Any
    stepfunctions: Any


def decide_retraining(
    asked: Asked, *, event_id: str, environment: RetrainingEnvironment, clients: Clients, now: datetime
) -> dict[str, Any]:
    """The record that was written: retraining/<time>-<event>.json (docs/retraining.md)."""
    trainings = Trainings(environment.state_machine_arn, clients.stepfunctions, environment.models)
    name = execution_name(asked, event_id)
    runs = trainings.of_last_week(now=now)
    own = next((run for run in runs if run.name == name), None)
    if own:  # the event came again: what it started must not refuse it
        reasons = {kind: f"started: {asked.reason}" if kind in own.kinds else "not started" for kind in asked.kinds}
        decision = Decision(kinds=own.kinds, reasons=reasons)
        execution: str | None = trainings.arn_of(name)
    else:
        switch = clients.ssm.get_parameter(Name=environment.switch_parameter)["Parameter"]["Value"]
        decision = decide(asked, switch=switch, runs=runs, rules=environment.rules, now=now)
        execution = trainings.start(name, asked, decision.kinds) if decision.kinds else None
    record = {
        "format": 1,
        "decided_at": timestamp_text(now),
        "trigger": asked.trigger,
        "reason": asked.reason,
        "requested_by": asked.requested_by,
        "decisions": {
            kind: {"is_started": kind in decision.kinds, "reason": reason} for kind, reason in decision.reasons.items()
        },
        "execution": execution,
    }
    key = f"{PREFIX}/{timestamp_text(now).replace(':', '-')}-{event_id}.json"
    put_text(clients.s3, environment.bucket_name, key, json_bytes(record))
    return record


def drifting(alarms: Mapping[str, str], cloudwatch: Any) -> dict[str, str]:
    """The reason of each kind whose drift alarm still rings. Its change of state is one event: a training that was
    refused then, because another ran, would never come otherwise."""
    names = {name: kind for kind, name in alarms.items()}
    found = cloudwatch.describe_alarms(AlarmNames=list(names), StateValue="ALARM")["MetricAlarms"]
    return {
        names[alarm["AlarmName"]]: str(alarm.get("StateReason") or "the model's inputs have drifted") for alarm in found
    }
