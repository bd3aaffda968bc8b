"""EventBridge: events of AWS's services, and targets that a rule may reach only where role or policy lets it.

MiniStack starts a state machine with nobody's role, asks no function's and no topic's policy, and counts nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local.clock import Clock
from local.monitoring.recorder import Recorder
from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize
from local.settings import ACCOUNT, REGION

logger = logging.getLogger("iops.events")

NAMESPACE = "AWS/Events"
PRINCIPAL = "events.amazonaws.com"


def register(clock: Clock, recorder: Recorder) -> None:
    from ministack.services import eventbridge

    eventbridge._invoke_target = checked(eventbridge._invoke_target, recorder)
    eventbridge._parse_rate_seconds = at_the_pace_of(clock, eventbridge._parse_rate_seconds)
    eventbridge._SCHEDULER_TICK_INTERVAL = clock.real(eventbridge._SCHEDULER_TICK_INTERVAL)


def at_the_pace_of(clock: Clock, parse: Callable[[str], int | None]) -> Callable[[str], float | None]:
    """_parse_rate_seconds: a rate is a wait. A cron expression names real hours of real days."""

    def parsed(expression: str) -> float | None:
        seconds = parse(expression)
        return None if seconds is None else clock.real(seconds)

    return parsed


def put_event(source: str, detail_type: str, detail: Mapping[str, Any], *, resources: Sequence[str] = ()) -> None:
    """An event of one of AWS's services on the default bus."""
    from ministack.services import eventbridge

    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": list(resources)}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def checked(invoke: Callable[..., None], recorder: Recorder) -> Callable[..., None]:
    """_invoke_target: what AWS would not deliver goes to the target's dead-letter queue or is dropped, and counts as
    failed (EventBridge user guide, "Monitoring Amazon EventBridge")."""

    def delivered(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], *rest: Any) -> None:
        refused = refusal(target, rule)
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        metrics: list[tuple[str, float, str]] = [("Invocations", 1, "Count")]
        if refused:
            metrics.append(("FailedInvocations", 1, "Count"))
        if refused and queue:
            metrics.append(("InvocationsSentToDlq", 1, "Count"))
        recorder.count(NAMESPACE, {"RuleName": rule["Name"]}, *metrics)
        if refused:
            logger.warning("an event of the rule %s for %s is refused: %s", rule["Name"], target["Arn"], refused)
            if queue:
                invoke({"Id": target.get("Id", ""), "Arn": queue}, event, rule, *rest)
            return
        invoke(target, event, rule, *rest)

    return delivered


def refusal(target: Mapping[str, Any], rule: Mapping[str, Any]) -> str | None:
    """Why an event does not reach its target: a state machine needs the target's role, a function or topic its own
    policy."""
    arn = target.get("Arn", "")
    service = arn.split(":")[2] if arn.startswith("arn:") else ""
    if service == "states":
        return _role_refusal(arn, target.get("RoleArn", ""))
    if service == "lambda" and not function_policy_allows(arn, rule["Arn"]):
        return f"the function's policy lets {PRINCIPAL} not invoke it"
    if service == "sns" and not _topic_policy_allows(arn, rule["Arn"]):
        return f"the topic's policy lets {PRINCIPAL} not publish"
    return None


def _role_refusal(arn: str, role: str) -> str | None:
    if not role:
        return None
    try:
        authorize(role, [Check("states:StartExecution", arn)], session_name="EventBridge")
    except (AccessDenied, RoleNotAssumable) as refused:
        return str(refused)
    return None


def _topic_policy_allows(arn: str, rule_arn: str) -> bool:
    from ministack.services import sns

    return bool(sns.topic_policy_allows(arn, PRINCIPAL, rule_arn, ACCOUNT))


def function_policy_allows(arn: str, rule_arn: str) -> bool:
    """Whether the function exists and its policy names EventBridge, for this rule if it names one."""
    from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
    from ministack.services import lambda_svc

    function, _, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function:
        return False
    context = EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="lambda:InvokeFunction",
        resource_arn=arn,
        region=REGION,
        service_context={"aws:sourcearn": rule_arn, "aws:sourceaccount": ACCOUNT},
    )
    return bool(evaluate_resource_policy(function.get("policy"), context, service=PRINCIPAL).decision == "Allow")
