"""Creating and updating a state machine: its role must allow what Step Functions sets up in its name. Starting an execution
twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize
from local.permissions.further import managed_rules, state_machine_needs
from local.settings import ACCOUNT, REGION

logger = logging.getLogger("iops.states")

TRACING_ACTIONS = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)
RESOURCE_TYPE = "AWS::StepFunctions::StateMachine"


class RoleLacksPermission(ValueError):
    """AWS's refusal of CreateStateMachine and UpdateStateMachine."""


def check_role(role_arn: str, definition: str | Mapping[str, Any], *, logs: bool) -> None:
    """Raise RoleLacksPermission for what would be missing at run time: managed rules of .sync tasks, log delivery."""
    checks = state_machine_needs(definition, logs=logs, account=ACCOUNT, region=REGION)
    try:
        authorize(role_arn, checks, session_name="StepFunctions")
    except AccessDenied as refused:
        if refused.check.action.startswith("logs:"):
            raise RoleLacksPermission(
                f"The state machine IAM Role is not authorized to access the Log Destination ({refused})"
            ) from refused
        rules = ", ".join(managed_rules(definition if isinstance(definition, str) else str(definition)))
        raise RoleLacksPermission(
            f"'{role_arn}' is not authorized to create managed-rule. ({refused}; rules: {rules})"
        ) from refused


def register() -> None:
    """Both ways in: the API, and CloudFormation's provisioner, which writes the state machine itself."""
    from ministack.services import stepfunctions as sfn
    from ministack.services.cloudformation import provisioners

    sfn._create_state_machine = _checked_request(sfn._create_state_machine)
    sfn._update_state_machine = _checked_request(sfn._update_state_machine)
    sfn._start_execution = _started_once(sfn._start_execution)
    handlers = provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE]
    create = handlers["create"]

    def checked_create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        definition = provisioners._sfn_definition(props)
        check_role(props["RoleArn"], definition, logs=_logs(props.get("LoggingConfiguration")))
        if _is_true((props.get("TracingConfiguration") or {}).get("Enabled")):
            ask_for_tracing(props["RoleArn"], logical_id)
        return create(logical_id, props, stack_name)

    handlers["create"] = checked_create


def ask_for_tracing(role_arn: str, name: str) -> None:
    """Whether the role may write traces; AWS drops them where it may not, and so says the log."""
    for action in TRACING_ACTIONS:
        try:
            authorize(role_arn, [Check(action, "*")], session_name="StepFunctions")
        except (AccessDenied, RoleNotAssumable) as refused:
            logger.warning("in AWS, traces of %s would be lost: %s", name, refused)


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _logs(configuration: Mapping[str, Any] | None) -> bool:
    given = configuration or {}
    return bool(given.get("Level", given.get("level", "OFF")) != "OFF")


def _started_once(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """StartExecution is idempotent: the name and input of a running execution answer with that execution."""

    def start(request: dict[str, Any]) -> Any:
        from ministack.core.responses import json_response
        from ministack.services import stepfunctions as sfn

        same = (request.get("stateMachineArn", ""), request.get("name", ""), request.get("input", "{}"))
        for known in list(sfn._executions.values()):
            if (known["stateMachineArn"], known["name"], known["input"]) == same and known["status"] == "RUNNING":
                return json_response({"executionArn": known["executionArn"], "startDate": known["startDate"]})
        return original(request)

    return start


def _checked_request(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def checked(request: dict[str, Any]) -> Any:
        from ministack.core.responses import error_response_json
        from ministack.services import stepfunctions as sfn

        known = sfn._state_machines.get(request.get("stateMachineArn", "")) or {}
        role = request.get("roleArn") or known.get("roleArn", "")
        definition = request.get("definition") or known.get("definition", "{}")
        try:
            check_role(role, definition, logs=_logs(request.get("loggingConfiguration")))
        except RoleLacksPermission as refused:
            return error_response_json("AccessDeniedException", str(refused), 400)
        except ValueError:
            pass  # a missing role is named by MiniStack itself
        return original(request)

    return checked
