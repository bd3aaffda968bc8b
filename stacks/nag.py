"""Acknowledged findings of cdk-nag: each beside the resource that it is about, with that resource's own reason."""

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """`rule` is the finding's full id, for granular rules with its bracketed part: AwsSolutions-IAM5[Resource::*]."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
