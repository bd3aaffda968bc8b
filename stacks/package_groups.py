"""The registry's two groups of model versions."""

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.functions import CodeMaker, InsightFunction
from stacks.names import KINDS, package_group_name, sagemaker_arn
from stacks.permissions import allow
from stacks.settings import Settings


class PackageGroups(Construct):
    """Kept with their versions in prod; in a stage that may vanish they are emptied first, as a group that has
    versions cannot be deleted."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, code: CodeMaker) -> None:
        super().__init__(scope, construct_id)
        groups = [self._group(kind, settings) for kind in KINDS]
        if settings.rules.empties_on_destroy:
            self._emptied_on_destroy(groups, settings, code)

    def _group(self, kind: str, settings: Settings) -> sagemaker.CfnModelPackageGroup:
        group = sagemaker.CfnModelPackageGroup(
            self,
            kind.capitalize(),
            model_package_group_name=package_group_name(kind),
            model_package_group_description=f"{kind.capitalize()} models of IOPS Insights, approved or rejected",
        )
        group.apply_removal_policy(settings.rules.removal_policy)
        return group

    def _emptied_on_destroy(
        self, groups: list[sagemaker.CfnModelPackageGroup], settings: Settings, code: CodeMaker
    ) -> None:
        stack = cdk.Stack.of(self)
        names = [package_group_name(kind) for kind in KINDS]
        emptier = InsightFunction(
            self,
            "empty_package_group",
            settings=settings,
            code=code(),
            timeout=cdk.Duration.minutes(5),
            failed_calls="CloudFormation waits for the answer that it sends, and fails the group's deletion without one.",
            permissions=[
                allow(
                    ["sagemaker:ListModelPackages"],
                    [sagemaker_arn(stack, "model-package-group", name) for name in names],
                ),
                allow(
                    ["sagemaker:DeleteModelPackage"],
                    [sagemaker_arn(stack, "model-package", f"{name}/*") for name in names],
                    because="Every version goes.",
                ),
            ],
        )
        for group, name in zip(groups, names, strict=True):
            contents = cdk.CustomResource(
                self,
                f"ContentsOf{group.node.id}",
                service_token=emptier.arn,
                resource_type="Custom::PackageGroupContents",
                properties={"ModelPackageGroupName": name},
            )
            # Made after the group and after the function may act, so deleted before either.
            contents.node.add_dependency(group, emptier.role)
