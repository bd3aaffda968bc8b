"""A look at the experiment that runs: what is known of its variants, what the stopping rule says, and PromoteModel for it.

Looking often harms nothing (insights/experiments.py), and repeating a look changes nothing: PromoteModel is started once a
day at most, by the execution's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from insights.experiments import Decision, Verdict, verdict
from insights.schema import parse_timestamp
from lambdas.client_errors import is_started_already
from lambdas.clients import client
from lambdas.judge_experiment.tally import Running, Tally, outcome_lines
from lambdas.objects import split_uri

_OFF = "off"


@dataclass(frozen=True)
class JudgeEnvironment:
    bucket_name: str
    risk_experiment_parameter: str
    performance_experiment_parameter: str
    promote_model_arn: str

    def parameter_of(self, kind: str) -> str:
        return self.risk_experiment_parameter if kind == "risk" else self.performance_experiment_parameter


def judge_experiment(
    *,
    kind: str,
    outcomes_uri: str,
    environment: JudgeEnvironment,
    now: datetime,
    read_note: Callable[[str], str],
    s3: Any = None,
    stepfunctions: Any = None,
) -> dict[str, Any]:
    """`outcomes_uri`: where stored predictions of the last days lie as .jsonl, with what happened where that is known; each
    once, as WatchModels collects them."""
    note = read_note(environment.parameter_of(kind))
    given = {} if note == _OFF else json.loads(note)
    if given.get("mode") != "ab":
        reason = "a shadow answers nobody, so no outcome tells of it" if given else "no experiment runs"
        return {"kind": kind, "decision": None, "reason": reason, "execution": None}
    running = Running(
        kind=kind,
        live=given["live"],
        challenger=given["challenger"],
        share_percent=float(given["share"]),
        since=given["since"],
    )
    arms = _look(running, outcomes_uri, environment.bucket_name, s3 or client("s3")).arms()
    days = (now - parse_timestamp(running.since)).total_seconds() / 86_400
    found = verdict(arms, days=days)
    execution = None
    if found.decision is not Decision.CONTINUE:
        machine = environment.promote_model_arn
        execution = _started(stepfunctions or client("stepfunctions"), machine, running, found, now)
    return {
        "kind": kind,
        "decision": str(found.decision),
        "reason": found.reason,
        "days": days,
        "variants": {name: {"devices": arm.devices, "mean_loss": _number(arm.mean)} for name, arm in arms.items()},
        "gain": {"estimate": _number(found.gain), "lower": _number(found.lower), "upper": _number(found.upper)},
        "challenger": running.challenger,
        "execution": execution,
    }


def _look(running: Running, outcomes_uri: str, own_bucket: str, s3: Any) -> Tally:
    bucket, prefix = split_uri(outcomes_uri)
    version = running.challenger.rpartition("/")[2]
    key = f"monitoring/{running.kind}/experiments/{running.since.replace(':', '-')}-{version}.json"
    tally = Tally.read(s3, own_bucket, key)
    tally.take(running.by_day(outcome_lines(s3, bucket, prefix)))
    tally.write(s3, own_bucket, key)
    return tally


def _started(stepfunctions: Any, machine: str, running: Running, found: Verdict, now: datetime) -> str | None:
    """The execution's ARN; None where today's was started before."""
    target: dict[str, Any] = (
        {"model_package_arn": running.challenger} if found.decision is Decision.PROMOTE else {"drop_challenger": True}
    )
    request = {
        "kind": running.kind,
        **target,
        "reason": found.reason,
        "requested_by": "the stopping rule of the experiment (docs/experiments.md)",
    }
    version = running.challenger.rpartition("/")[2]
    name = f"experiment-{running.kind}-{version}-{found.decision}-{now:%Y%m%d}"
    try:
        answer = stepfunctions.start_execution(stateMachineArn=machine, name=name, input=json.dumps(request))
    except ClientError as error:
        if not is_started_already(error):
            raise
        return None
    return str(answer["executionArn"])


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
