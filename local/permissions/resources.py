"""Which ARNs an action of SageMaker, Application Auto Scaling or Budgets is authorised on.

Source: the Service Authorization Reference's tables for these services. An action that appears in no table here is
checked on "*", as AWS checks list actions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAMED = {
    "TrainingJob": ("training-job", "TrainingJobName"),
    "ProcessingJob": ("processing-job", "ProcessingJobName"),
    "TransformJob": ("transform-job", "TransformJobName"),
    "HyperParameterTuningJob": ("hyper-parameter-tuning-job", "HyperParameterTuningJobName"),
    "Model": ("model", "ModelName"),
    "EndpointConfig": ("endpoint-config", "EndpointConfigName"),
    "Endpoint": ("endpoint", "EndpointName"),
    "ModelPackageGroup": ("model-package-group", "ModelPackageGroupName"),
    "ModelPackage": ("model-package", "ModelPackageName"),
}
"""The noun of an action: its ARN's resource type and the request member that names it."""

VERBS = re.compile(r"^(?:Create|Describe|Stop|Delete|Update)(?P<noun>[A-Za-z]+)$")
TAG_ACTIONS = ("AddTags", "DeleteTags", "ListTags")
OTHER_NOUNS: Mapping[str, tuple[str, ...]] = {
    "InvokeEndpoint": ("Endpoint",),
    "InvokeEndpointAsync": ("Endpoint",),
    "UpdateEndpointWeightsAndCapacities": ("Endpoint",),
    "CreateEndpoint": ("Endpoint", "EndpointConfig"),
    "UpdateEndpoint": ("Endpoint", "EndpointConfig"),
    "ListTrainingJobsForHyperParameterTuningJob": ("HyperParameterTuningJob",),
    # Inferred: the guide's cross-account policies allow it on a group's resources; without a group it lists all.
    "ListModelPackages": ("ModelPackageGroup",),
}
"""Actions that are authorised on more or on something else than their own noun."""


def sagemaker_arns(action: str, request: Mapping[str, Any], *, account: str, region: str) -> list[str]:
    """Every ARN that must be allowed; ["*"] for an action without a resource."""
    prefix = f"arn:aws:sagemaker:{region}:{account}:"
    names = [
        resource if resource.startswith("arn:") else prefix + resource
        for resource in _sagemaker_resources(action, request)
    ]
    return names or ["*"]


def _sagemaker_resources(action: str, request: Mapping[str, Any]) -> list[str]:
    if action in TAG_ACTIONS:
        return [str(request["ResourceArn"])] if request.get("ResourceArn") else []
    if action == "CreateModelPackage" and (group := request.get("ModelPackageGroupName")):
        name = str(group).rpartition("/")[2]
        return [f"model-package-group/{name}", f"model-package/{name}/*"]
    match = VERBS.match(action)
    nouns = OTHER_NOUNS.get(action, (match["noun"],) if match else ())
    return [resource for noun in nouns for resource in _named(noun, request)]


def _named(noun: str, request: Mapping[str, Any]) -> list[str]:
    if noun not in NAMED:
        return []
    kind, member = NAMED[noun]
    name = str(request.get(member) or "")
    if not name:
        return []
    return [name if name.startswith("arn:") else f"{kind}/{name}"]


def autoscaling_arns(action: str, request: Mapping[str, Any], *, account: str, region: str) -> list[str]:
    """Actions on a target are authorised on it; its id is unknown to the caller, so the check names any of the
    account's."""
    if action.startswith("Describe"):
        return ["*"]
    return [f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/*"]


BUDGET_WRITERS = ("Create", "Update", "Delete")


def budget_permission(action: str) -> str:
    """Budgets has two permissions for all that is done with a budget, its notifications and its subscribers."""
    return "budgets:ModifyBudget" if action.startswith(BUDGET_WRITERS) else "budgets:ViewBudget"


def budget_arn(request: Mapping[str, Any], *, account: str) -> str:
    """A budget's ARN knows no region; a list is authorised on all of the account's."""
    budget = request.get("Budget") or request.get("NewBudget") or {}
    name = request.get("BudgetName") or budget.get("BudgetName") or "*"
    return f"arn:aws:budgets::{account}:budget/{name}"
