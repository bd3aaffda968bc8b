"""Names that several stacks must agree on, so that none needs a reference to the other."""

import aws_cdk as cdk

KINDS = ("risk", "performance")
ROLLBACK_ALARMS = ("ServerErrors", "ModelLatency")
# The rules that may publish to the topic; its policy names them.
STATE_CHANGE_RULES = ("iops-endpoint-state", "iops-endpoint-scaling")
RETRAINING_SWITCH = "/iops-insights/retraining"


def endpoint_stack_name(kind: str) -> str:
    return f"Iops{kind.capitalize()}Endpoint"


def rollback_alarm_name(kind: str, what: str) -> str:
    """An alarm of the endpoint's own stack, which a page of the monitoring stack has among its members."""
    return f"{endpoint_stack_name(kind)}-{what}"


def drift_alarm_name(kind: str) -> str:
    """The alarm whose change of state starts the decision to train again."""
    return f"iops-drift-{kind}"


def package_group_name(kind: str) -> str:
    return f"iops-{kind}"


def live_package_parameter(kind: str) -> str:
    """The SSM parameter that tells people and programs which package is live."""
    return f"/iops-insights/{kind}/live-package"


def experiment_parameter(kind: str) -> str:
    """The SSM parameter that tells the API which devices meet the challenger."""
    return f"/iops-insights/{kind}/experiment"


def sagemaker_arn(stack: cdk.Stack, resource: str, name: str) -> str:
    return stack.format_arn(service="sagemaker", resource=resource, resource_name=name)


def endpoint_arn(stack: cdk.Stack, name: str) -> str:
    """SageMaker writes names in ARNs in lower case."""
    return sagemaker_arn(stack, "endpoint", name.lower())


def generated_arns(stack: cdk.Stack, resource: str) -> list[str]:
    """Models and configurations, which CloudFormation names after their logical ids (Iops...)."""
    return [sagemaker_arn(stack, resource, f"{prefix}*") for prefix in ("Iops", "iops")]


def stack_arn(stack: cdk.Stack, name: str) -> str:
    return stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")
