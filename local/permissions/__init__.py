"""IAM on the laptop: MiniStack enforces what it maps; this adds the services, roles and service roles that it leaves
out."""

from __future__ import annotations

from local.permissions.acting import act_as, acting_role
from local.permissions.decisions import AccessDenied, Recorder, RoleNotAssumable, authorize, denial, role_session
from local.permissions.further import Check, image_pull
from local.permissions.requests import (
    AUTOSCALING,
    CHECKED_SERVICES,
    SAGEMAKER,
    also_outside_requests,
    over_tls,
    with_budget_actions,
    with_condition_keys,
    with_needs,
    with_resource_arns,
    with_resource_in_denial,
)
from local.settings import CloudSettings

__all__ = [
    "AccessDenied",
    "Check",
    "RoleNotAssumable",
    "act_as",
    "acting_role",
    "authorize",
    "denial",
    "image_pull",
    "register",
    "role_session",
    "wrap_handlers",
]


def register(settings: CloudSettings) -> None:
    """Teach MiniStack's IAM the missing namespaces and ARNs, and record decisions when the setting is on."""
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator
    from ministack.services import sns

    iam_actions.SERVICE_TO_IAM_NAMESPACE[SAGEMAKER] = SAGEMAKER
    iam_actions.SERVICE_TO_IAM_NAMESPACE[AUTOSCALING] = AUTOSCALING
    iam_actions._BOTOCORE_SERVICE_MAP[SAGEMAKER] = ["sagemaker-runtime"]
    iam_actions.extract_resource_arn = with_resource_arns(iam_actions.extract_resource_arn)
    iam_actions.extract_iam_action = with_budget_actions(iam_actions.extract_iam_action)
    iam_actions.request_tag_context = with_condition_keys(iam_actions.request_tag_context)
    iam_actions.access_denied_response = with_resource_in_denial(iam_actions.access_denied_response)
    app.pin_request_origin = over_tls(app.pin_request_origin)
    sns.topic_policy_allows = also_outside_requests(sns.topic_policy_allows, app.pin_request_origin)
    if settings.record_calls:
        iam_evaluator.enforce = Recorder(settings.calls_file).wrap(iam_evaluator.enforce)


def wrap_handlers() -> None:
    """Put the additional checks before the services' handlers; after the services themselves are registered."""
    from ministack import app

    for service in CHECKED_SERVICES:
        if service in app.SERVICE_HANDLERS:
            app.SERVICE_HANDLERS[service] = with_needs(service, app.SERVICE_HANDLERS[service])
