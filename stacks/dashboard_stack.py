"""The dashboard: a private bucket behind CloudFront, which serves the page and passes /api/* on to the API.

Page and API share one origin here, so that the page needs no entry in allowed_origins and its first deployment is whole.
"""

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as s3_deployment
from constructs import Construct, IConstruct

from stacks.api.sign_in import SCOPES, SignIn, page_client, scope_name
from stacks.app_stack import AppStack
from stacks.nag import acknowledge, acknowledge_lint, acknowledge_lint_of_emptier
from stacks.page_files import page_headers, page_source
from stacks.permissions import unused
from stacks.settings import Settings


class DashboardStack(AppStack):
    """Bucket, distribution, the page's own sign-in client, the page with its config.json."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, api: apigateway.RestApi, sign_in: SignIn
    ) -> None:
        super().__init__(scope, construct_id, settings=settings, summary="the dashboard")
        bucket = page_bucket(self)
        distribution = page_distribution(self, bucket, api, sign_in_url=sign_in.url)
        url = f"https://{distribution.distribution_domain_name}/"
        client = page_client(self, "PageClient", users=sign_in.users, pages=[url], scopes=sign_in.scopes)
        deployed_page(self, bucket, page_config(sign_in, client))
        cdk.CfnOutput(self, "DashboardUrl", value=url)


def page_bucket(scope: Construct) -> s3.Bucket:
    """Everything in it comes from the repository, so it goes with its stack in every stage."""
    bucket = s3.Bucket(
        scope,
        "Page",
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        removal_policy=cdk.RemovalPolicy.DESTROY,
        auto_delete_objects=True,
    )
    acknowledge(bucket, "AwsSolutions-S1", "It holds the public page only, and only CloudFront reads it.")
    return bucket


def page_distribution(
    scope: Construct, bucket: s3.IBucket, api: apigateway.RestApi, *, sign_in_url: str
) -> cloudfront.Distribution:
    distribution = cloudfront.Distribution(
        scope,
        "Distribution",
        comment="IOPS Insights dashboard",
        default_root_object="index.html",
        default_behavior=cloudfront.BehaviorOptions(
            origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            response_headers_policy=security_headers(scope, page_headers(connect=[sign_in_url])),
        ),
        additional_behaviors={
            "/api/*": cloudfront.BehaviorOptions(
                origin=origins.RestApiOrigin(api),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                # API Gateway tells its APIs apart by host, so the viewer's own must not reach it.
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            )
        },
        price_class=cloudfront.PriceClass.PRICE_CLASS_100,
    )
    for rule, reason in {
        "AwsSolutions-CFR1": "Operators sign in from wherever they are; the page alone says nothing.",
        "AwsSolutions-CFR2": "The page is static and the API throttles its callers; a web ACL is the account's to attach.",
        "AwsSolutions-CFR3": "API Gateway logs every call; who loaded the static page is of no use to keep.",
        "AwsSolutions-CFR4": "CloudFront's own certificate fixes the oldest TLS version; a domain of one's own lifts it.",
    }.items():
        acknowledge(distribution, rule, reason)
    return distribution


def security_headers(scope: Construct, headers: dict[str, str]) -> cloudfront.ResponseHeadersPolicy:
    """CloudFront takes six of them by name and refuses those as custom headers."""
    others = {name: value for name, value in headers.items() if name not in _NAMED_HEADERS}
    return cloudfront.ResponseHeadersPolicy(
        scope,
        "Headers",
        comment="dashboard/headers.json",
        security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
            content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                content_security_policy=headers["Content-Security-Policy"], override=True
            ),
            strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                access_control_max_age=cdk.Duration.days(365), include_subdomains=True, override=True
            ),
            content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
            frame_options=cloudfront.ResponseHeadersFrameOptions(
                frame_option=cloudfront.HeadersFrameOption.DENY, override=True
            ),
            referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
            ),
        ),
        custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
            custom_headers=[
                cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                for name, value in others.items()
            ]
        ),
    )


_NAMED_HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
)


def page_config(sign_in: SignIn, client: cognito.UserPoolClient) -> dict[str, object]:
    """config.json beside the page; the API is the page's own origin."""
    return {
        "api_url": "/",
        "sign_in_url": sign_in.url,
        "client_id": client.user_pool_client_id,
        "scopes": ["openid", *map(scope_name, SCOPES)],
    }


