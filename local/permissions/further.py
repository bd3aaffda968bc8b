"""What a request needs besides its own action: PassRole, tags on creation, and what a service does in the caller's
name.

Each function takes one request and gives the checks that AWS makes for it; nothing here asks or refuses anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PASSED_TO = {
    "sagemaker": "sagemaker.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
    "states": "states.amazonaws.com",
    "cloudformation": "cloudformation.amazonaws.com",
    "events": "events.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
}
ROLE_MEMBERS = ("RoleArn", "RoleARN", "roleArn", "Role", "ExecutionRoleArn", "executionRoleArn")
SCALING_ROLE = (
    "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
SYNC_RULES = {
    "sagemaker:createTrainingJob": "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "sagemaker:createTransformJob": "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    "sagemaker:createProcessingJob": "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    "sagemaker:createHyperParameterTuningJob": "StepFunctionsGetEventsForSageMakerTuningJobsRule",
    "states:startExecution": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}
"""EventBridge rules that Step Functions manages for .sync tasks, in the state machine role's name."""

LOG_DELIVERY_ACTIONS = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
"""Step Functions developer guide, "Logging using CloudWatch Logs": all on *."""


@dataclass(frozen=True)
class Check:
    """One question to IAM; context holds lower-case condition keys."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)


def passed_roles(service: str, action: str, request: Mapping[str, Any]) -> Iterator[Check]:
    """iam:PassRole for every role that a request hands to a service."""
    if service not in PASSED_TO or action.startswith(("Describe", "List", "Get")):
        return
    for role in dict.fromkeys(_roles_in(request)):
        yield Check("iam:PassRole", role, {"iam:passedtoservice": PASSED_TO[service]})


def _roles_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name in ROLE_MEMBERS and isinstance(member, str) and ":role/" in member:
                yield member
            elif name not in ("Environment", "HyperParameters", "Tags", "Input", "definition", "TemplateBody"):
                yield from _roles_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from _roles_in(member)


def sagemaker_needs(
    action: str, request: Mapping[str, Any], arns: list[str], *, account: str, region: str, has_target: bool = False
) -> Iterator[Check]:
    """What SageMaker asks for in the caller's name. has_target: a scalable target of the endpoint exists."""
    if action.startswith("Create") and request.get("Tags"):
        context = {f"aws:requesttag/{tag['Key'].lower()}": tag["Value"] for tag in request["Tags"]}
        yield Check("sagemaker:AddTags", arns[0], context)
    if action == "CreateModel":
        for package in _packages_in(request):
            arn = (
                package
                if package.startswith("arn:")
                else f"arn:aws:sagemaker:{region}:{account}:model-package/{package}"
            )
            yield Check("sagemaker:DescribeModelPackage", arn)
    for alarm in request.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", []):
        arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:{alarm['AlarmName']}"
        yield Check("cloudwatch:DescribeAlarms", arn)
    if action == "DeleteEndpoint" and has_target:
        target = f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/*"
        yield Check("application-autoscaling:DescribeScalableTargets", "*")
        yield Check("application-autoscaling:DeregisterScalableTarget", target)


def _packages_in(request: Mapping[str, Any]) -> Iterator[str]:
    """Model packages that a model is made of. SageMaker reads them as the caller (guide, "Deploy a model from the
    registry", where a caller of another account needs DescribeModelPackage and CreateModel on the package)."""
    for container in [request.get("PrimaryContainer", {}), *request.get("Containers", [])]:
        if package := container.get("ModelPackageName"):
            yield str(package)


def autoscaling_needs(action: str, request: Mapping[str, Any], *, account: str, region: str) -> Iterator[Check]:
    """Auto scaling of SageMaker variants (SageMaker guide, "Prerequisites" of endpoint auto scaling)."""
    parts = str(request.get("ResourceId", "")).split("/")
    if request.get("ServiceNamespace") != "sagemaker" or len(parts) < 2:
        return
    endpoint = f"arn:aws:sagemaker:{region}:{account}:endpoint/{parts[1]}"
    if action == "RegisterScalableTarget":
        yield Check("sagemaker:DescribeEndpoint", endpoint)
        yield Check("sagemaker:UpdateEndpointWeightsAndCapacities", endpoint)
        yield Check(
            "iam:CreateServiceLinkedRole",
            f"arn:aws:iam::{account}:{SCALING_ROLE}",
            {"iam:awsservicename": "sagemaker.application-autoscaling.amazonaws.com"},
        )
    if action == "PutScalingPolicy":
        alarm = f"arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-{'/'.join(parts)}"
        yield Check("cloudwatch:PutMetricAlarm", f"{alarm}-AlarmHigh")
        yield Check("cloudwatch:DescribeAlarms", f"{alarm}-AlarmHigh")
    if action in ("DeleteScalingPolicy", "DeregisterScalableTarget"):
        alarm = f"arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-{'/'.join(parts)}"
        yield Check("cloudwatch:DeleteAlarms", f"{alarm}-AlarmHigh")


def table_export_needs(request: Mapping[str, Any]) -> Iterator[Check]:
    """DynamoDB writes the export in the caller's name ("Requesting a table export", which names the three)."""
    prefix = str(request.get("S3Prefix", "")).rstrip("/")
    key = f"{prefix}/AWSDynamoDB/manifest-summary.json" if prefix else "AWSDynamoDB/manifest-summary.json"
    for action in ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"):
        yield Check(action, f"arn:aws:s3:::{request.get('S3Bucket', '')}/{key}")


def image_pull(image_uri: str) -> Iterator[Check]:
    """What an execution role needs so that SageMaker can fetch its container's image (guide, "SageMaker execution roles")."""
    registry, _, name = image_uri.partition("/")
    account, region = registry.split(".")[0], registry.split(".")[3]
    repository = f"arn:aws:ecr:{region}:{account}:repository/{name.partition(':')[0].partition('@')[0]}"
    yield Check("ecr:GetAuthorizationToken", "*")
    for action in ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"):
        yield Check(f"ecr:{action}", repository)


def managed_rules(definition: str) -> list[str]:
    """Names of the managed rules that a state machine's .sync tasks need."""
    return [rule for resource, rule in SYNC_RULES.items() if re.search(rf":::{resource}\.sync", definition)]


def state_machine_needs(
    definition: str | Mapping[str, Any], *, logs: bool, account: str, region: str
) -> Iterator[Check]:
    """What Step Functions does with the state machine's role when the state machine is created or updated."""
    text = definition if isinstance(definition, str) else json.dumps(definition)
    for rule in managed_rules(text):
        arn = f"arn:aws:events:{region}:{account}:rule/{rule}"
        for action in ("events:PutRule", "events:PutTargets", "events:DescribeRule"):
            yield Check(action, arn)
    if logs:
        for action in LOG_DELIVERY_ACTIONS:
            yield Check(action, "*")
