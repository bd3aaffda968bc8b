"""Acknowledged findings of cdk-nag and cfn-lint: each beside the resource that it is about, with that resource's own
reason."""

from typing import cast

import aws_cdk as cdk
from constructs import IConstruct

LINT = "cfn-lint"
# CDK's own way of making sure that a role has its policy before somebody acts as it.
ROLE_ORDER = "CDK depends on a role with its policy; the role alone is depended on by its ARN already."


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """`rule` is the finding's full id, for granular rules with its bracketed part: AwsSolutions-IAM5[Resource::*]."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def acknowledge_lint(construct: IConstruct, rule: str, reason: str) -> None:
    """In the resource's metadata, where cfn-lint looks for it; it has no place for the reason, which stands beside."""
    resource = (
        construct if isinstance(construct, cdk.CfnResource) else cast(cdk.CfnResource, construct.node.default_child)
    )
    known = resource.get_metadata(LINT) or {"config": {"ignore_checks": []}, "because": {}}
    resource.add_metadata(
        LINT,
        {
            "config": {"ignore_checks": [*known["config"]["ignore_checks"], rule]},
            "because": {**known["because"], rule: reason},
        },
    )


def acknowledge_lint_of_emptier(scope: IConstruct, reason: str) -> None:
    """Of CDK's own function behind `auto_delete_objects`, one for a stack."""
    provider = cdk.Stack.of(scope).node.find_child("Custom::S3AutoDeleteObjectsCustomResourceProvider")
    acknowledge_lint(provider.node.find_child("Handler"), "W3005", reason)
