"""Whom CloudFormation becomes when PromoteModel updates an endpoint's stack: only that endpoint's resources."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.budget import TAG
from stacks.names import (
    KINDS,
    ROLLBACK_ALARMS,
    endpoint_arn,
    experiment_parameter,
    generated_arns,
    live_package_parameter,
    package_group_name,
    rollback_alarm_name,
    sagemaker_arn,
    stack_arn,
)
from stacks.permissions import Permission, allow, grant
from stacks.settings import Settings

_GENERATED = "CloudFormation names models and configurations after their logical ids, which start with Iops."
_ALARM_ID = "Application Auto Scaling ends its alarms' names in an id."


class UpdateRole(Construct):
    """Roll-back alarms are made at deployment; a promotion points them at its new configuration and never removes one."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, serving_role: iam.IRole) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("cloudformation.amazonaws.com"))
        grant(
            self.role,
            [
                *_sagemaker_permissions(stack, settings, serving_role),
                *_scaling_permissions(stack, settings),
                *_stack_permissions(stack),
            ],
        )


def _sagemaker_permissions(stack: cdk.Stack, settings: Settings, serving_role: iam.IRole) -> list[Permission]:
    verbs = ("Create", "Describe", "Delete")
    endpoints = _endpoints(stack, settings)
    configs = generated_arns(stack, "endpoint-config")
    return [
        allow([f"sagemaker:{verb}Model" for verb in verbs], generated_arns(stack, "model"), because=_GENERATED),
        allow([f"sagemaker:{verb}EndpointConfig" for verb in verbs], configs, because=_GENERATED),
        allow([f"sagemaker:{verb}Endpoint" for verb in (*verbs, "Update")], endpoints),
        # Without the tag that its costs are told by, nothing here could be made (stacks/budget.py).
        allow(
            ["sagemaker:AddTags"],
            [*generated_arns(stack, "model"), *configs, *endpoints],
            {"StringEquals": {f"aws:RequestTag/{TAG[0]}": TAG[1]}},
            because=_GENERATED,
        ),
        # CreateEndpoint and UpdateEndpoint are also authorised on the configuration that they name.
        allow(["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"], configs, because=_GENERATED),
        allow(
            ["sagemaker:DescribeModelPackage"],
            [sagemaker_arn(stack, "model-package", f"{package_group_name(kind)}/*") for kind in KINDS],
            because="Any version of the two groups may be made live.",
        ),
        allow(
            ["iam:PassRole"],
            [serving_role.role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]


def _scaling_permissions(stack: cdk.Stack, settings: Settings) -> list[Permission]:
    """Application Auto Scaling acts as its caller while it registers (Prerequisites of endpoint auto scaling)."""
    linked_role = stack.format_arn(
        service="iam",
        region="",
        resource="role",
        resource_name="aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    )
    tracking = [_alarm(stack, f"TargetTracking-endpoint/{settings.endpoint_name(kind)}/*") for kind in KINDS]
    rollback = [_alarm(stack, rollback_alarm_name(kind, what)) for kind in KINDS for what in ROLLBACK_ALARMS]
    return [
        allow(
            [
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:DeleteScalingPolicy",
            ],
            [stack.format_arn(service="application-autoscaling", resource="scalable-target", resource_name="*")],
            {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
            because="A scalable target's ARN ends in an id that it gets when it is registered.",
        ),
        allow(
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
            ],
            ["*"],
            because="These actions know no resources.",
        ),
        allow(["sagemaker:UpdateEndpointWeightsAndCapacities"], _endpoints(stack, settings)),
        allow(["cloudwatch:DeleteAlarms"], tracking, because=_ALARM_ID),
        allow(["cloudwatch:PutMetricAlarm"], [*tracking, *rollback], because=_ALARM_ID),
        # SageMaker looks at the roll-back alarms as the caller of UpdateEndpoint (deployment guardrails).
        allow(["cloudwatch:DescribeAlarms"], [*tracking, *rollback], because=_ALARM_ID),
        allow(
            ["iam:CreateServiceLinkedRole"],
            [linked_role],
            {"StringEquals": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}},
        ),
    ]


def _stack_permissions(stack: cdk.Stack) -> list[Permission]:
    parameters = [
        stack.format_arn(service="ssm", resource="parameter", resource_name=parameter(kind).removeprefix("/"))
        for parameter in (live_package_parameter, experiment_parameter)
        for kind in KINDS
    ]
    producers = [stack_arn(stack, name) for name in ("IopsData", "IopsTraining")]
    return [
        allow(["ssm:PutParameter", "ssm:GetParameters"], parameters),
        # Fn::GetStackOutput reads the producing stack as the role that updates.
        allow(
            ["cloudformation:DescribeStacks"],
            producers,
            because="A stack's ARN ends in an id that it gets when it is made.",
        ),
    ]


def _endpoints(stack: cdk.Stack, settings: Settings) -> list[str]:
    return [endpoint_arn(stack, settings.endpoint_name(kind)) for kind in KINDS]


def _alarm(stack: cdk.Stack, name: str) -> str:
    return stack.format_arn(
        service="cloudwatch", resource="alarm", resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
