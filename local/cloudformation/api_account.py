"""AWS::ApiGateway::Account: API Gateway refuses a logging role that may not write logs; MiniStack takes any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize, role_session

RESOURCE_TYPE = "AWS::ApiGateway::Account"
PRINCIPAL = "apigateway.amazonaws.com"
LOGGING_ACTIONS = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
    "logs:GetLogEvents",
    "logs:FilterLogEvents",
)
"""API Gateway developer guide, "Permissions for CloudWatch logging"."""


def register() -> None:
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE]
    handlers["create"] = with_role_check(handlers["create"])


def with_role_check(create: Callable[..., Any]) -> Callable[..., Any]:
    def checked(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        role = props.get("CloudWatchRoleArn")
        if role:
            try:
                role_session(role, session_name="ApiGateway", service=PRINCIPAL)
                authorize(role, [Check(action, "*") for action in LOGGING_ACTIONS], session_name="ApiGateway")
            except (AccessDenied, RoleNotAssumable) as refused:
                raise ValueError(
                    f"The role ARN does not have required permissions configured to write logs: {refused}"
                ) from refused
        return create(logical_id, props, stack_name)

    return checked