def deployed_page(scope: Construct, bucket: s3.Bucket, config: dict[str, object]) -> None:
    """CloudFront keeps what says no-cache for a second only (the policy's least time), so nothing is invalidated."""
    deployment = s3_deployment.BucketDeployment(
        scope,
        "Files",
        sources=[page_source(), s3_deployment.Source.json_data("config.json", config)],
        destination_bucket=bucket,
        # Every visit asks whether a file is still the same: a deployment never mixes old modules with new ones.
        cache_control=[s3_deployment.CacheControl.no_cache()],
        memory_limit=256,
        log_group=logs.LogGroup(
            scope, "FilesLog", retention=logs.RetentionDays.ONE_MONTH, removal_policy=cdk.RemovalPolicy.DESTROY
        ),
    )
    acknowledge_cdks_own(deployment, bucket)


_WRITES = (
    "PutObject",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutObjectVersionTagging",
)


def acknowledge_cdks_own(deployment: s3_deployment.BucketDeployment, bucket: s3.Bucket) -> None:
    """The function that copies the files is CDK's: its runtime, role and grants are not the app's to choose."""
    stack = cdk.Stack.of(deployment)
    function = cast(IConstruct, deployment.handler_role.node.scope)
    page = f"<{stack.get_logical_id(cast(cdk.CfnElement, bucket.node.default_child))}.Arn>"
    for rule, reason in {
        "AwsSolutions-L1": "CDK sets the runtime of its own function.",
        "Serverless-LambdaLatestVersion": "CDK's own function runs what CDK tested it with.",
        "Serverless-LambdaTracing": "It runs only while the page is deployed, and CloudFormation shows its failure.",
        "Serverless-LambdaDLQ": "CloudFormation waits for its answer, and takes the deployment back without one.",
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]": (
            "CDK's function writes its log with AWS's own policy for that."
        ),
        **{
            f"AwsSolutions-IAM5[Action::s3:{action}]": "CDK's grant of reading the assets and writing the page's bucket."
            for action in ("GetBucket*", "GetObject*", "List*", "Abort*", "DeleteObject*")
        },
        f"AwsSolutions-IAM5[Resource::{page}/*]": "The page's own bucket, which it fills.",
        f"AwsSolutions-IAM5[Resource::{_assets_arn(stack)}/*]": "The bucket of CDK's assets, where it finds the page.",
    }.items():
        acknowledge(function, rule, reason)
    for action in ("Abort*", "DeleteObject*", "GetBucket*", "GetObject*", "List*", *_WRITES):
        unused(
            cast(IConstruct, deployment.handler_role),
            f"s3:{action}",
            "CDK's function copies the page with it; the laptop cloud has no CloudFront and serves the files itself.",
        )
    acknowledge_lint(function, "W3005", "CDK's function waits for its role and the role's policy, as CDK wrote it.")
    acknowledge_lint_of_emptier(bucket, "CDK's function waits for the role that empties the page's bucket.")


def _assets_arn(stack: cdk.Stack) -> str:
    """As cdk-nag writes it: what is known only at deployment by its pseudo parameter."""
    account, region = (
        f"<AWS::{name}>" if cdk.Token.is_unresolved(value) else value
        for name, value in (("AccountId", stack.account), ("Region", stack.region))
    )
    partition = "<AWS::Partition>" if cdk.Token.is_unresolved(stack.partition) else stack.partition
    return f"arn:{partition}:s3:::cdk-{cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-{account}-{region}"
