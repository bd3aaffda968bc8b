"""Who a job and who an endpoint is: two narrow roles, or the one that the account already has."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.image import ContainerImage
from stacks.names import KINDS
from stacks.permissions import Permission, allow, grant
from stacks.settings import Settings

# The namespaces in which SageMaker's own agents publish: utilisation of instances, and a tuning job's objective.
_METRIC_NAMESPACES = [
    "/aws/sagemaker/TrainingJobs",
    "/aws/sagemaker/ProcessingJobs",
    "/aws/sagemaker/Endpoints",
]


class SageMakerRoles(Construct):
    """`jobs` runs processing and training jobs, `serving` runs endpoints."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        bucket: s3.IBucket,
        image: ContainerImage,
    ) -> None:
        super().__init__(scope, construct_id)
        if settings.execution_role_arn is not None:
            # Immutable: an existing role keeps exactly the permissions that its owner gave it.
            existing = iam.Role.from_role_arn(self, "Existing", settings.execution_role_arn, mutable=False)
            self.jobs: iam.IRole = existing
            self.serving: iam.IRole = existing
            return
        self.jobs = _sagemaker_role(self, "Jobs", jobs_permissions(self, settings, bucket), image)
        self.serving = _sagemaker_role(
            self,
            "Serving",
            serving_permissions(self, bucket),
            image,
            unused_metrics="An endpoint's agent publishes with it; the laptop cloud counts for itself.",
        )


def jobs_permissions(scope: Construct, settings: Settings, bucket: s3.IBucket) -> list[Permission]:
    """Read what a run has written so far, write what it makes next."""
    sources = [
        cdk.Stack.of(scope).format_arn(service="s3", region="", account="", resource=name)
        for name in settings.source_buckets
    ]
    permissions = [
        allow(
            ["s3:ListBucket"],
            [bucket.bucket_arn],
            {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in ("raw", "features", "models", "monitoring")]}},
        ),
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [bucket.arn_for_objects(f"{prefix}/*") for prefix in ("raw", "features", "models")],
            because="Every run has prefixes of its own below these three.",
        ),
        allow(
            ["s3:GetObject"],
            [bucket.arn_for_objects(f"monitoring/{name}/*") for name in ("data-capture", *KINDS)],
            because="SageMaker names captured files; every watched period has a prefix of its own below its kind's.",
        ),
        allow(
            ["s3:PutObject"],
            [bucket.arn_for_objects(f"monitoring/{kind}/*") for kind in KINDS],
            because="Every watched period has a prefix of its own below its kind's.",
        ),
        *_log_permissions(scope, "TrainingJobs", "ProcessingJobs"),
    ]
    if sources:
        permissions.append(allow(["s3:ListBucket"], sources))
        permissions.append(
            allow(
                ["s3:GetObject"],
                [f"{source}/*" for source in sources],
                because="A run names the prefix of its source; the deployment named the bucket.",
            )
        )
    return permissions


def serving_permissions(scope: Construct, bucket: s3.IBucket) -> list[Permission]:
    """Fetch the model, write captured requests."""
    return [
        allow(["s3:GetObject"], [bucket.arn_for_objects("models/*")], because="Any run's model may be made live."),
        allow(
            ["s3:PutObject"],
            [bucket.arn_for_objects("monitoring/data-capture/*")],
            because="SageMaker names captured files by endpoint, variant and hour.",
        ),
        *_log_permissions(scope, "Endpoints/*"),
    ]


def _log_permissions(scope: Construct, *groups: str) -> list[Permission]:
    """SageMaker makes its log groups itself, with names that it alone chooses."""
    arns = [
        cdk.Stack.of(scope).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/sagemaker/{group}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        for group in groups
    ]
    because = "SageMaker names groups and streams after the job or the endpoint."
    return [
        # CloudWatch Logs authorises everything but tags on the ARN that ends in ":*".
        allow(["logs:CreateLogGroup", "logs:DescribeLogStreams"], [f"{arn}:*" for arn in arns], because=because),
        allow(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"{arn}:log-stream:*" for arn in arns],
            because=because,
        ),
    ]


def _sagemaker_role(
    scope: Construct,
    construct_id: str,
    permissions: list[Permission],
    image: ContainerImage,
    *,
    unused_metrics: str | None = None,
) -> iam.Role:
    role = iam.Role(scope, construct_id, assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    metrics = allow(
        ["cloudwatch:PutMetricData"],
        ["*"],
        {"StringEquals": {"cloudwatch:namespace": _METRIC_NAMESPACES}},
        because="This action knows no resources; the condition holds it to SageMaker's namespaces.",
        unused_because=unused_metrics,
    )
    grant(role, [*permissions, *image.pull_permissions(), metrics])
    return role
