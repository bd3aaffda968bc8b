"""RoleARN of stack operations: MiniStack accepts and forgets it; AWS assumes it, and keeps it for the stack's later
operations."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.permissions import Check, RoleNotAssumable, act_as, acting_role, role_session
from local.permissions.requests import Handler, parse_request
from local.settings import ACCOUNT, REGION

SERVICE = "cloudformation"
PRINCIPAL = "cloudformation.amazonaws.com"
OPERATIONS = (
    "CreateStack",
    "UpdateStack",
    "DeleteStack",
    "CreateChangeSet",
    "ExecuteChangeSet",
    "RollbackStack",
    "ContinueUpdateRollback",
)

HELD_OPERATIONS = ("ExecuteChangeSet", "DeleteStack")
HOLD_SECONDS = 4.0
HOLD_POLL_SECONDS = 0.02


class StackRoles:
    """The service role that each stack was last operated with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_stack: dict[str, str] = {}
        self._by_change_set: dict[tuple[str, str], str] = {}

    def role_for(self, action: str, request: Mapping[str, Any]) -> str | None:
        """The role of this operation: the given one, the change set's, or the one the stack already has."""
        stack = plain_name(request.get("StackName", ""))
        change_set = plain_name(request.get("ChangeSetName", ""))
        given = request.get("RoleARN") or None
        with self._lock:
            if action == "CreateChangeSet":
                if given:
                    self._by_change_set[stack, change_set] = given
                return given
            role = given or self._by_change_set.pop((stack, change_set), None) or self._by_stack.get(stack)
            if role and action != "DeleteStack":
                self._by_stack[stack] = role
            elif action == "DeleteStack":
                self._by_stack.pop(stack, None)
            return role


def plain_name(name_or_arn: str) -> str:
    """The stack's or change set's name; an ARN has it in its second part."""
    return name_or_arn.split("/")[1] if name_or_arn.startswith("arn:") else name_or_arn


def with_service_role(handler: Handler, roles: StackRoles) -> Handler:
    """CloudFormation's handler, run in the name of the operation's service role; the deployment's task inherits it."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], Any]:
        action, request = parse_request(SERVICE, method, path, headers, body, query)
        if action not in OPERATIONS:
            return await handler(method, path, headers, body, query)
        if (given := request.get("RoleARN")) and (refused := _refusal(given)):
            return refused
        with act_as(roles.role_for(action, request)):
            answer = await handler(method, path, headers, body, query)
        if action in HELD_OPERATIONS and answer[0] < 300:
            await until_settled(plain_name(request.get("StackName", "")))
        return answer

    return handle


async def until_settled(stack_name: str) -> None:
    """Hold the CDK CLI's answer for a moment: it looks at a stack at once and then every five seconds, and here most stacks
    take less."""
    from ministack.services import cloudformation

    for _ in range(round(HOLD_SECONDS / HOLD_POLL_SECONDS)):
        await asyncio.sleep(HOLD_POLL_SECONDS)  # first of all, as the operation's task has not begun yet
        stack = cloudformation._stacks.get(stack_name)
        if stack is None or not stack["StackStatus"].endswith("IN_PROGRESS"):
            return


def with_output_check(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """_resolve_refs: Fn::GetStackOutput reads the other stack in the service role's name."""
    from local.cloudformation.acting import require

    def checked(value: Any, *rest: Any, **named: Any) -> Any:
        if acting_role() is not None:
            arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack"
            require(*(Check("cloudformation:DescribeStacks", f"{arn}/{name}/*") for name in stacks_read(value)))
        return resolve(value, *rest, **named)

    return checked


def stacks_read(value: Any) -> Iterator[str]:
    """Names of the stacks whose outputs a template's value refers to."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if key == "Fn::GetStackOutput" and isinstance(member, Mapping) and isinstance(member["StackName"], str):
                yield member["StackName"]
            else:
                yield from stacks_read(member)
    elif isinstance(value, list):
        for member in value:
            yield from stacks_read(member)


def _refusal(role_arn: str) -> tuple[int, dict[str, str], bytes] | None:
    from ministack.services.cloudformation.helpers import _error

    try:
        role_session(role_arn, session_name="AWSCloudFormation", service=PRINCIPAL)
    except RoleNotAssumable:
        answer: tuple[int, dict[str, str], bytes] = _error(
            "ValidationError", f"Role {role_arn} is invalid or cannot be assumed"
        )
        return answer
    return None


def alarm_checks(operation: str, name: str) -> Iterator[Check]:
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    yield Check("cloudwatch:DeleteAlarms" if operation == "delete" else "cloudwatch:PutMetricAlarm", arn)
    if operation != "delete":
        yield Check("cloudwatch:DescribeAlarms", arn)


def composite_alarm_checks(operation: str, name: str) -> Iterator[Check]:
    for check in alarm_checks(operation, name):
        is_put = check.action == "cloudwatch:PutMetricAlarm"
        yield Check("cloudwatch:PutCompositeAlarm", check.resource) if is_put else check


def parameter_checks(operation: str, name: str) -> Iterator[Check]:
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"
    yield Check("ssm:DeleteParameter" if operation == "delete" else "ssm:PutParameter", arn)
    if operation != "delete":
        yield Check("ssm:GetParameters", arn)


CHECKED_TYPES: dict[str, tuple[str, Callable[[str, str], Iterator[Check]]]] = {
    "AWS::CloudWatch::Alarm": ("AlarmName", alarm_checks),
    "AWS::CloudWatch::CompositeAlarm": ("AlarmName", composite_alarm_checks),
    "AWS::SSM::Parameter": ("Name", parameter_checks),
}
"""Types of MiniStack whose calls are known: the property with the resource's name, and the checks by operation."""

OWN_TYPES = ("AWS::SageMaker::", "AWS::ApplicationAutoScaling::")
"""Their handlers check each call themselves."""

UNCHARTED = "cloudformation:ProvisionUnchartedType"
"""Asked of a role for a type without a table above: only an administrator's policy, which allows every action, has
it."""


def with_type_check(resource_type: str, operation: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """A resource handler that first asks the service role; the arguments are MiniStack's."""
    from local.cloudformation.acting import require

    def checked(first: str, *rest: Any) -> Any:
        if acting_role() is not None:
            require(*checks_for(resource_type, operation, first, rest))
        return handler(first, *rest)

    return checked


def checks_for(resource_type: str, operation: str, first: str, rest: tuple[Any, ...]) -> list[Check]:
    """first is the logical id of a create, else the physical id, as MiniStack's handlers have it."""
    if resource_type not in CHECKED_TYPES:
        return [Check(UNCHARTED, resource_type)]
    name_property, checks = CHECKED_TYPES[resource_type]
    if operation != "create":
        return list(checks(operation, first))
    from ministack.services.cloudformation.provisioners import _physical_name

    props, stack_name = rest[0], rest[1]
    return list(checks(operation, props.get(name_property) or _physical_name(stack_name, first, max_len=255)))
