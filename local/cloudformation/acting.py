"""Calls that CloudFormation makes for a resource: with the stack's service role where there is one, checked before
they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.permissions import Check, acting_role, authorize
from local.permissions.further import passed_roles
from local.permissions.requests import autoscaling_checks, sagemaker_checks
from local.settings import ACCOUNT, REGION

SESSION = "AWSCloudFormation"


def require(*checks: Check) -> None:
    """Raise AccessDenied unless the stack's service role allows every check; without a role the caller's rights were
    checked."""
    role = acting_role()
    if role:
        authorize(role, checks, session_name=SESSION)


def sagemaker(action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    from local.sagemaker import api

    require(*sagemaker_checks(action, request), *passed_roles("sagemaker", action, request))
    return api.call(action, dict(request), account=ACCOUNT, region=REGION)


def autoscaling(action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    from local.autoscaling import api

    require(*autoscaling_checks(action, request), *passed_roles("application-autoscaling", action, request))
    return api.call(action, request)
