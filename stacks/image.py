"""The one container image: every processing job, training job and endpoint runs it."""

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from constructs import Construct

from stacks.lambda_code import ROOT
from stacks.permissions import Permission, allow
from stacks.settings import LOCAL_ACCOUNT, LOCAL_REGION, Settings

_NO_REGISTRY = "The laptop cloud has no registry to pull the image from."


class ContainerImage(Construct):
    """Built from training_container/Dockerfile at deployment; the laptop cloud has no registry and needs a name."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        if settings.rules.is_laptop:
            self.repository: ecr.IRepository = ecr.Repository.from_repository_name(self, "Repository", "iops-insights")
            self.uri = f"{LOCAL_ACCOUNT}.dkr.ecr.{LOCAL_REGION}.amazonaws.com/iops-insights:laptop"
            return
        asset = ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(ROOT),
            file="training_container/Dockerfile",
            platform=ecr_assets.Platform.LINUX_AMD64,
            ignore_mode=cdk.IgnoreMode.DOCKER,
            exclude=["*", "!training_container", "!insights", "**/__pycache__"],
        )
        self.repository = asset.repository
        self.uri = asset.image_uri

    def pull_permissions(self) -> list[Permission]:
        """What a SageMaker role needs to start this image."""
        return [
            allow(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                [self.repository.repository_arn],
                unused_because=_NO_REGISTRY,
            ),
            allow(
                ["ecr:GetAuthorizationToken"],
                ["*"],
                because="This action knows no resources.",
                unused_because=_NO_REGISTRY,
            ),
        ]
